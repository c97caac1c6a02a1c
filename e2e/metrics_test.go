package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etcd/credentials/certtest"
)

// The files of contrib, and the page that lists the metrics.
var (
	rulesFile     = filepath.Join("..", "contrib", "prometheus", "etcd.rules.yml")
	ruleTests     = filepath.Join("..", "contrib", "prometheus", "etcd.rules.test.yml")
	dashboardFile = filepath.Join("..", "contrib", "grafana", "etcd.json")
	contribPage   = filepath.Join("..", "contrib", "README.md")
	metricsPage   = filepath.Join("..", "docs", "operations.md")
)

// notIdiomatic are the metrics of which promtool complains, and why they keep their names.
var notIdiomatic = map[string]string{
	"etcd_server_snapshot_apply_in_progress_total": "a gauge that etcd 3.4 calls a total",
	"etcd_debugging_mvcc_keys_total":               "the same",
}

// documentedMetric is a line of a table of docs/operations.md.
type documentedMetric struct {
	kind   string
	labels []string // sorted
}

var documentedLine = regexp.MustCompile("(?m)^\\| `((?:etcd|os)_[a-z0-9_]+)` \\| ([a-z]+) \\|([^|]*)\\|")

// documentedMetrics returns the metrics that docs/operations.md lists.
func documentedMetrics(t *testing.T) map[string]documentedMetric {
	t.Helper()
	documented := map[string]documentedMetric{}
	for _, m := range documentedLine.FindAllStringSubmatch(readFile(t, metricsPage), -1) {
		if _, twice := documented[m[1]]; twice {
			t.Errorf("%s lists %s twice", metricsPage, m[1])
		}
		labels := strings.FieldsFunc(m[3], func(r rune) bool { return strings.ContainsRune("`, ", r) })
		slices.Sort(labels)
		documented[m[1]] = documentedMetric{kind: m[2], labels: labels}
	}
	return documented
}

// undocumented returns where a scrape and the tables differ.
func (f metricFamilies) undocumented(documented map[string]documentedMetric) []string {
	var differences []string
	for name, want := range documented {
		family := f[name]
		if family == nil {
			differences = append(differences, name+" is documented and not served")
			continue
		}
		got := documentedMetric{
			kind:   strings.ToLower(family.GetType().String()),
			labels: slices.Sorted(maps.Keys(f.labels(name))),
		}
		if got.kind != want.kind || !slices.Equal(got.labels, want.labels) {
			differences = append(differences, fmt.Sprintf("%s is documented as a %s with the labels %v, and served as a %s with %v",
				name, want.kind, want.labels, got.kind, got.labels))
		}
	}
	for name := range f {
		_, known := documented[name]
		if mine := strings.HasPrefix(name, "etcd_") || strings.HasPrefix(name, "os_"); mine && !known {
			differences = append(differences, name+" is served and not documented")
		}
	}
	slices.Sort(differences)
	return differences
}

// query is a PromQL expression of contrib, and the labels that texts beside it show.
type query struct {
	where string // the alert or panel
	expr  string
	shows []string
}

// alert is an alert rule.
type alert struct {
	name, severity, summary, runbook string
	expr                             string
}

// alertRule matches a rule as it is written in etcd.rules.yml.
var alertRule = regexp.MustCompile(`(?m)^ {6}- alert: (\w+)
 {8}expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)(?: {8}for: \w+\n)? {8}labels:
 {10}severity: (\w+)
 {8}annotations:
 {10}summary: (".*")
 {10}runbook: >-
((?: {12}.*\n)+)`)

// alerts returns the alert rules of contrib.
func alerts(t *testing.T) []alert {
	t.Helper()
	var all []alert
	text := readFile(t, rulesFile)
	for _, m := range alertRule.FindAllStringSubmatch(text, -1) {
		all = append(all, alert{name: m[1], expr: m[2] + m[3], severity: m[4], summary: m[5], runbook: m[6]})
	}
	if n := strings.Count(text, "alert: "); len(all) != n || n == 0 {
		t.Fatalf("%s has %d alerts; %d of them are an expr, severity, summary and runbook, in this order", rulesFile, n, len(all))
	}
	return all
}

// dashboard is what the test reads of a Grafana dashboard.
type dashboard struct {
	Templating struct {
		List []struct {
			Name       string
			Type       string
			Datasource struct{ UID string }
			Query      json.RawMessage
		}
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  struct{ UID string }
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		Datasource         struct{ UID string }
		Expr, LegendFormat string
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readFile(t, dashboardFile)), &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	return d
}

