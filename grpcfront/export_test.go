package grpcfront

import (
	"context"

	"google.golang.org/grpc"
)

// NewWith returns a server with services of a test as well.
func NewWith(cfg Config, services func(grpc.ServiceRegistrar)) *Server {
	s := newServer(cfg)
	services(s.grpc)
	s.start()
	return s
}

// Errors that are no part of rpctypes.
var ErrStreamSorted, ErrStreamFiltered = errStreamSorted, errStreamFiltered

// InFlight returns how many calls wait for the machine.
func (s *Server) InFlight() int64 { return s.sessions.inFlight.Load() }

// CheckMetadata checks the metadata of a call.
func CheckMetadata(ctx context.Context, hasLeader bool) error { return checkMetadata(ctx, hasLeader) }

// AnswerBytes returns how many bytes answers keep.
func (s *Server) AnswerBytes() int64 { return s.answers.bytes.Load() }
