package grpcfront

import "google.golang.org/grpc"

// NewWith returns a server with services of a test as well.
func NewWith(cfg Config, services func(grpc.ServiceRegistrar)) *Server {
	s := newServer(cfg)
	services(s.grpc)
	s.start()
	return s
}
