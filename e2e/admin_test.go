package e2e

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"etcd/internal/freeport"
)

// TestMetricsListener checks what is served at the listener of --listen-metrics-urls, and only there, and that
// the log is JSON if that is asked for.
func TestMetricsListener(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--listen-metrics-urls", freeport.Address(t), "--enable-pprof", "-log-format", "json", "-slow", "1ns")
	s.launch()
	var address string
	var lines []map[string]any
	logged := func(message string) (found map[string]any) {
		t.Helper()
		waitUntil(t, "it logs "+message, func() bool {
			lines = lines[:0]
			for text := range strings.Lines(s.proc.stderr()) {
				var line map[string]any
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					t.Fatalf("not JSON: %s", text)
				}
				if line["msg"] == message {
					found = line
				}
				lines = append(lines, line)
			}
			return found != nil
		})
		return found
	}
	logged("ready to serve client requests")
	address = logged("serving metrics")["addr"].(string)
	ask := func(r request) reply {
		t.Helper()
		answer, err := exchange(address, r)
		if err != nil {
			t.Fatalf("%s %s: %v", r.method, r.target, err)
		}
		return answer
	}
	for _, target := range []string{"/metrics", "/health", "/livez", "/readyz?verbose", "/version", "/debug/log-level", "/debug/pprof/heap"} {
		if answer := ask(get(target)); answer.status != 200 {
			t.Errorf("%s: %d %s", target, answer.status, answer.body)
		}
	}
	if answer := ask(get("/v1/keys/a")); answer.status != 404 {
		t.Errorf("a key at the metrics listener: %d %s", answer.status, answer.body)
	}
	for _, target := range []string{"/debug/log-level", "/debug/pprof/heap"} {
		if answer := s.do(get(target)); answer.status != 404 {
			t.Errorf("%s at the client port: %d", target, answer.status)
		}
	}
	for _, line := range []string{`etcd_http_connections{port="metrics",protocol="http"} 1`, `etcd_actor_running{kind="metricssession"} `} {
		waitUntil(t, "/metrics has the line "+line, func() bool { // the connections of the requests before are closed soon
			return strings.Contains(ask(get("/metrics")).body, "\n"+line)
		})
	}

	s.event(post("/v1/keys/a", "value", "1"))
	slow := logged("a request was slow")
	for _, part := range []string{"took", "leader", "log", "apply", "writing"} {
		if _, ok := slow[part].(float64); !ok {
			t.Errorf("a slow request says %v of %s", slow[part], part)
		}
	}

	put := request{method: "PUT", target: "/debug/log-level", body: []byte("error")}
	if answer := ask(put); answer.status != 200 || answer.body != "error" {
		t.Errorf("PUT /debug/log-level: %d %s", answer.status, answer.body)
	}
	logged("the log level was changed")
	before := len(lines)
	s.event(post("/v1/keys/a", "value", "2"))
	s.stop()
	for line := range strings.Lines(s.proc.stderr()) {
		if before--; before < 0 && !regexp.MustCompile(`"level":"ERROR"`).MatchString(line) {
			t.Errorf("logged at level error: %s", line)
		}
	}
}
