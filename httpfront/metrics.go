package httpfront

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"etcd/actors"
)

// requestBuckets are the upper bounds of those of the times that requests take, in seconds.
var requestBuckets = []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}

// metrics counts the requests to one port.
type metrics struct {
	operations []*operation
	unrouted   *operation // requests that are refused before it is known what they ask for
	slow       atomic.Uint64

	// Requests that were refused while users and roles are on.
	unauthorized, wrongPassword, passwordBusy, passwordGuessing atomic.Uint64
}

func newMetrics() *metrics {
	unrouted := &operation{api: "none", name: "none", fail: failV1}
	return &metrics{unrouted: unrouted, operations: []*operation{unrouted}}
}

const (
	minStatus = 100
	maxStatus = 599
)

// operation is a method of a route.
type operation struct {
	api, name string
	handler   Handler
	fail      func(m *actors.Machine, err error) Answer
	rank      rank
	times     prometheus.Histogram // nil: they say nothing
	codes     [maxStatus - minStatus + 1]atomic.Uint64
}

func (m *metrics) operation(port string, r Route, method string, h Handler) *operation {
	o := &operation{api: r.API, name: method + " " + r.Path, handler: h, fail: r.Fail, rank: r.rank(method)}
	if o.fail == nil {
		o.fail = failV1
	}
	if !r.Waits {
		o.times = prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "etcd_http_request_duration_seconds", Help: "How long requests take until their answer is written, but for those that wait for an event.",
			Buckets: requestBuckets, ConstLabels: prometheus.Labels{"port": port, "api": o.api, "operation": o.name},
		})
	}
	m.operations = append(m.operations, o)
	return o
}

func failV1(_ *actors.Machine, err error) Answer { return Unserved(err) }

// count counts an answer by its status.
func (o *operation) count(status int) {
	if status >= minStatus && status <= maxStatus {
		o.codes[status-minStatus].Add(1)
	}
}

// refusals returns how many requests were refused while users and roles are on, by the reason.
func (m *metrics) refusals() map[string]uint64 {
	return map[string]uint64{
		"permission": m.unauthorized.Load(), "password": m.wrongPassword.Load(),
		"busy": m.passwordBusy.Load(), "guessing": m.passwordGuessing.Load(),
	}
}

// finish counts the request, which was answered with a status, and logs it if it was slow.
func (x *Exchange) finish(status int) {
	x.operation.count(status)
	if x.operation.times == nil {
		return
	}
	took := time.Since(x.arrived)
	x.operation.times.Observe(took.Seconds())
	if slow := x.server.cfg.Slow; slow > 0 && took >= slow {
		x.server.metrics.slow.Add(1)
		x.logSlow(status, took)
	}
}

var (
	requestsDesc     = prometheus.NewDesc("etcd_http_requests_total", "Requests that were answered.", []string{"port", "api", "operation", "code"}, nil)
	slowDesc         = prometheus.NewDesc("etcd_http_slow_requests_total", "Requests that took longer than -slow.", nil, nil)
	connectionsDesc  = prometheus.NewDesc("etcd_http_connections", "Open connections.", []string{"port", "protocol"}, nil)
	refusedDesc      = prometheus.NewDesc("etcd_http_connections_refused_total", "Connections that were refused because there were too many.", []string{"port"}, nil)
	unauthorizedDesc = prometheus.NewDesc("etcd_http_unauthorized_total", "Requests that were refused while users and roles are on.", []string{"reason"}, nil)
	inFlightDesc     = prometheus.NewDesc("etcd_http_requests_in_flight", "Requests that wait for the machine.", nil, nil)
	maxInFlightDesc  = prometheus.NewDesc("etcd_http_requests_in_flight_limit", "The most of them, but for those with places of their own.", nil, nil)
	maxWatchersDesc  = prometheus.NewDesc("etcd_watch_limit", "The most watches there may be.", nil, nil)
	overloadDesc     = prometheus.NewDesc("etcd_http_overload_total", "Requests that were refused because there was no room for them.", []string{"reason"}, nil)
	answersDesc      = prometheus.NewDesc("etcd_http_answer_memory_bytes", "Bytes that answers keep in memory until their clients have read them, but for small ones.", []string{"port"}, nil)
	noAnswersDesc    = prometheus.NewDesc("etcd_http_answers_refused_total", "Answers that were refused or cut off because -max-answer-memory had no room for them.", []string{"port"}, nil)
	viewsDesc        = prometheus.NewDesc("etcd_store_views", "Views of the state that are held for listings of large directories.", nil, nil)
)

