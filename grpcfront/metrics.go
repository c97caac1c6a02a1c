package grpcfront

import (
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
	answersDesc  = prometheus.NewDesc("grpc_server_answer_memory_bytes", "Bytes that answers keep in memory until their clients have taken them, but for small ones.", nil, nil)
	refusedDesc  = prometheus.NewDesc("grpc_server_refused_total", "Calls that were refused because too many are in flight, or look at large ranges, or because large answers have no room.", nil, nil)
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

// Describe implements [prometheus.Collector].
func (s *Server) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{startedDesc, handledDesc, receivedDesc, sentDesc, answersDesc, refusedDesc} {
		ch <- desc
	}
}

// Collect implements [prometheus.Collector].
func (s *Server) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(answersDesc, prometheus.GaugeValue, float64(s.answers.bytes.Load()))
	ch <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(s.refused()))
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

// refused returns how many calls were refused because of a limit.
func (s *Server) refused() uint64 {
	n := s.answers.refused.Load() + s.places.refused.Load()
	select {
	case <-s.attached:
		return n + s.sessions.refused.Load()
	default:
		return n
	}
}