var (
	labelOfAlert  = regexp.MustCompile(`\$labels\.(\w+)`)
	labelOfLegend = regexp.MustCompile(`\{\{(\w+)\}\}`)
	labelValues   = regexp.MustCompile(`label_values\((.*), (\w+)\)`)
	quoted        = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	seriesName    = regexp.MustCompile(`\b(?:etcd|go|process|os)_[a-zA-Z0-9_]+`)
	selector      = regexp.MustCompile(`(\b(?:etcd|go|process|os)_[a-zA-Z0-9_]+)\{([^}]*)\}`)
	matcher       = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping      = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
)

// labelsIn returns the first group of every match.
func labelsIn(pattern *regexp.Regexp, text string) []string {
	var labels []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		labels = append(labels, m[1])
	}
	return labels
}

// queries returns every expression of the rules and the dashboard.
func queries(t *testing.T) []query {
	t.Helper()
	var all []query
	for _, a := range alerts(t) {
		all = append(all, query{"alert " + a.name, a.expr, labelsIn(labelOfAlert, a.summary+a.runbook)})
		for _, name := range seriesName.FindAllString(a.runbook, -1) {
			all = append(all, query{where: "runbook of " + a.name, expr: name})
		}
	}
	d := readDashboard(t)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, query{"panel " + p.Title, target.Expr, labelsIn(labelOfLegend, target.LegendFormat)})
		}
	}
	for _, v := range d.Templating.List {
		for _, m := range labelValues.FindAllStringSubmatch(string(v.Query), -1) {
			all = append(all, query{"variable " + v.Name, strings.ReplaceAll(m[1], `\"`, `"`), m[2:]})
		}
	}
	return all
}

// unserved returns what a query names and a machine does not serve: metrics, labels of them, and
// values of these labels. A runbook may name a histogram as a whole.
func (f metricFamilies) unserved(q query) []string {
	var missing []string
	known := []string{"job", "instance"} // Prometheus adds them
	for _, series := range seriesName.FindAllString(quoted.ReplaceAllString(q.expr, `""`), -1) {
		name := f.family(series)
		if name == "" && q.expr == series && f[series] != nil {
			name = series
		}
		if name == "" {
			missing = append(missing, series)
			continue
		}
		known = append(known, slices.Collect(maps.Keys(f.labels(name)))...)
		if strings.HasSuffix(series, "_bucket") {
			known = append(known, "le")
		}
	}
	if len(missing) > 0 {
		return missing
	}
	for _, m := range selector.FindAllStringSubmatch(q.expr, -1) {
		values := f.labels(f.family(m[1]))
		for _, label := range matcher.FindAllStringSubmatch(m[2], -1) {
			if label[1] == "job" || label[1] == "instance" {
				continue
			}
			if values[label[1]] == nil {
				missing = append(missing, fmt.Sprintf("the label %s of %s", label[1], m[1]))
			} else if exact := label[2] == "=" || label[2] == "!="; exact && !slices.Contains(values[label[1]], label[3]) {
				missing = append(missing, fmt.Sprintf("the value %s of the label %s of %s", label[3], label[1], m[1]))
			}
		}
	}
	for _, list := range labelsIn(grouping, q.expr) {
		for _, label := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
			if !slices.Contains(known, label) {
				missing = append(missing, "the label "+label)
			}
		}
	}
	for _, label := range q.shows {
		if !slices.Contains(known, label) {
			missing = append(missing, "the label "+label+" that is shown")
		}
	}
	return missing
}

// readFile returns the text of a file.
func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// needPrometheus skips a test without the programs of Debian's package prometheus.
func needPrometheus(t *testing.T) {
	t.Helper()
	for _, program := range []string{"promtool", "prometheus"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s (of the package prometheus)", program)
		}
	}
}

// promtool runs promtool and returns what it says.
func promtool(t *testing.T, stdin io.Reader, args ...string) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(out), err == nil
}

// useAll makes a cluster do what metrics with labels count.
func (c *secureCluster) useAll() {
	c.t.Helper()
	s := c.leader()
	s.event(post("/v1/keys/a", "value", "1"))
	s.event(post("/v1/keys/a", "value", "2", "prevValue", "1"))
	s.event(post("/v1/keys/ttl", "value", "1", "ttl", "100"))
	s.event(del("/v1/keys/ttl"))
	s.event(get("/v1/keys/a"))
	s.event(get("/v1/keys/none"))
	watch := s.background(get("/v1/watch/a"))
	s.waitWatchers(1)
	s.event(post("/v1/keys/a", "value", "3"))
	watch.wait(c.t)
}

