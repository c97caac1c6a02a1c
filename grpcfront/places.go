package grpcfront

import (
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// maxViews is how many calls may look at views of the state at a time: what looks at more keys than the store actor
// does itself.
const maxViews = 64

// places are for those calls.
type places struct {
	taken   chan struct{}
	refused atomic.Uint64
}

func newPlaces() *places { return &places{taken: make(chan struct{}, maxViews)} }

// enter takes a place, which leave gives back.
func (p *places) enter() error {
	select {
	case p.taken <- struct{}{}:
		return nil
	default:
		p.refused.Add(1)
		return rpctypes.ErrGRPCRequestTooManyRequests
	}
}

func (p *places) leave() { <-p.taken }
