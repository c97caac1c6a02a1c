package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etcd/credentials/certtest"
	"etcd/internal/freeport"
)

// monitor is a Prometheus that scrapes a cluster.
type monitor struct {
	t       *testing.T
	address string
}

// configBlock is the configuration that contrib/README.md shows.
var configBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// duration is how long the condition of an alert has to hold.
var duration = regexp.MustCompile(`(?m)^( +for: ).*$`)

// startMonitor starts Prometheus with the configuration that contrib/README.md shows, the
// addresses of a cluster, and the rules of contrib. Only time passes faster: it scrapes and
// evaluates every second, and an alert fires after two.
func startMonitor(t *testing.T, ca *certtest.CA, c *cluster) *monitor {
	t.Helper()
	dir := t.TempDir()
	shown := configBlock.FindStringSubmatch(readFile(t, contribPage))
	if shown == nil {
		t.Fatalf("%s shows no configuration", contribPage)
	}
	config := strings.ReplaceAll(shown[1], ": 15s", ": 1s")
	for i, s := range c.members {
		config = strings.ReplaceAll(config, fmt.Sprintf("10.0.0.%d:4001", i+1), s.client)
	}
	pair := ca.Issue("prometheus")
	rules := duration.ReplaceAllString(readFile(t, rulesFile), "${1}2s")
	for name, data := range map[string][]byte{
		"prometheus.yml": []byte(config), "etcd.rules.yml": []byte(rules),
		"clientCA.crt": ca.PEM, "prometheus.crt": pair.Cert, "prometheus.key": pair.Key,
	} {
		place(t, filepath.Join(dir, name), data)
	}
	path := filepath.Join(dir, "prometheus.yml")
	if said, ok := promtool(t, nil, "check", "config", path); !ok {
		t.Fatal(said)
	}
	m := &monitor{t, freeport.Address(t)}
	cmd := exec.Command("prometheus", "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+m.address, "--log.level=warn")
	cmd.Dir = dir
	p := launch(t, cmd)
	waitUntil(t, "Prometheus is ready", func() bool {
		select {
		case <-p.exited:
			t.Fatal("Prometheus has ended")
		default:
		}
		answer, err := exchange(m.address, get("/-/ready"))
		return err == nil && answer.status == 200
	})
	return m
}

// ask decodes the data of an answer of the API, and reports whether there is any.
func (m *monitor) ask(path string, data any) error {
	answer, err := exchange(m.address, get(path))
	if err != nil {
		return err
	}
	body := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal([]byte(answer.body), &body); err != nil || body.Status != "success" {
		return fmt.Errorf("%s: %d %s (%v)", path, answer.status, answer.body, err)
	}
	return nil
}

// query returns how many series a query has now.
func (m *monitor) query(expr string) (int, error) {
	var data struct{ Result []json.RawMessage }
	err := m.ask("/api/v1/query?query="+url.QueryEscape(expr), &data)
	return len(data.Result), err
}

// firing returns the alerts that fire, with their instances if they have one.
func (m *monitor) firing() []string {
	m.t.Helper()
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	if err := m.ask("/api/v1/alerts", &data); err != nil {
		m.t.Fatal(err)
	}
	firing := []string{}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			firing = append(firing, strings.TrimSpace(a.Labels["alertname"]+" "+a.Labels["instance"]))
		}
	}
	slices.Sort(firing)
	return firing
}

// wait returns once the alerts that fire are as they should be.
func (m *monitor) wait(what string, condition func(firing []string) bool) {
	m.t.Helper()
	var firing []string
	if !holdsSoon(func() bool {
		firing = m.firing()
		return condition(firing)
	}) {
		m.t.Fatalf("not within %s: %s; firing: %q", waitLimit, what, firing)
	}
}

// TestAlertFires lets a real Prometheus watch three machines, one of which is killed and comes
// back, with the configuration, the rules and the dashboard of contrib.
func TestAlertFires(t *testing.T) {
	t.Parallel()
	needPrometheus(t)
	ca := certtest.New("CA")
	c := startSecure(t, ca)
	m := startMonitor(t, ca, c.cluster)
	waitUntil(t, "all machines are up", func() bool {
		n, err := m.query(`up{job="etcd"} == 1`)
		return err == nil && n == len(c.members)
	})
	m.wait("a healthy cluster is no reason for an alert", func(firing []string) bool { return len(firing) == 0 })
	c.useAll()
	m.checkDashboard()

	victim := c.follower()
	survivors := c.others(victim)
	victim.kill()
	m.wait("the machine is missed, and its peers and the cluster say so", func(firing []string) bool {
		for _, want := range []string{
			"EtcdMachineDown " + victim.client, "EtcdQuorumAtRisk",
			"EtcdPeerDisconnected " + survivors[0].client, "EtcdPeerDisconnected " + survivors[1].client,
		} {
			if !slices.Contains(firing, want) {
				return false
			}
		}
		return true
	})
	for _, other := range survivors {
		if firing := m.firing(); slices.Contains(firing, "EtcdMachineDown "+other.client) {
			t.Errorf("a machine that runs counts as down: %q", firing)
		}
	}
	victim.start()
	m.wait("all alerts are resolved", func(firing []string) bool { return len(firing) == 0 })
}

// checkDashboard checks that every panel has something to show.
func (m *monitor) checkDashboard() {
	m.t.Helper()
	fill := strings.NewReplacer("$job", "etcd", "$instance", ".*", "$__rate_interval", "10s", "$__range", "1m")
	for _, p := range readDashboard(m.t).Panels {
		for _, target := range p.Targets {
			expr := fill.Replace(target.Expr)
			var err error
			if !holdsSoon(func() bool {
				var n int
				n, err = m.query(expr)
				return err != nil || n > 0
			}) {
				m.t.Errorf("the panel %s shows nothing: %s", p.Title, expr)
			} else if err != nil {
				m.t.Errorf("the panel %s: %v", p.Title, err)
			}
		}
	}
}
