package peerfront

import (
	"etcd/httpfront"
	"etcd/transport"
)

// The streams of members, which package transport serves.

func (f *front) acceptStream(x *httpfront.Exchange) httpfront.Answer {
	v := f.caller(x)
	x.Machine().Receiver.Stream(x.Fasthttp(), v.certified())
	v.reportRefusal()
	return nil
}

func (f *front) acceptSnapshot(x *httpfront.Exchange) httpfront.Answer {
	m, v := x.Machine(), f.caller(x)
	m.Receiver.Snapshot(x.Fasthttp(), v.certified(), transport.Intake{Offered: m.OfferSnapshot, Receive: m.ReceiveSnapshot})
	v.reportRefusal()
	return nil
}

func (f *front) presence(x *httpfront.Exchange) httpfront.Answer {
	m, v := x.Machine(), f.caller(x)
	admit := func(addr string) error { return m.Inbox.Belongs(v.certified(), addr) }
	m.Receiver.Presence(x.Fasthttp(), admit, m.Inbox.Places(), m.Inbox.Trusted)
	v.reportRefusal()
	return nil
}
