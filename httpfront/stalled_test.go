package httpfront

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"etcd/listen"
)

// evicting does something when a read has succeeded, before that is seen.
type evicting struct {
	net.Conn
	then func()
}

func (e *evicting) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	if err == nil && e.then != nil {
		e.then()
	}
	return n, err
}

// stalledConn returns a connection that reads what is written to client.
func stalledConn(t *testing.T, s *Server) (c *conn, below *evicting, client net.Conn) {
	client, end := net.Pipe()
	t.Cleanup(func() { _, _ = client.Close(), end.Close() })
	below = &evicting{Conn: end}
	return &conn{Conn: &listen.Conn{Conn: below}, server: s}, below, client
}

// A client whose bytes arrive as it loses its place goes on, within the time that it had: what has not
// waited is not ended.
func TestPlaceLostTooLate(t *testing.T) {
	s := &Server{}
	s.stalled.Limit, s.stalled.Evicted = 1, (*conn).loseTime
	c, below, client := stalledConn(t, s)
	next, _, _ := stalledConn(t, s)
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	below.then = func() {
		below.then = nil
		if s.stalled.Add(next) != c {
			t.Error("it has not lost its place")
		}
	}
	go func() { _, _ = io.WriteString(client, "ab") }() // a pipe waits
	for range 2 {
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	go func() {
		for s.stalled.Add(next) != c { // until it waits
			s.stalled.Remove(next)
		}
	}()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errStalled) {
		t.Errorf("a read that has lost its place: %v", err)
	}
}

// Connections between two requests take no places.
func TestNoPlaceBetweenRequests(t *testing.T) {
	s := &Server{}
	s.stalled.Limit = 1
	c, below, client := stalledConn(t, s)
	c.served = true
	c.SetIdle(true)
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	other, _, _ := stalledConn(t, s)
	s.stalled.Add(other)
	below.then = func() {
		if s.stalled.Add(c) != other {
			t.Error("it had a place, and another has lost its own")
		}
	}
	go func() { _, _ = client.Write([]byte("a")) }()
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
}
