package auth_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"etcd/store/auth"
	"etcd/store/storepb"
)

// A command is written in words:
//
//	user al hash roles=a,b      creates a user
//	put al hash                 creates a user, or sets its password
//	update al hash +a -b        sets a password, grants and revokes; the hash may be "."
//	role r read=/a,/b write=    creates a role
//	change r +read=/a -write=/b grants and revokes
//	drop al, droprole r, enable, disable

func parse(t testing.TB, line string) *storepb.Auth {
	t.Helper()
	words := strings.Fields(line)
	value := func(word string) []string {
		_, list, _ := strings.Cut(word, "=")
		return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	}
	switch words[0] {
	case "user", "put":
		c := &storepb.CreateUser{Name: words[1], OrUpdate: words[0] == "put"}
		for _, word := range words[2:] {
			if strings.HasPrefix(word, "roles=") {
				c.Roles = &storepb.Strings{Values: value(word)}
			} else {
				c.Hash = word
			}
		}
		return &storepb.Auth{Change: &storepb.Auth_CreateUser{CreateUser: c}}
	case "update":
		c := &storepb.UpdateUser{Name: words[1], Hash: strings.Trim(words[2], ".")}
		for _, word := range words[3:] {
			if word[0] == '+' {
				c.Grant = append(c.Grant, word[1:])
			} else {
				c.Revoke = append(c.Revoke, word[1:])
			}
		}
		return &storepb.Auth{Change: &storepb.Auth_UpdateUser{UpdateUser: c}}
	case "role":
		c := &storepb.CreateRole{Name: words[1]}
		for _, word := range words[2:] {
			list := &storepb.Strings{Values: value(word)}
			if strings.HasPrefix(word, "read") {
				c.Read = list
			} else {
				c.Write = list
			}
		}
		return &storepb.Auth{Change: &storepb.Auth_CreateRole{CreateRole: c}}
	case "change":
		c := &storepb.UpdateRole{Name: words[1]}
		for _, word := range words[2:] {
			list := map[string]*[]string{
				"+read": &c.GrantRead, "+write": &c.GrantWrite, "-read": &c.RevokeRead, "-write": &c.RevokeWrite,
			}[word[:strings.IndexByte(word, '=')]]
			*list = append(*list, value(word)...)
		}
		return &storepb.Auth{Change: &storepb.Auth_UpdateRole{UpdateRole: c}}
	case "drop":
		return &storepb.Auth{Change: &storepb.Auth_DeleteUser{DeleteUser: &storepb.DeleteUser{Name: words[1]}}}
	case "droprole":
		return &storepb.Auth{Change: &storepb.Auth_DeleteRole{DeleteRole: &storepb.DeleteRole{Name: words[1]}}}
	case "enable":
		return &storepb.Auth{Change: &storepb.Auth_Enable{Enable: &storepb.Enable{}}}
	case "disable":
		return &storepb.Auth{Change: &storepb.Auth_Disable{Disable: &storepb.Disable{}}}
	}
	t.Fatalf("no command: %s", line)
	return nil
}

// state returns the state after commands that succeed.
func state(t testing.TB, lines ...string) *auth.State {
	t.Helper()
	var s *auth.State
	for i, line := range lines {
		var out auth.Outcome
		if s, out = s.Apply(uint64(i+1), parse(t, line)); out.Failure != nil {
			t.Fatalf("%s: %v", line, out.Failure)
		}
	}
	return s
}

func list(values []string) string {
	if values == nil {
		return "none"
	}
	return "[" + strings.Join(values, " ") + "]"
}

// show describes an outcome in a line.
func show(out auth.Outcome) string {
	created := ""
	if out.Created {
		created = "new "
	}
	switch {
	case out.Failure != nil:
		return strings.TrimSpace(fmt.Sprintf("refused %d %s %s", out.Failure.Code, out.Failure.Name, out.Failure.Of))
	case out.User != nil:
		return created + out.User.Name + " " + out.User.Hash + " " + list(out.User.Roles)
	case out.Role != nil:
		return created + out.Role.Name + " read " + list(out.Role.Read) + " write " + list(out.Role.Write)
	}
	return "done"
}

