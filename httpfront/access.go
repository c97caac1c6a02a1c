package httpfront

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/valyala/fasthttp"

	"etcd/passwords"
	"etcd/store"
	"etcd/store/auth"
	"etcd/watch"
)

// While users and roles are on, everything that a handler asks for is checked here, whichever API it
// is of: keys by their paths and commands by what they do, when the handler asks for them; everything else by
// the Guard of its route, before the handler is called.

// Guard says who may use a route while users and roles are on.
type Guard uint8

const (
	// Refused lets nobody in. It is that of a route which says nothing.
	Refused Guard = iota
	// Open lets everybody in.
	Open
	// ByKey leaves it to the checks of what the handler asks for: Read, Propose, Watch, Follow, Require.
	ByKey
	// RootChanges lets everybody read, and only root do anything else.
	RootChanges
	// RootOnly lets only root in.
	RootOnly
)

// ErrUnauthorized means that the client may not do what it asks for, or is not who it says it is.
var ErrUnauthorized = errors.New("insufficient credentials")

// errUnsettled means that a command was checked in vain as often as it may be.
var errUnsettled = errors.New("users and roles change all the time; nothing was done")

// errMayWait means that it takes long to find out who a client is, and the goroutine must not wait.
var errMayWait = errors.New("httpfront: it may take long to verify the password")

// maxChecks is how often a command is checked and proposed again because users and roles have changed
// meanwhile.
const maxChecks = 16

// need is what a client has to be allowed to for what it asks for.
type need struct {
	key  string // a key; "": root, or own
	deep bool   // with everything below the key
	read bool   // and not written
	own  string // the user who may do it as well as root; "": nobody
}

// claim is who a client says it is.
type claim struct {
	read     bool // what the request says was read
	named    bool // it names a user, or tries to
	user     string
	password string
	broken   bool // it is not understood
	cert     bool // a certificate names the user
}

// pass is what was found out about a request, for checking it again later.
type pass struct {
	users *auth.State // with which it was checked; not enabled: it was not
	user  string      // "": nobody was named
	hash  string      // of the password that was verified
	cert  bool
}

// isEnforced reports whether requests to this port are checked.
func (s *Server) isEnforced() bool { return !s.cfg.Peer && !s.cfg.Trusted }

// check returns nil if the client may do what needs n, and otherwise why not. It is not decided
// if the error is errMayWait.
func (x *Exchange) check(n need) error {
	users := x.server.machine.Auth()
	x.pass.users = users
	if !users.Enabled() || !x.server.isEnforced() {
		return nil
	}
	if err := x.identify(users); err != nil {
		return x.server.refuse(err)
	}
	if !x.pass.may(users, n) {
		return x.server.refuse(ErrUnauthorized)
	}
	return nil
}

// checkCommand is check for a command.
func (x *Exchange) checkCommand(command []byte) error {
	if !x.server.machine.Auth().Enabled() {
		return x.check(need{})
	}
	needs, err := store.Needs(command)
	if err != nil {
		return err
	}
	return x.check(need{key: needs.Key, deep: needs.Deep, own: needs.Own})
}

// checked returns a command that was checked, as it is proposed.
func (x *Exchange) checked(command []byte) []byte {
	if !x.pass.users.Enabled() {
		return command
	}
	return store.Checked(command, x.pass.users.Revision())
}

// changed reports whether users and roles have changed since the request was checked.
func (x *Exchange) changed() bool { return x.pass.users != x.server.machine.Auth() }

// may reports whether whoever has the pass may do what needs n.
func (p *pass) may(users *auth.State, n need) bool {
	switch {
	case n.key == "":
		return users.IsRoot(p.user) || n.own != "" && n.own == p.user
	case n.read:
		return users.MayRead(p.user, n.key, n.deep)
	}
	return users.MayWrite(p.user, n.key, n.deep)
}

