package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// metric is what is measured, with its unit.
type metric string

const (
	throughput   metric = "op/s"
	cpuPerOp     metric = "CPU µs/op"
	p50          metric = "p50 ms"
	p99          metric = "p99 ms"
	p999         metric = "p99.9 ms"
	p99Write     metric = "p99 ms of writes meanwhile"
	worst        metric = "longest ms"
	best         metric = "shortest ms"
	events       metric = "number"
	cpuPerEvent  metric = "CPU µs/event"
	cpuPerCycle  metric = "CPU µs/event and next watch"
	last         metric = "last hears after ms"
	cpuPerKey    metric = "CPU µs/key"
	cpuPerDial   metric = "CPU µs/connection"
	perWatcher   metric = "bytes/watcher"
	perIdle      metric = "bytes/connection"
	perKey       metric = "bytes/key"
	memory       metric = "RSS MiB"
	restart      metric = "restart s"
	lists        metric = "listings/s"
	refusals     metric = "refusals/s"
	diskPerValue metric = "disk bytes/value byte"
)

// metrics are the columns of tables, in this order.
var metrics = []metric{throughput, events, lists, refusals, p50, p99, p999, best, worst, last, p99Write, cpuPerOp, cpuPerEvent, cpuPerCycle, cpuPerKey, cpuPerDial,
	perWatcher, perIdle, perKey, memory, restart, diskPerValue}

// params are the sizes at which something was measured; 0 is none.
type params struct {
	Machines    int `json:"machines,omitempty"`
	Clients     int `json:"clients,omitempty"` // that share the connections
	Connections int `json:"connections,omitempty"`
	Watchers    int `json:"watchers,omitempty"`
	Idle        int `json:"idle_connections,omitempty"`
	Keys        int `json:"keys,omitempty"`
	Compacted   int `json:"compacted_versions,omitempty"`
}

func (p params) String() string {
	var parts []string
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{p.Machines, "machine", "machines"}, {p.Clients, "client", "clients"}, {p.Connections, "connection", "connections"}, {p.Watchers, "watcher", "watchers"},
		{p.Idle, "idle connection", "idle connections"}, {p.Keys, "key", "keys"},
		{p.Compacted, "version compacted", "versions compacted"},
	} {
		switch {
		case part.n == 1:
			parts = append(parts, "1 "+part.one)
		case part.n > 1:
			parts = append(parts, grouped(part.n)+" "+part.many)
		}
	}
	return strings.Join(parts, ", ")
}

// figure is what was measured of one system in one piece of work at one size.
type figure struct {
	Work   string             `json:"work"`
	System string             `json:"system"`
	At     params             `json:"at"`
	Values map[metric]float64 `json:"values"`
	// Latencies is the distribution of what the percentiles are of.
	Latencies []point `json:"latencies,omitempty"`
}

// ratio is a figure of the first system of a piece of work divided by that of another.
type ratio struct {
	Work   string             `json:"work"`
	At     params             `json:"at"`
	Of     string             `json:"of"`
	To     string             `json:"to"`
	Values map[metric]float64 `json:"values"`
}

// report is the outcome of a run.
type report struct {
	Settings string            `json:"settings"`
	Versions map[string]string `json:"versions"`
	Missing  []string          `json:"missing,omitempty"`
	Notes    map[string]string `json:"notes,omitempty"` // of a piece of work
	Figures  []figure          `json:"figures"`
	Ratios   []ratio           `json:"ratios"`
	Targets  []verdict         `json:"targets"`
}

func (r *report) add(f figure) { r.Figures = append(r.Figures, f) }

// note says something of a piece of work below its title.
func (r *report) note(work, text string) {
	if r.Notes == nil {
		r.Notes = map[string]string{}
	}
	r.Notes[work] = text
}