func refusal(code auth.Code, rest string) string {
	return strings.TrimSpace(fmt.Sprintf("refused %d %s", code, rest))
}

func TestCommands(t *testing.T) {
	var s *auth.State
	for i, step := range []struct{ command, want string }{
		{"enable", refusal(auth.NoRootUser, "")},
		{"disable", refusal(auth.AlreadyDisabled, "")},
		{"user al h1", "new al h1 none"},
		{"user al h2", refusal(auth.UserExists, "al")},
		{"user al", refusal(auth.NoPassword, "al")},
		{"put em", refusal(auth.NoPassword, "em")},
		{"put al", "al h1 []"}, // there are roles to speak of now, though none
		{"put al", refusal(auth.UserUnchanged, "al")},
		{"put al h2", "al h2 []"},
		{"user bo h1 roles=zz,b,b", "new bo h1 [zz b b]"}, // roles need not exist
		{"update bo . +a", "bo h1 [a b zz]"},
		{"update bo . +a", refusal(auth.RoleGranted, "bo a")},
		{"update bo . -c", refusal(auth.RoleNotGranted, "bo c")},
		{"update bo . +c -c", refusal(auth.UserUnchanged, "bo")},
		{"update bo h3 +c -a -b -zz", "bo h3 [c]"},
		{"update cy . +a", refusal(auth.NoUser, "cy")},
		{"role r", "new r read none write none"},
		{"role r read=/a", refusal(auth.RoleExists, "r")},
		{"change r +read=/b,/a", "r read [/a /b] write []"},
		{"change r +read=/a", refusal(auth.ReadGranted, "r /a")},
		{"change r +write=/q,/q", refusal(auth.WriteGranted, "r /q")},
		{"change r -read=/zz", refusal(auth.RoleUnchanged, "r")},
		{"change r -read=/a +write=/q", "r read [/b] write [/q]"},
		{"change nn +read=/a", refusal(auth.NoRole, "nn")},
		{"role root", refusal(auth.RootRole, "root")},
		{"change root +read=/a", refusal(auth.RootRole, "root")},
		{"droprole root", refusal(auth.RootRole, "root")},
		{"droprole nn", refusal(auth.NoRole, "nn")},
		{"droprole r", "done"},
		{"drop nn", refusal(auth.NoUser, "nn")},
		{"user root h roles=a", "new root h [a root]"},
		{"update root . -root", "root h [a]"},
		{"enable", "done"},
		{"enable", refusal(auth.AlreadyEnabled, "")},
		{"drop root", refusal(auth.RootUserNeeded, "root")},
		{"disable", "done"},
		{"drop root", "done"},
	} {
		before := s
		var out auth.Outcome
		s, out = s.Apply(uint64(i+1), parse(t, step.command))
		if got := show(out); got != step.want {
			t.Fatalf("%s: %s, want %s", step.command, got, step.want)
		}
		if out.Failure != nil && s != before || out.Failure == nil && s.Revision() != uint64(i+1) {
			t.Errorf("%s: revision %d at %d", step.command, s.Revision(), i+1)
		}
	}
	if s.Role("guest") == nil {
		t.Error("enabling has made no role for guests")
	}
}

// The user root has the role root whatever was revoked.
func TestRootStaysRoot(t *testing.T) {
	s := state(t, "user root h", "update root . -root", "user al h roles=root")
	for _, user := range []string{"root", "al"} {
		if !s.IsRoot(user) || !s.MayWrite(user, "/a", true) {
			t.Errorf("%s is not root", user)
		}
	}
	if s.IsRoot("") || s.IsRoot("bo") || s.MayRead("bo", "/a", false) {
		t.Error("somebody else is root")
	}
}

