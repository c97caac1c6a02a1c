package ops

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
	"etcd/httpfront/v1"
)

// serveMetrics serves a client port with the metrics of its machine, and of itself.
func serveMetrics(t *testing.T) (s *fronttest.Server, scrape func() string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	s = fronttest.Serve(t, fronttest.Loopback(t), fronttest.Config(), func(clock *fronttest.Clock) []httpfront.Route {
		cfg := testConfig(clock)
		cfg.Metrics = registry
		return append(Routes(cfg), v1.Routes(v1.Config{})...)
	})
	registry.MustRegister(s.Machine, httpfront.Collector{s.Server})
	scraper := s.Dial()
	return s, func() string {
		t.Helper()
		r := scraper.Get("/metrics")
		if r.Status != 200 || r.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
			t.Fatalf("%d %q: %s", r.Status, r.Header.Get("Content-Type"), r.Body)
		}
		return r.Body
	}
}

func TestMetrics(t *testing.T) {
	s, scrape := serveMetrics(t)
	c := s.Dial()
	c.Set("/dir/a", "value=1")
	c.Set("/b", "value=12&ttl=100")
	c.Get("/v1/keys/b")
	c.Get("/v1/keys/none")
	c.Do("POST", "/v1/keys/b", "value=2&prevValue=1")
	c.Do("PATCH", "/v1/keys/b", "")
	watching := s.Dial()
	watching.Send("%s", fronttest.RawRequest("GET", "/v1/watch/a", ""))
	s.WaitForWatchers(1)
	deadline := time.Now().Add(fronttest.Timeout)
	want := func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			for got := scrape(); !strings.Contains(got, "\n"+line); got = scrape() {
				if time.Now().After(deadline) {
					t.Fatalf("no line %s in\n%s", line, got)
				}
			}
		}
	}
	want(
		"etcd_server_has_leader 1", "etcd_server_is_leader 1", "etcd_server_is_learner 0", `etcd_server_id{server_id="000000000000000b"} 1`,
		"etcd_server_leader_changes_seen_total 1", "etcd_server_proposals_failed_total 0", "etcd_raft_log_full 0",
		"etcd_store_keys 3", "etcd_store_directories 3", "etcd_store_deadlines 1", "etcd_store_bytes 107", // with those of /_etcd/machines
		"etcd_store_history_events 3", "etcd_store_history_limit_events 1000",
		`etcd_debugging_store_writes_total{action="set"} 2`, `etcd_debugging_store_writes_failed_total{action="compareAndSwap"} 1`,
		`etcd_debugging_store_reads_total{action="get"} 1`, `etcd_debugging_store_reads_failed_total{action="get"} 1`,
		"etcd_debugging_store_watchers 1", "etcd_debugging_store_watch_requests_total 1", `etcd_watch_subscribers{state="current"} 1`,
		`etcd_http_requests_total{api="v1",code="200",operation="POST /v1/keys",port="client"} 2`,
		`etcd_http_requests_total{api="v1",code="404",operation="GET /v1/keys",port="client"} 1`,
		`etcd_http_requests_total{api="v1",code="400",operation="POST /v1/keys",port="client"} 1`,
		`etcd_http_requests_total{api="none",code="405",operation="none",port="client"} 1`,
		`etcd_http_request_duration_seconds_count{api="v1",operation="POST /v1/keys",port="client"} 3`,
		`etcd_http_connections{port="client",protocol="http"} `, `etcd_actor_running{kind="session"} `,
		`etcd_actor_messages_received_total{kind="raft"} `, `etcd_actor_handling_duration_seconds_count{kind="store"} `,
		"etcd_disk_wal_fsync_duration_seconds_count ", `etcd_cluster_members{role="voter"} 1`,
	)
	c.Set("/a", "value=1")
	if r := watching.Reply("GET"); r.Status != 200 {
		t.Errorf("the watch: %d", r.Status)
	}
	want("etcd_debugging_store_watchers 0\n", "etcd_watch_events_delivered_total 1\n",
		`etcd_http_requests_total{api="v1",code="200",operation="GET /v1/watch",port="client"} 1`+"\n",
	)
	if strings.Contains(scrape(), `etcd_http_request_duration_seconds_count{api="v1",operation="GET /v1/watch"`) {
		t.Error("a watch is timed, although it waits for its event")
	}
}

// brokenGatherer has one metric, and one that is broken.
type brokenGatherer struct{}