// finish computes what follows from the figures.
func (r *report) finish() {
	r.Ratios, r.Targets = nil, nil
	for _, work := range r.works() {
		for _, at := range r.sizes(work) {
			figures := r.find(work, at)
			for _, f := range figures[1:] {
				r.Ratios = append(r.Ratios, ratioOf(figures[0], f))
			}
		}
	}
	for _, t := range targets {
		r.Targets = append(r.Targets, t.judge(r))
	}
}

func ratioOf(a, b figure) ratio {
	q := ratio{Work: a.Work, At: a.At, Of: a.System, To: b.System, Values: map[metric]float64{}}
	for m, v := range a.Values {
		if w, measured := b.Values[m]; measured && w != 0 && m != events {
			q.Values[m] = v / w
		}
	}
	return q
}

// works returns the titles of all work, in the order of measuring.
func (r *report) works() (all []string) {
	for _, f := range r.Figures {
		if !slices.Contains(all, f.Work) {
			all = append(all, f.Work)
		}
	}
	return all
}

// sizes returns the sizes at which some work was measured.
func (r *report) sizes(work string) (all []params) {
	for _, f := range r.Figures {
		if f.Work == work && !slices.Contains(all, f.At) {
			all = append(all, f.At)
		}
	}
	return all
}

// find returns the figures of all systems in some work at some size.
func (r *report) find(work string, at params) (all []figure) {
	for _, f := range r.Figures {
		if f.Work == work && f.At == at {
			all = append(all, f)
		}
	}
	return all
}

// value returns one value of one system.
func (r *report) value(work string, at params, system string, m metric) (float64, bool) {
	for _, f := range r.find(work, at) {
		if f.System == system {
			v, measured := f.Values[m]
			return v, measured
		}
	}
	return 0, false
}

// writeJSON writes the whole report.
func (r *report) writeJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// writeTables writes the report as markdown.
func (r *report) writeTables(out io.Writer) {
	fmt.Fprintf(out, "%s\n", r.Settings)
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(out, "- %s: %s\n", name, r.Versions[name])
	}
	for _, m := range r.Missing {
		fmt.Fprintf(out, "- not measured: %s\n", m)
	}
	for _, work := range r.works() {
		fmt.Fprintf(out, "\n## %s\n\n", work)
		if note := r.Notes[work]; note != "" {
			fmt.Fprintf(out, "%s\n\n", note)
		}
		r.writeWork(out, work)
	}
	writeTargets(out, r.Targets)
}

// writeWork writes one table: at each size a row for each system, then one for each ratio.
func (r *report) writeWork(out io.Writer, work string) {
	var columns []metric
	for _, m := range metrics {
		if slices.ContainsFunc(r.Figures, func(f figure) bool { _, has := f.Values[m]; return has && f.Work == work }) {
			columns = append(columns, m)
		}
	}
	fmt.Fprint(out, "| at | server |")
	for _, m := range columns {
		fmt.Fprintf(out, " %s |", m)
	}
	fmt.Fprintf(out, "\n|---|---|%s\n", strings.Repeat("---:|", len(columns)))
	row := func(at params, name string, values map[metric]float64) {
		fmt.Fprintf(out, "| %s | %s |", at, name)
		for _, m := range columns {
			if v, has := values[m]; has {
				fmt.Fprintf(out, " %s |", digits(v))
			} else {
				fmt.Fprint(out, " |")
			}
		}
		fmt.Fprintln(out)
	}
	for _, at := range r.sizes(work) {
		for _, f := range r.find(work, at) {
			row(at, f.System, f.Values)
		}
		for _, q := range r.Ratios {
			if q.Work == work && q.At == at {
				row(at, "*"+q.Of+" / "+q.To+"*", q.Values)
			}
		}
	}
}

// digits writes a number with three digits or all before the point.
func digits(v float64) string {
	switch {
	case v >= 9999.5:
		return grouped(int(v + 0.5))
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.0995 || v == 0:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// grouped writes a number with commas between thousands.
func grouped(n int) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
