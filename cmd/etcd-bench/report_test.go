package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var r result
	if got := r.percentile(99); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for us := uint32(1000); us >= 1; us-- {
		r.latencies = append(r.latencies, us*1000)
	}
	for p, want := range map[float64]float64{0: 1, 50: 500, 99: 990, 99.9: 999, 100: 1000} {
		if got := r.percentile(p); got != want {
			t.Errorf("%v%%: %v ms, want %v", p, got, want)
		}
	}
	r.add(result{latencies: []uint32{0}}) // a measurement that was added later counts
	if got := r.percentile(0); got != 0 {
		t.Errorf("after another measurement the shortest is %v ms", got)
	}
}

func TestRates(t *testing.T) {
	r := result{elapsed: time.Second, cpu: time.Millisecond, latencies: make([]uint32, 10)}
	r.add(result{elapsed: time.Second, cpu: 3 * time.Millisecond, latencies: make([]uint32, 30)})
	if r.rate() != 20 || r.cpuPerOp() != 100 {
		t.Errorf("%v op/s, %v µs", r.rate(), r.cpuPerOp())
	}
}

func TestMedian(t *testing.T) {
	if median(nil) != 0 || median([]float64{3, 1, 2}) != 2 {
		t.Error("the median is not the middle value")
	}
}

func TestDigits(t *testing.T) {
	for want, v := range map[string]float64{"0.012": 0.0123, "1.23": 1.234, "12.3": 12.34, "10.0": 9.999, "123": 123.4, "9999": 9999, "12,346": 12345.6, "2,000,000": 2e6} {
		if got := digits(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

// The ratios are those of the first server to each other one, at the same size.
func TestTables(t *testing.T) {
	small, large := params{Machines: 1, Connections: 1}, params{Machines: 1, Connections: 64}
	var r report
	r.add(figure{Work: workWrites, System: ours, At: small, Values: map[metric]float64{throughput: 100, cpuPerOp: 30}})
	r.add(figure{Work: workWrites, System: ours, At: large, Values: map[metric]float64{throughput: 30_000, cpuPerOp: 20}})
	r.add(figure{Work: workWrites, System: etcd34, At: large, Values: map[metric]float64{throughput: 10_000, cpuPerOp: 80}})
	r.finish()
	var out bytes.Buffer
	r.writeTables(&out)
	for _, line := range []string{
		"| at | server | op/s | CPU µs/op |",
		"| 1 machine, 1 connection | ours | 100 | 30.0 |",
		"| 1 machine, 64 connections | ours | 30,000 | 20.0 |",
		"| 1 machine, 64 connections | etcd 3.4 | 10,000 | 80.0 |",
		"| 1 machine, 64 connections | *ours / etcd 3.4* | 3.00 | 0.25 |",
		"| write, server CPU, 64 connections, to etcd 3.4 | 0.25 | ≤ 0.35 | met |",
		"| write, throughput, 256 connections, to etcd 3.4 | | ≥ 2.50 | not measured |",
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
	if len(r.Ratios) != 1 {
		t.Errorf("ratios: %+v", r.Ratios)
	}
}

func TestTargets(t *testing.T) {
	at := params{Machines: 1, Connections: 64}
	atMost := target{"CPU", 0.5, false, ratioTo(workWrites, at, cpuPerOp, etcd34)}
	atLeast := target{"throughput", 2, true, ratioTo(workWrites, at, throughput, etcd34)}
	var r report
	r.add(figure{Work: workWrites, System: ours, At: at, Values: map[metric]float64{throughput: 30, cpuPerOp: 30}})
	if v := atMost.judge(&r); v.Measured != nil || v.Met {
		t.Errorf("without the other server: %+v", v)
	}
	r.add(figure{Work: workWrites, System: etcd34, At: at, Values: map[metric]float64{throughput: 10, cpuPerOp: 40}})
	if v := atMost.judge(&r); v.Met || *v.Measured != 0.75 {
		t.Errorf("0.75 where at most 0.5 is wanted: %+v", v)
	}
	if v := atLeast.judge(&r); !v.Met || *v.Measured != 3 {
		t.Errorf("3 where at least 2 is wanted: %+v", v)
	}
}

func TestDistributionEndsWithTheLongest(t *testing.T) {
	r := result{latencies: []uint32{1000, 2000, 9000}}
	points := r.distribution()
	for i, p := range points[1:] {
		if p.Percent <= points[i].Percent || p.Ms < points[i].Ms {
			t.Errorf("not ascending: %+v", points)
		}
	}
	if last := points[len(points)-1]; last.Percent != 100 || last.Ms != 9 {
		t.Errorf("it ends with %+v", last)
	}
}