func TestGuest(t *testing.T) {
	s := state(t, "user root h", "enable")
	if !s.GuestMayDoEverything() {
		t.Error("guests may not do what they could before")
	}
	for _, change := range []string{"droprole guest", "change guest -write=/*", "change guest -read=/* +read=/a*"} {
		closed, _ := s.Apply(10, parse(t, change))
		if closed.GuestMayDoEverything() {
			t.Errorf("%s: guests may do everything", change)
		}
		for i, line := range []string{"disable", "enable"} {
			closed, _ = closed.Apply(uint64(11+i), parse(t, line))
		}
		if !closed.Enabled() || closed.GuestMayDoEverything() {
			t.Errorf("%s: it did not last", change)
		}
	}
}

func TestMay(t *testing.T) {
	s := state(t,
		"role queue read=/queue,/queue/* write=/queue/*", "role star read=/foo* write=",
		"role one read=/one", "role rest read=/one/*", "role all read=* write=/*", "role odd read=/x/,",
		"user al h roles=queue,missing", "user bo h roles=star", "user cy h roles=one,rest", "user di h roles=all", "user ed h roles=one", "user fo h",
	)
	for _, c := range []struct {
		user, key         string
		read, deep        bool
		write, writeBelow bool
	}{
		{"al", "/queue", true, true, false, false},
		{"al", "/queue/a", true, true, true, true},
		{"al", "/queuex", false, false, false, false},
		{"al", "/", false, false, false, false},
		{"bo", "/foo", true, true, false, false},
		{"bo", "/foox/y", true, true, false, false},
		{"bo", "/fo", false, false, false, false},
		{"cy", "/one", true, true, false, false}, // of two roles
		{"ed", "/one", true, false, false, false},
		{"ed", "/one/a", false, false, false, false},
		{"di", "/", true, true, true, true},
		{"di", "/a", true, true, true, true},
		{"fo", "/a", false, false, false, false},
		{"nobody", "/queue", false, false, false, false},
		{"", "/queue", false, false, false, false},
	} {
		got := [4]bool{s.MayRead(c.user, c.key, false), s.MayRead(c.user, c.key, true), s.MayWrite(c.user, c.key, false), s.MayWrite(c.user, c.key, true)}
		if want := [4]bool{c.read, c.deep, c.write, c.writeBelow}; got != want {
			t.Errorf("%q %s: %v, want %v", c.user, c.key, got, want)
		}
	}
}

// Whoever may read a directory deeply may read everything in it.
func TestDeepMeansEverything(t *testing.T) {
	patterns := rapid.StringMatching(`(/[ab]?){0,3}\*?`)
	rapid.Check(t, func(t *rapid.T) {
		s, _ := (*auth.State)(nil).Apply(1, &storepb.Auth{Change: &storepb.Auth_CreateRole{CreateRole: &storepb.CreateRole{
			Name: "guest", Read: &storepb.Strings{Values: rapid.SliceOfN(patterns, 0, 4).Draw(t, "patterns")},
		}}})
		key := rapid.SampledFrom([]string{"/", "/a", "/b", "/a/b", "/a/a/b"}).Draw(t, "key")
		if !s.MayRead("", key, true) {
			return
		}
		for _, below := range []string{"", "/a", "/b", "/a/b", "/b/x/y", "/_h"} {
			if inside := max(strings.TrimSuffix(key, "/")+below, "/"); !s.MayRead("", inside, false) {
				t.Errorf("%s may be read deeply, and %s not at all", key, inside)
			}
		}
	})
}

