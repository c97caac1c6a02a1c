package grpcfront

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/metadata"

	"etcd/actors"
	"etcd/store"
)

// audience says which members serve a call.
type audience uint8

const (
	voters audience = iota
	everybody
)

// admit returns the machine if a call may begin, and otherwise why not. It checks what does not depend on the
// request, in the order in which clients get to know it.
func (s *Server) admit(ctx context.Context, served audience) (*actors.Machine, error) {
	machine, err := s.awaitMachine(ctx)
	if err != nil {
		return nil, err
	}
	if machine.Applied().Version < store.VersionOfV3 {
		if err := s.awaitVersion(ctx, machine); err != nil {
			return nil, err
		}
	}
	raft := machine.LastStatus()
	if served == voters && !slices.Contains(raft.Voters, raft.MemberID) { // it may not know yet that it is a learner
		return nil, rpctypes.ErrGRPCNotSupportedForLearner
	}
	if err := checkMetadata(ctx, raft.Leader != 0); err != nil {
		return nil, err
	}
	if err := permitted(machine); err != nil {
		return nil, err
	}
	return machine, nil
}

// awaitMachine waits for the machine, as long as a call may wait for it later.
func (s *Server) awaitMachine(ctx context.Context) (*actors.Machine, error) {
	select {
	case <-s.attached:
		return s.machine, nil
	default:
	}
	timeout := time.NewTimer(s.cfg.RequestTimeout)
	defer timeout.Stop()
	select {
	case <-s.attached:
		return s.machine, nil
	case <-timeout.C:
		return nil, errNoAnswer
	case <-ctx.Done():
		return nil, errorOfEnd(ctx)
	case <-s.stopping.Done():
		return nil, errStopped
	}
}

// awaitVersion reports whether the cluster has this API. A machine that has just started may not know it yet, or
// may be about to raise the version: until it has had the time for that, it waits.
func (s *Server) awaitVersion(ctx context.Context, machine *actors.Machine) error {
	timeout := time.NewTimer(time.Until(s.settled))
	defer timeout.Stop()
	for {
		raised := machine.Raised()
		if machine.Applied().Version >= store.VersionOfV3 {
			return nil
		}
		select {
		case <-raised:
		case <-timeout.C:
			return rpctypes.ErrGRPCNotCapable
		case <-ctx.Done():
			return errorOfEnd(ctx)
		case <-s.stopping.Done():
			return errStopped
		}
	}
}

// checkMetadata checks what the client says besides its request.
func checkMetadata(ctx context.Context, hasLeader bool) error {
	if v := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataClientAPIVersionKey); len(v) > 0 && !utf8.ValidString(v[0]) {
		return rpctypes.ErrGRPCInvalidClientAPIVersion
	}
	if hasLeader {
		return nil
	}
	if v := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey); len(v) > 0 && v[0] == rpctypes.MetadataHasLeader {
		return rpctypes.ErrGRPCNoLeader
	}
	return nil
}

// permitted returns an error while users and roles are on: those of v2 say nothing about the keys of v3, so
// nobody has a right to them. It is asked again when an answer has come, because they may have been turned on
// meanwhile. A command that comes too late is refused when it is applied.
func permitted(machine *actors.Machine) error {
	if machine.Auth().Enabled() {
		return rpctypes.ErrGRPCPermissionDenied
	}
	return nil
}
