// Package v3 holds the v3 API against what upstream has made: the official server, which has to
// answer every request as ours does, etcdctl, and the tests that etcd has of itself.
//
// It is a module of its own, so that what it depends on is no dependency of the server.
// TestMain builds the server and upstream's programs, and runs the tests in a network of their
// own: upstream's tests expect fixed ports, and no process outlives them. With -etcd they run
// against another program. `official` stands for the official server, which must pass everything;
// /usr/bin/etcd, Debian's etcd 3.4, must fail.
package v3
