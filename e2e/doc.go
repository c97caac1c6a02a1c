// Package e2e holds black-box tests of the built etcd binary.
//
// It owns the process harness (build once, start, kill, restart, stop; one
// machine or a cluster, with proxies between its machines that disturb the
// network), a raw HTTP/1.1 client that sends requests byte for byte, and the
// tests that need real processes: the replay of the answers recorded from etcd
// 0.1.0 and 3.4.23, and of public reports about etcd's v2 API, a comparison of
// v2 with a running etcd 3.4, the examples of the README and of
// docs/operations.md, crashes under load, the behaviour of connections, and what
// a cluster promises while machines crash, stop, restart, join, leave and are
// partitioned.
//
// Histories of clusters are checked for linearizability with Porcupine. Random
// tests log their seed; -chaos, -chaos.seed, -cruelty, -cruelty.seed,
// -catchup and -differential make tests longer or repeat them. TestCruelty does to the processes
// what the simulation cannot: strace, a small tmpfs, a shifted wall clock
// (docs/testing.md).
//
// It promises that no server process outlives the test binary, that every
// wait is for a condition with a deadline, and that tests of the package may
// run in parallel with each other and with a server on the default ports.
//
// It must never import a package of the server, except to read or prepare a
// data directory: what cannot be seen through a socket, a file, a log line or
// an exit code is not tested here.
package e2e
