// Command etcd-bench measures this project's server beside others on the same computer in the
// same run.
//
//	go run ./cmd/etcd-bench -json report.json -plots plots
//
// builds the server, starts it and what is installed of etcd 3.4 with its v2 API (Debian:
// etcd-server) and ZooKeeper 3.8 (Debian: zookeeper), and does the same work with each in turns. With
// -etcd37 it does so in v3 with the official etcd 3.7 as well. For requests, a bare fasthttp server with a
// constant answer, in a process of its own, is the ceiling, and a bare grpc-go server is that of v3. It
// prints tables with all ratios, and what it wants to reach. -quick shows in less than a minute that
// everything works; -work takes only some of the work; -help has all sizes.
//
// One file is one thing: server.go a cluster of processes, their CPU time and memory; system.go, v3.go and
// zookeeper.go how each kind of server is started; http.go, v3.go and zookeeper.go its clients; report.go,
// targets.go and plots.go what is written; each other one a workload of workloads.go.
//
// It promises that the load generator is cheap: it runs on one processor, and answers over HTTP are
// only scanned for their end. (The clients of ZooKeeper and of v3 are libraries, and dearer.) CPU time
// is that of all processes of a cluster, threads that have ended included.
//
// It must never be compared across computers or runs: only the ratios of one run mean something.
// It must not ask more of one server than of another: each acknowledges a write when it is on the
// disk of a majority, and a linearizable read sees all that was acknowledged before.
package main
