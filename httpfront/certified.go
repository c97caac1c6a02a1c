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

// certified is what the certificate of the connection is asked with; nil if machines need
// none.
func (r *request) certified() transport.Certified {
	state, ok := r.ctx.Conn().(*conn).TLS()
	if !ok || r.server.cfg.Certified == nil {
		return nil
	}
	return func(host string) error {
		r.certificateFault = r.server.cfg.Certified(state, host)
		return r.certificateFault
	}
}

// membersOnly keeps a handler for machines whose certificate names the host of a member.
func membersOnly(h handler) handler {
	return func(r *request) answer {
		if err := r.server.machine.Inbox.Belongs(r.certified(), ""); err != nil {
			return r.uncertified(err)
		}
		return h(r)
	}
}

// uncertified refuses a machine for its certificate.
func (r *request) uncertified(err error) answer {
	r.server.port.Report(r.ctx.Conn(), refusedCertificate, err)
	return httpError(transport.StatusUncertified, err.Error())
}

// logUncertified is the same for what has been answered already.
func (r *request) logUncertified() {
	if r.ctx.Response.StatusCode() == transport.StatusUncertified {
		r.server.port.Report(r.ctx.Conn(), refusedCertificate, r.certificateFault)
	}
}