// collectConnections tells how many connections are open, with TLS or without it: those over HTTP/2 have a label of
// their own.
func (s *Server) collectConnections(ch chan<- prometheus.Metric, http1, http2 string, open, overHTTP2 int64) {
	ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(max(0, open-overHTTP2)), s.cfg.Port, http1)
	if s.cfg.HTTP2 != nil {
		ch <- prometheus.MustNewConstMetric(connectionsDesc, prometheus.GaugeValue, float64(overHTTP2), s.cfg.Port, http2)
	}
}

// Collector collects the metrics of all ports of a machine, that for clients first.
type Collector []*Server

// collectRoom tells how much of what is bounded is in use.
func (s *Server) collectRoom(ch chan<- prometheus.Metric) {
	for desc, n := range map[*prometheus.Desc]int64{
		inFlightDesc: s.inFlight.used.Load(), maxInFlightDesc: s.inFlight.limit, maxWatchersDesc: s.watchers.limit,
	} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n))
	}
	for reason, n := range map[string]uint64{
		"requests": s.inFlight.refused.Load(), "watchers": s.watchers.refused.Load(), "bodies": s.bodies.refused.Load(),
	} {
		ch <- prometheus.MustNewConstMetric(overloadDesc, prometheus.CounterValue, float64(n), reason)
	}
}

// Describe implements [prometheus.Collector]. It describes nothing: the operations are not its own.
func (c Collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c Collector) Collect(ch chan<- prometheus.Metric) {
	var slow uint64
	for reason, n := range c[0].metrics.refusals() {
		ch <- prometheus.MustNewConstMetric(unauthorizedDesc, prometheus.CounterValue, float64(n), reason)
	}
	c[0].collectRoom(ch)
	for _, s := range c {
		slow += s.metrics.slow.Load()
		overTLS := s.port.OpenOverTLS()
		if s.cfg.TLS != nil {
			s.collectConnections(ch, "https", "h2", overTLS, s.http2.overTLS.Load())
		}
		if s.cfg.TLS == nil || s.plain.Load() {
			s.collectConnections(ch, "http", "h2c", s.port.Open()-overTLS, s.http2.plain.Load())
		}
		ch <- prometheus.MustNewConstMetric(answersDesc, prometheus.GaugeValue, float64(s.answers.bytes()+s.reports.bytes()), s.cfg.Port)
		ch <- prometheus.MustNewConstMetric(noAnswersDesc, prometheus.CounterValue, float64(s.answers.refused.Load()+s.reports.refused.Load()), s.cfg.Port)
		ch <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(s.port.Refused()), s.cfg.Port)
		for _, o := range s.metrics.operations {
			asked := false // most operations never are
			for i := range o.codes {
				if n := o.codes[i].Load(); n > 0 {
					asked = true
					ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(n), s.cfg.Port, o.api, o.name, strconv.Itoa(minStatus+i))
				}
			}
			if asked && o.times != nil {
				ch <- o.times
			}
		}
	}
	ch <- prometheus.MustNewConstMetric(slowDesc, prometheus.CounterValue, float64(slow))
	ch <- prometheus.MustNewConstMetric(viewsDesc, prometheus.GaugeValue, float64(c[0].views.len()))
}
