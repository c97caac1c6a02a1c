// Package grpcfront is the gRPC side of the client port: it serves the connections of clients that
// speak HTTP/2, which package httpfront hands to it.
//
// It owns the gRPC server with its limits, its services, and how their streams end at a stop. It must
// never listen, do a TLS handshake, or count connections: that is done for all clients of the port in
// one place, package listen.
//
// It promises that
//   - it serves from the start of the process, and says by grpc.health.v1 whether the machine is ready;
//   - handlers find the state of TLS, with the client's certificate, in the AuthInfo of their peer
//     (a [credentials.TLSInfo]) whenever the client came over TLS;
//   - a stop lets the calls in flight finish until its time is over, and then cuts all of them off;
//   - an RPC that it does not have is answered with Unimplemented.
package grpcfront