func drawCommand(t *rapid.T) string {
	name := func() string { return rapid.SampledFrom([]string{"root", "guest", "a", "b"}).Draw(t, "name") }
	pattern := func() string { return rapid.SampledFrom([]string{"/*", "/a", "/b*"}).Draw(t, "pattern") }
	hash := rapid.SampledFrom([]string{"", "h1", "h2"}).Draw(t, "hash")
	sign := rapid.SampledFrom([]string{"+", "-"}).Draw(t, "sign")
	return rapid.SampledFrom([]string{
		"user " + name() + " " + hash, "user " + name() + " roles=" + name() + "," + name() + " " + hash, "put " + name() + " " + hash,
		"update " + name() + " " + hash + ". " + sign + name(), "role " + name(), "role " + name() + " read=" + pattern() + " write=" + pattern(),
		"change " + name() + " " + sign + "read=" + pattern() + " " + sign + "write=" + pattern(),
		"drop " + name(), "droprole " + name(), "enable", "disable",
	}).Draw(t, "command")
}

func bytesOf(t interface{ Fatal(...any) }, s *auth.State) string {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.Message())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Whatever the commands are: a state that was handed out stays what it is, and one that was written
// to a snapshot and restored goes on alike.
func TestStatesAreImmutable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var s, revived *auth.State
		var states []*auth.State
		var was []string
		for i := range rapid.IntRange(1, 40).Draw(rt, "commands") {
			c := parse(t, drawCommand(rt))
			next, out := s.Apply(uint64(i+1), c)
			again, outAgain := revived.Apply(uint64(i+1), c)
			if show(out) != show(outAgain) || bytesOf(rt, next) != bytesOf(rt, again) {
				rt.Fatalf("%v: %s, and after a restore %s", c, show(out), show(outAgain))
			}
			if next.Enabled() && next.User("root") == nil {
				rt.Fatal("it is on without a user root")
			}
			s, revived = next, again
			states, was = append(states, s), append(was, bytesOf(rt, s))
			if m := s.Message(); m != nil && rapid.Bool().Draw(rt, "restore") {
				var err error
				if revived, err = auth.FromMessage(m); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for i, s := range states {
			if bytesOf(rt, s) != was[i] {
				rt.Fatalf("the state at %d has changed", i+1)
			}
		}
	})
}

// Users and roles are bounded, and one may always take something away.
func TestBounds(t *testing.T) {
	s := state(t, "user root h")
	long := strings.Repeat("x", 1<<20)
	create := func(i int) auth.Outcome {
		var out auth.Outcome
		s, out = s.Apply(uint64(10+i), parse(t, fmt.Sprintf("role r%d read=/%s", i, long)))
		return out
	}
	i := 0
	for ; i < 100; i++ {
		if out := create(i); out.Failure != nil {
			if show(out) != refusal(auth.TooLarge, "") {
				t.Fatal(show(out))
			}
			break
		}
	}
	if i < 4 || i == 100 {
		t.Fatalf("%d roles of a megabyte each", i)
	}
	s, out := s.Apply(200, parse(t, "droprole r0"))
	if out.Failure != nil {
		t.Error(show(out))
	}
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprint(i))
	}
	for _, command := range []string{"user al h roles=", "role r read=", "role r write="} {
		if _, out := s.Apply(300, parse(t, command+strings.Join(many, ","))); show(out)[:9] != refusal(auth.TooLarge, "")[:9] {
			t.Errorf("%s...: %s", command, show(out))
		}
	}
}

func TestFromMessage(t *testing.T) {
	users := func(names ...string) (all []*storepb.User) {
		for _, name := range names {
			all = append(all, &storepb.User{Name: name, Hash: "h"})
		}
		return all
	}
	for name, m := range map[string]*storepb.Users{
		"no revision":   {},
		"out of order":  {Revision: 1, Users: users("b", "a")},
		"twice":         {Revision: 1, Users: users("a", "a")},
		"no name":       {Revision: 1, Users: users("")},
		"role root":     {Revision: 1, Roles: []*storepb.Role{{Name: "root"}}},
		"roles twice":   {Revision: 1, Roles: []*storepb.Role{{Name: "a"}, {Name: "a"}}},
		"on, no root":   {Revision: 1, Enabled: true, Users: users("a")},
		"role, no name": {Revision: 1, Roles: []*storepb.Role{{}}},
	} {
		if _, err := auth.FromMessage(m); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
