package main

import (
	"fmt"
	"io"
)

// target is what this server wants to reach.
type target struct {
	what    string
	limit   float64
	atLeast bool // or at most
	measure func(*report) (float64, bool)
}

// verdict is what a run says of a target.
type verdict struct {
	What     string   `json:"what"`
	Target   string   `json:"target"`
	Measured *float64 `json:"measured,omitempty"` // not there: not measured
	Met      bool     `json:"met"`
}

// fewV3 and manyV3 are the clients of which there are targets.
var (
	fewV3  = params{Machines: 1, Clients: 64, Connections: 64}
	manyV3 = params{Machines: 1, Clients: 1000, Connections: 100}
)

var targets = []target{
	{"write, server CPU, 64 connections, to etcd 3.4", 0.35, false, ratioTo(workWrites, params{Machines: 1, Connections: 64}, cpuPerOp, etcd34)},
	{"write, server CPU, 256 connections, to etcd 3.4", 0.30, false, ratioTo(workWrites, params{Machines: 1, Connections: 256}, cpuPerOp, etcd34)},
	{"write, throughput, 256 connections, to etcd 3.4", 2.5, true, ratioTo(workWrites, params{Machines: 1, Connections: 256}, throughput, etcd34)},
	{"local read, server CPU, 64 connections, to etcd 3.4", 0.33, false, ratioTo(workLocalReads, params{Machines: 1, Connections: 64}, cpuPerOp, etcd34)},
	{"local read, server CPU, 64 connections, to bare fasthttp", 1.4, false, ratioTo(workLocalReads, params{Machines: 1, Connections: 64}, cpuPerOp, fasthttp)},
	{"linearizable read, server CPU, 64 connections, to etcd 3.4", 0.25, false, ratioTo(workLinearizableReads, params{Machines: 1, Connections: 64}, cpuPerOp, etcd34)},
	{"idle watch, bytes", 4000, false, absolute(workIdleWatchers, params{Machines: 1, Watchers: 10_000}, perWatcher)},
	{"idle keep-alive connection, bytes", 6000, false, absolute(workIdleConnections, params{Machines: 1, Idle: 10_000}, perIdle)},
	{"event to one of 10,000 watchers of a key, server CPU, to etcd 3.4", 0.30, false, ratioTo(workFanOut, params{Machines: 1, Watchers: 10_000}, cpuPerEvent, etcd34)},
	{"the last of 10,000 watchers hears, time, to etcd 3.4", 0.4, false, ratioTo(workFanOut, params{Machines: 1, Watchers: 10_000}, last, etcd34)},
	{"write beside 15,000 idle watches, p99, to that without", 1.3, false,
		between(workBesideWatchers, params{Machines: 1, Connections: 64, Watchers: 15_000}, params{Machines: 1, Connections: 64}, p99)},
	{"three machines: write, CPU of all, 64 connections, to etcd 3.4", 0.45, false, ratioTo(workWrites, params{Machines: 3, Connections: 64}, cpuPerOp, etcd34)},
	{"three machines: write, CPU of all, 256 connections, to etcd 3.4", 0.45, false, ratioTo(workWrites, params{Machines: 3, Connections: 256}, cpuPerOp, etcd34)},
	{"fail-over, median time, to etcd 3.4", 0.7, false, ratioTo(workFailover, params{Machines: machines}, p50, etcd34)},
	{"v2: write, server CPU, 64 connections, to v1", 1.05, false, v2ToV1(workWrites, params{Machines: 1, Connections: 64}, cpuPerOp)},
	{"v2: local read, server CPU, 64 connections, to v1", 1.05, false, v2ToV1(workLocalReads, params{Machines: 1, Connections: 64}, cpuPerOp)},
	{"v2: linearizable read, server CPU, 64 connections, to v1", 1.05, false, v2ToV1(workLinearizableReads, params{Machines: 1, Connections: 64}, cpuPerOp)},
	{"v2: event to one of 10,000 watchers of a key, server CPU, to v1", 1.05, false, v2ToV1(workFanOut, params{Machines: 1, Watchers: 10_000}, cpuPerEvent)},
	{"v3: write, server CPU, 1,000 clients, to bare grpc-go", 1.7, false, ratioTo("v3: "+workWrites, manyV3, cpuPerOp, grpcGo)},
	{"v3: local read, server CPU, 1,000 clients, to bare grpc-go", 1.3, false, ratioTo("v3: "+workLocalReads, manyV3, cpuPerOp, grpcGo)},
	{"v3: linearizable read, server CPU, 1,000 clients, to bare grpc-go", 1.5, false, ratioTo("v3: "+workLinearizableReads, manyV3, cpuPerOp, grpcGo)},
	{"v3: write, server CPU, 64 clients, to etcd 3.7", 0.8, false, ratioTo("v3: "+workWrites, fewV3, cpuPerOp, etcd37)},
	{"v3: write, server CPU, 1,000 clients, to etcd 3.7", 0.8, false, ratioTo("v3: "+workWrites, manyV3, cpuPerOp, etcd37)},
	{"v3: local read, server CPU, 64 clients, to etcd 3.7", 0.8, false, ratioTo("v3: "+workLocalReads, fewV3, cpuPerOp, etcd37)},
	{"v3: local read, server CPU, 1,000 clients, to etcd 3.7", 0.8, false, ratioTo("v3: "+workLocalReads, manyV3, cpuPerOp, etcd37)},
	{"v3: linearizable read, server CPU, 64 clients, to etcd 3.7", 0.8, false, ratioTo("v3: "+workLinearizableReads, fewV3, cpuPerOp, etcd37)},
	{"v3: linearizable read, server CPU, 1,000 clients, to etcd 3.7", 0.8, false, ratioTo("v3: "+workLinearizableReads, manyV3, cpuPerOp, etcd37)},
	{"v3: write while 1,000,000 versions are compacted, p99.9, to that without", 2, false,
		between(workCompaction, params{Machines: 1, Connections: 64, Compacted: 1_000_000}, params{Machines: 1, Connections: 64}, p999)},
	{"write, server CPU, 64 connections, to ZooKeeper 3.8", 0.85, false, ratioTo(workWrites, params{Machines: 1, Connections: 64}, cpuPerOp, zookeeper38)},
	{"local read, server CPU, 64 connections, to ZooKeeper 3.8", 0.7, false, ratioTo(workLocalReads, params{Machines: 1, Connections: 64}, cpuPerOp, zookeeper38)},
	{"2,000,000 keys: bytes per key", 300, false, absolute(workBigData, params{Machines: 1, Connections: 64, Keys: 2_000_000}, perKey)},
	{"2,000,000 keys: write p99.9, to that with 10,000 keys", 2, false,
		between(workBigData, params{Machines: 1, Connections: 64, Keys: 2_000_000}, params{Machines: 1, Connections: 64, Keys: 10_000}, p999)},
	{"2,000,000 keys: restart, seconds", 5, false, absolute(workBigData, params{Machines: 1, Connections: 64, Keys: 2_000_000}, restart)},
}

