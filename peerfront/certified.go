package peerfront

import (
	"crypto/tls"

	"etcd/httpfront"
	"etcd/listen"
	"etcd/transport"
)

// Faults for which the peer port refuses a machine.

var (
	refusedScheme      = listen.Fault{What: "refused a request to join", Hint: "; start it like the machines of this cluster, with -serverCert and -serverKey or without"}
	refusedCertificate = listen.Fault{What: "refused a machine for its certificate"} // the error says what to do
)

// caller is the sender of a request, with the fault of its certificate at the last check.
type caller struct {
	x     *httpfront.Exchange
	check func(state tls.ConnectionState, host string) error // of [Config]
	fault error
}

func (f *front) caller(x *httpfront.Exchange) *caller { return &caller{x: x, check: f.certified} }

// certified returns the check of the connection's certificate; nil if machines need none.
func (v *caller) certified() transport.Certified {
	state, ok := v.x.Conn().TLS()
	if !ok || v.check == nil {
		return nil
	}
	return func(host string) error {
		v.fault = v.check(state, host)
		return v.fault
	}
}

// reportRefusal logs that a machine was refused for its certificate, if that was the answer.
func (v *caller) reportRefusal() {
	if v.x.Fasthttp().Response.StatusCode() == transport.StatusUncertified {
		v.x.Report(refusedCertificate, v.fault)
	}
}

// membersOnly restricts a handler to machines whose certificate names the host of a member.
func (f *front) membersOnly(h httpfront.Handler) httpfront.Handler {
	return func(x *httpfront.Exchange) httpfront.Answer {
		if err := x.Machine().Inbox.Belongs(f.caller(x).certified(), ""); err != nil {
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
