// Package upstream runs clients that nobody here wrote, unmodified, against the server: the Go
// clients of etcd and go-etcd, python-etcd, etcdctl, node-etcd and curl, with the suites that
// come with them as far as these pass against etcd 3.4 with -enable-v2.
//
// It is a module of its own, so that what it depends on is no dependency of the server.
// TestMain builds the server, fetches what a test needs from a registry, and runs the tests in
// a network of their own: some of the suites expect a server at fixed ports, and no process
// outlives the tests. With -etcd the tests run against another program, as /usr/bin/etcd, to
// see that they say what etcd 3.4 does.
package upstream
