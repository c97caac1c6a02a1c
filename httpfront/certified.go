package httpfront

import (
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
	x     *Exchange
	fault error
}

// certified is what the certificate of the connection is asked with; nil if machines need
// none.
func (v *visitor) certified() transport.Certified {
	state, ok := v.x.Conn().TLS()
	if !ok || v.x.server.cfg.Certified == nil {
		return nil
	}
	return func(host string) error {
		v.fault = v.x.server.cfg.Certified(state, host)
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
func membersOnly(h Handler) Handler {
	return func(x *Exchange) Answer {
		v := visitor{x: x}
		if err := x.Machine().Inbox.Belongs(v.certified(), ""); err != nil {
			return uncertified(x, err)
		}
		return h(x)
	}
}

// uncertified refuses a machine for its certificate.
func uncertified(x *Exchange, err error) Answer {
	x.Report(refusedCertificate, err)
	return HTTPError(transport.StatusUncertified, err.Error())
}
