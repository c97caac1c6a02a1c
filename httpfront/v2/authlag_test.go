package v2

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"etcd/actors"
	"etcd/httpfront/fronttest"
	"etcd/store"
	"etcd/store/storepb"
)

// metric returns a value of the machine, of the kind of actor if that is given.
func (s guarded) metric(name, kind string) float64 {
	s.T.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Machine)
	families, err := registry.Gather()
	if err != nil {
		s.T.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if kind == "" || m.GetLabel()[0].GetValue() == kind {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	s.T.Fatalf("there is no %s", name)
	return 0
}

// rises calls do, and waits until a value of the machine has risen.
func (s guarded) rises(name, kind string, do func()) {
	s.T.Helper()
	before := s.metric(name, kind)
	do()
	for deadline := time.Now().Add(fronttest.Timeout); s.metric(name, kind) <= before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.T.Fatalf("%s does not rise", name)
		}
	}
}

// A machine that lags has not applied yet what others know: that a user may not do any more what it asks
// for. It lets nothing of that through, and nothing is lost of what the user still may do.
func TestMachineThatLags(t *testing.T) {
	s := serveUsers(t)
	must(s.Dial(), "", "PUT", "/v2/keys/b", "value=1")
	s.enable([]string{"app /* /*"}, nil)
	hash := func(password string) string {
		h, err := s.passwords.Hash(password, time.Now().Add(fronttest.Timeout))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	update := func(u *storepb.UpdateUser) *storepb.Auth {
		return &storepb.Auth{Change: &storepb.Auth_UpdateUser{UpdateUser: u}}
	}
	user := ""
	for name, test := range map[string]struct {
		change  func() *storepb.Auth
		allowed bool // what the user asks for
	}{
		"a role is revoked": {func() *storepb.Auth { return update(&storepb.UpdateUser{Name: user, Revoke: []string{"app"}}) }, false},
		"another password":  {func() *storepb.Auth { return update(&storepb.UpdateUser{Name: user, Hash: hash("new")}) }, false},
		"the same password": {func() *storepb.Auth { return update(&storepb.UpdateUser{Name: user, Hash: hash("pw")}) }, true},
		"the user is deleted": {func() *storepb.Auth {
			return &storepb.Auth{Change: &storepb.Auth_DeleteUser{DeleteUser: &storepb.DeleteUser{Name: user}}}
		}, false},
		"another role is made": {func() *storepb.Auth {
			return &storepb.Auth{Change: &storepb.Auth_CreateRole{CreateRole: &storepb.CreateRole{Name: user}}}
		}, true},
		"users and roles go off": {func() *storepb.Auth {
			return &storepb.Auth{Change: &storepb.Auth_Disable{Disable: &storepb.Disable{}}}
		}, true},
	} {
		for i, request := range [][3]string{
			{"PUT", "/v2/keys/a", "value=1"}, {"DELETE", "/v2/keys/c?recursive=true", ""}, {"POST", "/v1/keys/a", "value=1"},
			{"GET", "/v2/keys/b?quorum=false", ""}, {"GET", "/v2/keys/b", ""}, {"GET", "/v1/keys/b", ""},
		} {
			user = strings.ReplaceAll(name, " ", "") + strconv.Itoa(i)
			c := s.Dial()
			must(c, "root:pw", "PUT", "/v2/auth/users/"+user, `{"user":"`+user+`","password":"pw","roles":["app"]}`)
			must(c, user+":pw", "GET", "/v2/auth/users/"+user, "")
			command := store.Checked(store.Encode(&storepb.Command{Kind: &storepb.Command_Auth{Auth: test.change()}}), s.Machine.Auth().Revision())
			release := fronttest.Block(t, s.Machine)
			s.rises("etcd_raft_commit_index", "", func() {
				s.Machine.System.Root.Send(s.Machine.Raft, &actors.Propose{Command: command})
			})
			send := func() { c.Send("%s", as(user+":pw", request)) }
			if request[0] == "GET" {
				s.rises("etcd_actor_mailbox_depth", "store", send)
			} else {
				s.rises("etcd_raft_commit_index", "", send)
			}
			release()
			if r := c.Reply(request[0]); (verdictOf(r.Status) == allowed) != test.allowed || r.Status >= 500 {
				t.Errorf("%s, %v: %d %s", name, request, r.Status, r.Body)
			}
			if !s.Machine.Auth().Enabled() {
				must(c, "", "PUT", "/v2/auth/enable", "")
			}
		}
	}
}

func as(user string, r [3]string) string { return request(user, r[0], r[1], r[2]) }

// While root revokes a role and grants it again, and changes what does not matter, nothing is written after a
// revocation was acknowledged, and nothing refused after a grant was.
func TestWritesRaceWithRoles(t *testing.T) {
	const (
		granted = iota
		revoking
		revoked
		granting
		phases
	)
	s := serveUsers(t)
	s.enable([]string{"app /* /*"}, []string{"al app"})
	var phase atomic.Int64
	var writers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		c := s.Dial()
		writers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				before := phase.Load()
				r := do(c, "al:pw", "PUT", "/v2/keys/a", "value=1")
				at := before % phases
				if phase.Load() != before {
					at = revoking // or granting: both are right
				}
				switch {
				case r.Status != 200 && r.Status != 201 && r.Status != 401:
					t.Errorf("%d %s", r.Status, r.Body)
				case r.Status != 401 && at == revoked, r.Status == 401 && at == granted:
					t.Errorf("%d in phase %d", r.Status, at)
				}
			}
		})
	}
	root := s.Dial()
	change := func(target, body string) { must(root, "root:pw", "PUT", "/v2/auth/"+target, body) }
	for i := range 15 {
		role := strconv.Itoa(i)
		change("roles/a"+role, `{"role":"a`+role+`"}`)
		phase.Add(1)
		change("users/al", `{"user":"al","revoke":["app"]}`)
		phase.Add(1)
		change("roles/b"+role, `{"role":"b`+role+`"}`)
		phase.Add(1)
		change("users/al", `{"user":"al","grant":["app"]}`)
		phase.Add(1)
	}
	close(done)
	writers.Wait()
}
