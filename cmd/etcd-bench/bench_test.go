package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && ceilings[os.Args[1]] != nil {
		main() // a ceiling is this program, started again
	}
	os.Exit(m.Run())
}

// A quick run measures ours in every kind of work there is, and says what is not installed.
func TestQuick(t *testing.T) {
	dir := t.TempDir()
	file, plots := filepath.Join(dir, "report.json"), filepath.Join(dir, "plots")
	var out bytes.Buffer
	err := run([]string{"-quick", "-etcd", "no-such-etcd", "-etcd37", "no-such-etcd37", "-zookeeper", filepath.Join(dir, "no-such.jar"), "-dir", dir, "-json", file, "-plots", plots},
		&out, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Missing) != 3 {
		t.Errorf("three servers are not installed, and the report says %q", r.Missing)
	}
	for _, work := range []string{workWrites, workLocalReads, workLinearizableReads, workMixed, "v3: " + workWrites, "v3: " + workLocalReads,
		"v3: " + workLinearizableReads, "v3: " + workMixed, workCompaction, "TLS: " + workWrites, workDials, workIdleTLSWatchers,
		workFanOut, workBesideWatchers, workSparse, workIdleWatchers, workIdleStreams, workIdleConnections, workExpiry, workBigData, workRestart, workFailover,
		workSnapshots, workReconnect, workListings, workOverload} {
		if !slices.Contains(r.works(), work) {
			t.Errorf("there is no figure of %q", work)
		}
		if !bytes.Contains(out.Bytes(), []byte("## "+work)) {
			t.Errorf("there is no table of %q", work)
		}
	}
	for _, f := range r.find(workWrites, params{Machines: 1, Connections: 8}) {
		if f.Values[throughput] <= 0 || f.Values[cpuPerOp] <= 0 || f.Values[p999] < f.Values[p50] || len(f.Latencies) == 0 {
			t.Errorf("writes: %+v", f)
		}
	}
	if _, measured := r.value(workWrites, params{Machines: 1, Connections: 8}, fasthttp, throughput); !measured {
		t.Error("the ceiling is not measured")
	}
	shared := params{Machines: 1, Clients: 20, Connections: 2}
	for _, system := range []string{ours, grpcGo} {
		if cost, measured := r.value("v3: "+workWrites, shared, system, cpuPerOp); !measured || cost <= 0 {
			t.Errorf("a write of v3 costs %s %v µs", system, cost)
		}
	}
	for _, compacted := range []int{0, 1000} {
		if n, _ := r.value(workCompaction, params{Machines: 1, Connections: typical, Compacted: compacted}, ours, events); n == 0 {
			t.Errorf("nothing is written while %d versions are compacted", compacted)
		}
	}
	if files, err := filepath.Glob(filepath.Join(plots, "*.svg")); err != nil || len(files) != len(plotters)-1 {
		t.Errorf("%d plots instead of %d, all but the one of three machines: %v", len(files), len(plotters)-1, err)
	}
}

func TestCommandLine(t *testing.T) {
	for _, bad := range [][]string{{"-work", "nothing"}, {"-connections", "1,x"}, {"-connections", "0"}, {"-time", "0s"}, {"-clients", "64"}, {"-clients", "10/0"}, {"-clients", "10/20"},
		{"-versions", "0"}, {"stray"}} {
		if _, err := parse(bad, io.Discard); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	o, err := parse([]string{"-work", "reads,idle", "-connections", "2,3", "-clients", "5/5,9/3"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.work) != 2 || o.work[0].name != "reads" || !slices.Equal(o.connections, []int{2, 3}) || !slices.Equal(o.idle, full.idle) ||
		!slices.Equal(o.sharing, []share{{5, 5}, {9, 3}}) {
		t.Errorf("%+v", o)
	}
}