// ratioTo measures ours divided by another system.
func ratioTo(work string, at params, m metric, other string) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		a, ok := r.value(work, at, ours, m)
		b, there := r.value(work, at, other, m)
		return a / b, ok && there && b != 0
	}
}

// v2ToV1 measures ours through its v2 API divided by ours through v1, in the run that compares them.
func v2ToV1(work string, at params, m metric) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		a, ok := r.value("v2: "+work, at, oursV2, m)
		b, there := r.value("v2: "+work, at, ours, m)
		return a / b, ok && there && b != 0
	}
}

// absolute measures a value of ours.
func absolute(work string, at params, m metric) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) { return r.value(work, at, ours, m) }
}

// between measures a value of ours at one size divided by that at another.
func between(work string, at, base params, m metric) func(*report) (float64, bool) {
	return func(r *report) (float64, bool) {
		a, ok := r.value(work, at, ours, m)
		b, there := r.value(work, base, ours, m)
		return a / b, ok && there && b != 0
	}
}

// judge says whether a run has met the target.
func (t target) judge(r *report) verdict {
	v := verdict{What: t.what, Target: "≤ " + digits(t.limit)}
	if t.atLeast {
		v.Target = "≥ " + digits(t.limit)
	}
	measured, ok := t.measure(r)
	if !ok {
		return v
	}
	v.Measured = &measured
	v.Met = measured <= t.limit
	if t.atLeast {
		v.Met = measured >= t.limit
	}
	return v
}

func writeTargets(out io.Writer, verdicts []verdict) {
	fmt.Fprint(out, "\n## Targets\n\n| what | measured | target | |\n|---|---:|---:|---|\n")
	for _, v := range verdicts {
		measured, word := "", "not measured"
		if v.Measured != nil {
			measured, word = " "+digits(*v.Measured), "missed"
			if v.Met {
				word = "met"
			}
		}
		fmt.Fprintf(out, "| %s |%s | %s | %s |\n", v.What, measured, v.Target, word)
	}
}
