package peerfront

import (
	"crypto/tls"

	"etcd/httpfront"
	"etcd/listen"
	"etcd/transport"
)

// What the port for other machines demands of their certificates.

var (
	refusedScheme      = listen.Fault{What: "refused a machine that wants to join", Hint: "; start it like the machines of this cluster, with -serverCert and -serverKey or without"}
	refusedCertificate = listen.Fault{What: "refused a machine for its certificate"} // the error says what to do
)

// visitor is whoever asks something, with what was wrong with its certificate when that was
// last looked at.
type visitor struct {
	x     *httpfront.Exchange
	check func(state tls.ConnectionState, host string) error // of [Config]
	fault error
}

func (f *front) visitor(x *httpfront.Exchange) *visitor { return &visitor{x: x, check: f.certified} }

// certified is what the certificate of the connection is asked with; nil if machines need
// none.
func (v *visitor) certified() transport.Certified {
	state, ok := v.x.Conn().TLS()
	if !ok || v.check == nil {
		return nil
	}
	return func(host string) error {
		v.fault = v.check(state, host)
		return v.fault
	}
}

// refused logs that a machine was refused for its certificate, if that is what it was
// answered.
func (v *visitor) refused() {
	if v.x.Fasthttp().Response.StatusCode() == transport.StatusUncertified {
		v.x.Report(refusedCertificate, v.fault)
	}
}

// membersOnly keeps a handler for machines whose certificate names the host of a member.
func (f *front) membersOnly(h httpfront.Handler) httpfront.Handler {
	return func(x *httpfront.Exchange) httpfront.Answer {
		if err := x.Machine().Inbox.Belongs(f.visitor(x).certified(), ""); err != nil {
			return uncertified(x, err)
		}
		return h(x)
	}
}

// uncertified refuses a machine for its certificate.
func uncertified(x *httpfront.Exchange, err error) httpfront.Answer {
	x.Report(refusedCertificate, err)
	return httpfront.HTTPError(transport.StatusUncertified, err.Error())
}
