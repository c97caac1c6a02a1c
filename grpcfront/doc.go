// Package grpcfront is the gRPC side of the client port: it serves the connections of clients that
// speak HTTP/2, which package httpfront hands to it.
//
// It owns the gRPC server with its limits, its services, and how their streams end at a stop. It must
// never listen, do a TLS handshake, or count connections: that is done for all clients of the port in
// one place, package listen.
//
// It promises that
//   - it serves from the start of the process, and says by grpc.health.v1 whether the machine is ready;
//   - handlers find the state of TLS, with the client's certificate, in the connection of their call whenever the client
//     came over TLS;
//   - a stop lets the calls in flight finish until its time is over, and then cuts all of them off;
//   - an RPC that it does not have is answered with Unimplemented;
//   - a request is answered as etcd 3.7 does, with the errors of package rpctypes, whatever is wrong with it;
//   - no call waits longer than the request timeout for the machine, except for memory to be freed, if the client
//     asks for that;
//   - nobody reads or writes a key while users and roles are on.
//
// A call goes through three steps: admit (may it begin?), check (is the request valid?), and a session that asks
// the machine. What is asked and answered is converted in requests.go and answers.go.
package grpcfront
