package httpfront

import (
	"encoding/base64"
	"strings"

	"github.com/valyala/fasthttp"

	"etcd/store/auth"
)

// claim is who a client says it is.
type claim struct {
	read     bool // what the request says was read
	named    bool // it names a user, or tries to
	user     string
	password string
	broken   bool // it is not understood
	cert     bool // a certificate names the user
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