// isValid reports whether the pass is still that of the user: the user exists, with the same password.
func (p *pass) isValid(users *auth.State) bool {
	if p.user == "" {
		return true
	}
	u := users.User(p.user)
	return u != nil && (p.cert || u.Hash == p.hash)
}

// identify finds out who the client is.
func (x *Exchange) identify(users *auth.State) error {
	if !x.claim.read {
		x.claim = x.claims()
	}
	c, p := &x.claim, &x.pass
	p.user, p.hash, p.cert = "", "", false
	switch {
	case c.broken:
		return ErrUnauthorized
	case c.cert:
		if users.User(c.user) != nil { // whoever has another certificate is a guest
			p.user, p.cert = c.user, true
		}
		return nil
	case !c.named:
		return nil
	}
	hash := ""
	if u := users.User(c.user); u != nil {
		hash = u.Hash
	}
	known, err := x.server.cfg.Passwords.Recall(c.user, c.password, hash)
	switch {
	case known:
	case x.direct != nil && !x.mayWait:
		return errMayWait
	default:
		x.session.conn.place.leave()
		err = x.server.cfg.Passwords.Verify(x.Conn().RemoteAddr().String(), c.user, c.password, hash, x.Deadline)
	}
	if err == nil {
		p.user, p.hash = c.user, hash
	}
	return err
}

// claims reads who the client says it is: basic auth, or else the common name of its certificate.
func (x *Exchange) claims() claim {
	values := x.Header().PeekAll(fasthttp.HeaderAuthorization)
	switch {
	case len(values) > 1:
		return claim{read: true, broken: true}
	case len(values) == 0 || len(values[0]) == 0:
		return x.certified()
	}
	user, password, ok := parseBasic(string(values[0]))
	if !ok {
		return claim{read: true, broken: true}
	}
	return claim{read: true, named: true, user: user, password: password}
}

// certified returns the claim of a client certificate that was verified.
func (x *Exchange) certified() claim {
	state, ok := x.Conn().TLS()
	if !ok || len(state.VerifiedChains) == 0 {
		return claim{read: true}
	}
	name := state.VerifiedChains[0][0].Subject.CommonName
	return claim{read: true, cert: name != "", user: name}
}

// parseBasic reads the value of an Authorization header.
func parseBasic(value string) (user, password string, ok bool) {
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(decoded), ":")
}

// isKnown reports whether it takes no time to find out who the client of a direct request is.
func (x *Exchange) isKnown() bool {
	if !x.server.isEnforced() {
		return true
	}
	users := x.server.machine.Auth()
	return !users.Enabled() || !errors.Is(x.identify(users), errMayWait)
}

// guard returns the answer to a client that may not use a route; nil: it may.
func (x *Exchange) guard(r *Route) Answer {
	switch {
	case r.Guard == Open, r.Guard == ByKey, r.Guard == RootChanges && x.onlyReads(), !x.server.isEnforced(), !x.server.isAttached():
		return nil
	case r.Guard == Refused:
		if !x.server.machine.Auth().Enabled() {
			return nil
		}
		return x.refuse(x.server.refuse(ErrUnauthorized))
	case r.Early: // it is about this machine, and has to work without a leader
		x.Start()
		if err := x.check(need{}); err != nil {
			return x.refuse(err)
		}
		return nil
	}
	return x.Require("")
}

func (x *Exchange) onlyReads() bool { return x.Header().IsGet() || x.Header().IsHead() }

// Require returns the answer to a client that is neither root nor the given user; nil: it is. Other
// machines may know better who that is, so this one catches up first.
func (x *Exchange) Require(user string) Answer {
	if !x.server.isEnforced() {
		return nil
	}
	if err := x.Sync(); err != nil {
		return x.fail(err)
	}
	if err := x.check(need{own: user}); err != nil {
		return x.refuse(err)
	}
	return nil
}

// User returns the user that a check of the request has found; "" if there was none, or users and roles
// are off.
func (x *Exchange) User() string { return x.pass.user }