// TestMetricsOfContrib compares what the members of a cluster serve with the tables of
// docs/operations.md, the alert rules and the dashboard.
func TestMetricsOfContrib(t *testing.T) {
	t.Parallel()
	c := startSecure(t, certtest.New("CA"))
	c.useAll()

	t.Run("tables", func(t *testing.T) {
		documented := documentedMetrics(t)
		for _, s := range c.members {
			// A round trip to a member is measured some time after it has connected.
			var differences []string
			if !holdsSoon(func() bool {
				served, _ := s.scrape(t)
				differences = served.undocumented(documented)
				return len(differences) == 0
			}) {
				t.Errorf("%s and %s:\n%s", metricsPage, s.name, strings.Join(differences, "\n"))
			}
		}
	})
	t.Run("queries", func(t *testing.T) {
		for _, s := range c.members {
			served, _ := s.scrape(t)
			for _, q := range queries(t) {
				if missing := served.unserved(q); len(missing) > 0 {
					t.Errorf("%s names what %s does not serve: %s", q.where, s.name, strings.Join(missing, ", "))
				}
			}
		}
	})
	t.Run("promtool check metrics", func(t *testing.T) {
		needPrometheus(t)
		_, text := c.leader().scrape(t)
		said, _ := promtool(t, strings.NewReader(text), "check", "metrics")
		complained := map[string]bool{}
		for line := range strings.Lines(said) {
			name, _, _ := strings.Cut(line, " ")
			complained[name] = true
			if notIdiomatic[name] == "" {
				t.Error(strings.TrimSpace(line))
			}
		}
		for name := range notIdiomatic {
			if !complained[name] {
				t.Errorf("promtool does not complain of %s", name)
			}
		}
	})
}

// TestAlertRules runs the unit tests of the alert rules, and checks that a runbook leads
// somewhere.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	anchors := map[string]map[string]bool{}
	reference := regexp.MustCompile(`docs/[a-z0-9-]+\.md(?:#[a-z0-9-]+)?`)
	names := map[string]bool{}
	for _, a := range alerts(t) {
		if names[a.name] {
			t.Errorf("two alerts are called %s", a.name)
		}
		names[a.name] = true
		if a.severity != "critical" && a.severity != "warning" {
			t.Errorf("%s has the severity %s", a.name, a.severity)
		}
		for _, r := range reference.FindAllString(a.runbook, -1) {
			page, anchor, _ := strings.Cut(r, "#")
			if anchors[page] == nil {
				anchors[page] = headings(readFile(t, filepath.Join("..", filepath.FromSlash(page))))
			}
			if anchor != "" && !anchors[page][anchor] {
				t.Errorf("the runbook of %s refers to %s, which does not exist", a.name, r)
			}
		}
	}
	for _, a := range alerts(t) {
		for _, other := range regexp.MustCompile(`\bEtcd\w+`).FindAllString(a.runbook, -1) {
			if !names[other] {
				t.Errorf("the runbook of %s refers to the alert %s, which does not exist", a.name, other)
			}
		}
	}
	needPrometheus(t)
	if said, ok := promtool(t, nil, "check", "rules", rulesFile); !ok {
		t.Error(said)
	}
	if said, ok := promtool(t, nil, "test", "rules", ruleTests); !ok {
		t.Error(said)
	}
}

// headings returns the anchors of the headings of a page.
func headings(page string) map[string]bool {
	anchors := map[string]bool{}
	drop := regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		anchors[strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return anchors
}

// TestDashboard checks what Grafana would show without an error message: panels that hide each
// other or have the same ID, and a data source that exists only where the dashboard was made.
func TestDashboard(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	const source = "${datasource}"
	for _, v := range d.Templating.List {
		if v.Type == "query" && v.Datasource.UID != source {
			t.Errorf("the variable %s asks the data source %q", v.Name, v.Datasource.UID)
		}
	}
	ids, taken := map[int]string{}, map[[2]int]string{}
	var rows []string
	for _, p := range d.Panels {
		if other, twice := ids[p.ID]; twice {
			t.Errorf("%s and %s have the ID %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s has the place of %q, or none", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != source {
			t.Errorf("the panel %s has no description, no query, or a fixed data source", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != source {
				t.Errorf("the panel %s asks the data source %q", p.Title, target.Datasource.UID)
			}
		}
	}
	for _, want := range []string{"Cluster", "Requests", "Mailboxes", "Disk", "Peers", "Watches"} {
		if !slices.Contains(rows, want) {
			t.Errorf("no row %s, only %q", want, rows)
		}
	}
}
