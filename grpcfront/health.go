package grpcfront

import (
	"context"

	grpchealth "google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// health is grpc.health.v1. The service "" is the machine.
type health struct {
	*grpchealth.Server
	stopping context.Context
}

func newHealth(stopping context.Context) *health {
	h := &health{grpchealth.NewServer(), stopping}
	h.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	return h
}

func (h *health) serving() { h.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING) }

// Watch implements [grpc_health_v1.HealthServer]. It ends when a stop begins, which would wait for it.
func (h *health) Watch(req *grpc_health_v1.HealthCheckRequest, to grpc_health_v1.Health_WatchServer) error {
	ctx, cancel := context.WithCancel(to.Context())
	defer cancel()
	defer context.AfterFunc(h.stopping, cancel)()
	err := h.Server.Watch(req, watch{to, ctx})
	if h.stopping.Err() != nil {
		return errStopped
	}
	return err
}

// watch is a stream with another context.
type watch struct {
	grpc_health_v1.Health_WatchServer
	ctx context.Context
}

func (w watch) Context() context.Context { return w.ctx }