// HashPassword returns the hash of a password. It takes long.
func (x *Exchange) HashPassword(password string) (string, error) {
	return x.server.cfg.Passwords.Hash(password, x.Deadline)
}

// afterCheck is what goes on when it is known who the client is.
type afterCheck func(x *Exchange) Answer

// orWait returns the answer to a request that was not let through with err. If that is not decided, it
// calls again where it may wait.
func (x *Exchange) orWait(err error, again afterCheck) Answer {
	if !errors.Is(err, errMayWait) {
		return x.refuse(err)
	}
	x.direct.then = again
	x.direct.conn.deliver(&checkLater{})
	return nil
}

// checkLater has a direct request go on on a goroutine of its own.
type checkLater struct{}

// Answers implements [actors.Answer].
func (*checkLater) Answers() uint64 { return 0 }

// refuse returns the answer to a request that is refused with err.
func (x *Exchange) refuse(err error) Answer { return refusal(err, x.fail(err)) }

// fail returns the answer to a request that failed with err, in the shape of its API.
func (x *Exchange) fail(err error) Answer { return x.operation.fail(x.server.machine, err) }

// refusal has a client that is not authorized asked for a user and a password.
func refusal(err error, a Answer) Answer {
	if errors.Is(err, ErrUnauthorized) {
		return challenge{a}
	}
	return a
}

// challenge asks for a user and a password.
type challenge struct{ Answer }

func (a challenge) Write(resp *fasthttp.Response) {
	a.Answer.Write(resp)
	resp.Header.Set(fasthttp.HeaderWWWAuthenticate, `Basic realm="etcd", charset="UTF-8"`)
}

// refuse counts why a request is refused.
func (s *Server) refuse(err error) error {
	m := s.metrics
	switch {
	case errors.Is(err, passwords.ErrWrong):
		m.wrongPassword.Add(1)
		return ErrUnauthorized
	case errors.Is(err, passwords.ErrBusy):
		m.passwordBusy.Add(1)
	case errors.Is(err, passwords.ErrGuessing):
		m.passwordGuessing.Add(1)
	case errors.Is(err, ErrUnauthorized):
		m.unauthorized.Add(1)
	}
	return err
}

// A watch is checked once more whenever it has something to tell and users and roles have changed.

// watchPass is what was checked when a watch began.
type watchPass struct {
	pass
	needs []need
}

// checkWatch checks a request for events of keys. There is no pass as long as users and roles are off.
func (x *Exchange) checkWatch(first watch.Watcher, others []watch.Watcher) (*watchPass, error) {
	if err := x.check(needOf(first)); err != nil {
		return nil, err
	}
	if !x.pass.users.Enabled() {
		return nil, nil
	}
	needs := []need{needOf(first)}
	for _, w := range others {
		if !x.pass.may(x.pass.users, needOf(w)) && x.server.isEnforced() {
			return nil, x.server.refuse(ErrUnauthorized)
		}
		needs = append(needs, needOf(w))
	}
	return &watchPass{x.pass, needs}, nil
}

func needOf(w watch.Watcher) need { return need{key: w.Path, deep: w.Recursive, read: true} }

// isPermitted reports whether the client of a watch may have what has come for it.
func (w *parkedWatch) isPermitted(s *Server) bool {
	users := s.machine.Auth()
	switch {
	case !s.isEnforced() || !users.Enabled():
		return true
	case w.pass == nil: // users and roles were off
		return users.GuestMayDoEverything()
	case w.pass.users == users:
		return true
	case !w.pass.isValid(users):
		return false
	}
	for _, n := range w.pass.needs {
		if !w.pass.may(users, n) {
			return false
		}
	}
	w.pass.users = users
	return true
}

// refusal is the answer to a watch whose client may not have what has come for it.
func (w *parkedWatch) refusal(s *Server) Answer {
	return refusal(ErrUnauthorized, w.operation.fail(s.machine, s.refuse(ErrUnauthorized)))
}