func (brokenGatherer) Gather() ([]*dto.MetricFamily, error) {
	return []*dto.MetricFamily{{
		Name: new("good"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: new(1.0)}}},
	}}, errors.New("broken")
}

func TestBrokenMetrics(t *testing.T) {
	cfg := testConfig(fronttest.NewClock())
	var log fronttest.LogBuffer
	cfg.Metrics, cfg.Log = brokenGatherer{}, log.Logger()
	s := fronttest.ServeWithout(t, fronttest.Loopback(t), fronttest.Config(), Routes(cfg))
	if r := s.Dial().Get("/metrics"); r.Status != 200 || r.Body != "# TYPE good gauge\ngood 1\n" {
		t.Errorf("%d %q", r.Status, r.Body)
	}
	if said := log.Take(); !strings.Contains(said, "some metrics cannot be gathered") || !strings.Contains(said, "broken") {
		t.Errorf("logged %q", said)
	}
}

// slowGatherer waits until it may go on.
type slowGatherer struct{ entered, leave chan struct{} }

func (g slowGatherer) Gather() ([]*dto.MetricFamily, error) {
	g.entered <- struct{}{}
	<-g.leave
	return nil, nil
}

func TestTooManyScrapes(t *testing.T) {
	cfg := testConfig(fronttest.NewClock())
	g := slowGatherer{make(chan struct{}), make(chan struct{})}
	cfg.Metrics = g
	s := fronttest.ServeWithout(t, fronttest.Loopback(t), fronttest.Config(), Routes(cfg))
	var scrapers []*fronttest.Client
	for range maxScrapes {
		c := s.Dial()
		c.Send("%s", fronttest.RawRequest("GET", "/metrics", ""))
		<-g.entered
		scrapers = append(scrapers, c)
	}
	fronttest.Check(t, s.Dial().Get("/metrics"), 503, `{"errorCode":503,"message":"Service Unavailable","cause":"too many scrapes at a time"}`)
	close(g.leave)
	for _, c := range scrapers {
		if r := c.Reply("GET"); r.Status != 200 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
}

func TestAdmin(t *testing.T) {
	cfg := testConfig(fronttest.NewClock())
	var log fronttest.LogBuffer
	cfg.Log = log.Logger()
	s := fronttest.ServeWithout(t, fronttest.Loopback(t), fronttest.Config(), Admin(cfg))
	c := s.Dial()
	fronttest.Check(t, c.Get("/debug/log-level"), 200, "info")
	fronttest.Check(t, c.Do("PUT", "/debug/log-level", "debug"), 200, "debug")
	if level := cfg.LogLevel.Level().String(); level != "DEBUG" {
		t.Errorf("the level is %s", level)
	}
	if said := log.Take(); !strings.Contains(said, "the log level was changed") || !strings.Contains(said, "from=INFO to=DEBUG by=127.0.0.1:") {
		t.Errorf("logged %q", said)
	}
	fronttest.Check(t, c.Do("PUT", "/debug/log-level", "loud"), 400,
		`{"errorCode":209,"message":"Invalid field","cause":"\"loud\" is no log level: want debug, info, warn or error"}`)
	fronttest.Check(t, c.Get("/debug/log-level"), 200, "debug")
	fronttest.Check(t, c.Get("/debug/pprof/"), 404, `{"errorCode":404,"message":"Not Found","cause":"/debug/pprof"}`)
	for _, target := range []string{"/metrics", "/livez", "/health", "/version"} {
		if r := c.Get(target); r.Status == 404 {
			t.Errorf("%s: %d", target, r.Status)
		}
	}
	fronttest.Check(t, c.Get("/v1/keys/a"), 404, `{"errorCode":404,"message":"Not Found","cause":"/v1/keys/a"}`)

	cfg.Pprof = true
	s = fronttest.ServeWithout(t, fronttest.Loopback(t), fronttest.Config(), Admin(cfg))
	for _, target := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1"} {
		if r := s.Dial().Get(target); r.Status != 200 || r.Body == "" {
			t.Errorf("%s: %d %q", target, r.Status, r.Body)
		}
	}
	for _, target := range []string{"/debug/pprof/cmdline", "/debug/pprof//cmdline", "/debug/pprof/%63mdline", "/debug/pprof/x/../cmdline"} {
		if r := s.Dial().Get(target); strings.Contains(r.Body, os.Args[0]) || r.Status == 200 {
			t.Errorf("%s: %d %q", target, r.Status, r.Body)
		}
	}
}
