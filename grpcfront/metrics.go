package grpcfront

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Metrics of calls have the names and labels that dashboards know from other servers of gRPC.
var (
	methodLabels = []string{"grpc_type", "grpc_service", "grpc_method"}

	startedDesc  = prometheus.NewDesc("grpc_server_started_total", "Calls that have begun.", methodLabels, nil)
	handledDesc  = prometheus.NewDesc("grpc_server_handled_total", "Calls that have ended, by how.", append(methodLabels[:3:3], "grpc_code"), nil)
	receivedDesc = prometheus.NewDesc("grpc_server_msg_received_total", "Messages of clients.", methodLabels, nil)
	sentDesc     = prometheus.NewDesc("grpc_server_msg_sent_total", "Messages to clients.", methodLabels, nil)
)

// maxCode is the last of the codes with which a call can end.
const maxCode = codes.Unauthenticated

// method counts the calls of a method.
type method struct {
	started, received, sent atomic.Uint64
	ended                   [maxCode + 1]atomic.Uint64
}

func (m *method) end(err error) {
	code := codes.OK
	if err != nil {
		code = min(status.Code(err), maxCode)
	}
	m.ended[code].Add(1)
}

// methods are all methods, by their full names. There are no others from the start on.
type methods map[string]*method

// add counts the methods of the services that are registered.
func (all methods) add(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, m := range info.Methods {
			all["/"+service+"/"+m.Name] = &method{}
		}
	}
}

func (all methods) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	m := all[info.FullMethod]
	m.started.Add(1)
	m.received.Add(1)
	answer, err := handle(ctx, request)
	if m.end(err); err == nil {
		m.sent.Add(1)
	}
	return answer, err
}

func (all methods) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	m := all[info.FullMethod]
	m.started.Add(1)
	err := handle(service, countedStream{stream, m})
	m.end(err)
	return err
}

// countedStream counts the messages of a stream.
type countedStream struct {
	grpc.ServerStream
	of *method
}

func (s countedStream) SendMsg(m any) error {
	err := s.ServerStream.SendMsg(m)
	if err == nil {
		s.of.sent.Add(1)
	}
	return err
}

func (s countedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil {
		s.of.received.Add(1)
	}
	return err
}

// Describe implements [prometheus.Collector].
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{startedDesc, handledDesc, receivedDesc, sentDesc} {
		ch <- desc
	}
}

// Collect implements [prometheus.Collector].
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	for service, info := range s.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			labels := []string{typeOf(m), service, m.Name}
			count := func(desc *prometheus.Desc, n *atomic.Uint64, more ...string) {
				ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n.Load()), append(labels[:3:3], more...)...)
			}
			counts := s.methods["/"+service+"/"+m.Name]
			count(startedDesc, &counts.started)
			count(receivedDesc, &counts.received)
			count(sentDesc, &counts.sent)
			for code := range counts.ended {
				count(handledDesc, &counts.ended[code], codes.Code(code).String())
			}
		}
	}
}

// typeOf returns the type of a method, as it is in labels.
func typeOf(m grpc.MethodInfo) string {
	switch {
	case m.IsClientStream && m.IsServerStream:
		return "bidi_stream"
	case m.IsClientStream:
		return "client_stream"
	case m.IsServerStream:
		return "server_stream"
	}
	return "unary"
}
