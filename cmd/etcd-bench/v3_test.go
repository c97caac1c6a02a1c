package main

import (
	"errors"
	"os"
	"testing"
	"time"
)

// Clients that share a connection do their requests independently of each other.
func TestClientsShareConnections(t *testing.T) {
	c, err := grpcCeilingSystem(64).start(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	l := load{clients: 5, connections: 2, keys: 10, size: 64}
	all, err := l.dial(c)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	connections := map[any]int{}
	for _, one := range all {
		connections[one.(*v3Client).conn]++
	}
	if len(all) != 5 || len(connections) != 2 {
		t.Errorf("%d clients on %d connections instead of 5 on 2", len(all), len(connections))
	}

	all[2].SetDeadline(time.Now().Add(-time.Second))
	<-all[2].(*v3Client).ctx.Done()
	if err := all[2].do(write, 1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after its deadline: %v", err)
	}
	for _, op := range []operation{write, linearizableRead, localRead} {
		if err := all[0].do(op, 1); err != nil {
			t.Errorf("%s on the same connection: %v", op, err)
		}
	}

	r, err := l.measure(c, mixed, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.latencies) < l.clients || r.cpu <= 0 {
		t.Errorf("%d requests of %d clients took %s of CPU", len(r.latencies), l.clients, r.cpu)
	}
}
