package transport

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A refusal is logged once for each host and reason, however often it happens.
func TestRefusalsAreLogged(t *testing.T) {
	log, logger := newLog()
	cfg := testConfig(bob)
	cfg.Log = logger
	m := startMachine(t, machineConfig{Config: cfg, admit: func(Hello) (int, string) { return http.StatusConflict, "there is one already" }})
	own := requestOf(http.MethodGet, StreamPath, Control, nil)
	foreign := strings.Replace(string(own), fmt.Sprintf("%s: %x", headerCluster, cluster), headerCluster+": c2", 1)
	for range 50 {
		exchange(t, m.addr, own)
		exchange(t, m.addr, []byte(foreign))
	}
	log.waitFor(t, "level=INFO", "peer connection refused", "status=409", "there is one already")
	log.waitFor(t, "level=WARN", "peer connection refused", "status=412", "lost its data directory")
	loud := 0
	for line := range strings.Lines(log.text.String()) {
		if strings.Contains(line, "peer connection refused") && !strings.Contains(line, "level=DEBUG") {
			loud++
		}
	}
	if loud != 2 {
		t.Errorf("%d lines about 100 refusals for two reasons:\n%s", loud, log.text.String())
	}
}
