package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"
)

// told is a Readable that tells a channel.
type told chan struct{}

func (c told) Readable() { c <- struct{}{} }

// A connection is told of once each time that it is armed: when something arrives, at once if
// that is there, and when its client goes. What was read ahead is not lost.
func TestPollers(t *testing.T) {
	native := nativePoller(t)
	secured := &tls.Config{Certificates: []tls.Certificate{testCA().Issue("server").TLS()}}
	for _, test := range []struct {
		name   string
		poller Poller
		tls    *tls.Config
	}{{"native", native, nil}, {"native, TLS", native, secured}, {"peeks", Peeks{}, nil}, {"peeks, TLS", Peeks{}, secured}} {
		t.Run(test.name, func(t *testing.T) {
			c, client := connected(t, test.tls)
			readable := make(told, 2)
			arm := func() {
				t.Helper()
				arrived, err := test.poller.Arm(c, readable)
				if err != nil {
					t.Fatal(err)
				}
				if arrived {
					readable.Readable()
				}
			}
			for i := range 3 {
				before := i == 1 // is it sent before the connection is armed
				if !before {
					arm()
				}
				if _, err := io.WriteString(client, "abc"); err != nil {
					t.Fatal(err)
				}
				if before {
					arm()
				}
				<-readable
				if got := drain(t, c, 3); got != "abc" {
					t.Fatalf("read %q", got)
				}
			}
			arm()
			_ = client.Close()
			<-readable
			for {
				if _, err := c.TryRead(make([]byte, 10)); err != nil {
					break
				}
			}
			test.poller.Forget(c)
			if len(readable) > 0 {
				t.Error("it was told once more")
			}
		})
	}
}

// A connection that was released is read by somebody who waits for it, and could be armed again as one
// that no poller has known.
func TestReleased(t *testing.T) {
	for name, poller := range map[string]Poller{"native": nativePoller(t), "peeks": Peeks{}} {
		t.Run(name, func(t *testing.T) {
			c, client := connected(t, nil)
			readable, again := make(told, 2), make(told, 2)
			if _, err := poller.Arm(c, readable); err != nil {
				t.Fatal(err)
			}
			send := func() {
				t.Helper()
				if _, err := io.WriteString(client, "abc"); err != nil {
					t.Fatal(err)
				}
			}
			send()
			<-readable
			poller.Release(c)
			send()
			if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
				t.Fatal(err)
			}
			if arrived, err := poller.Arm(c, again); arrived || err != nil {
				t.Fatalf("armed again: %t, %v", arrived, err)
			}
			send()
			<-again
			if len(readable) > 0 {
				t.Error("it was told after the release")
			}
			poller.Forget(c)
		})
	}
}

// nativePoller returns the poller of this system, for the time of a test.
func nativePoller(t *testing.T) Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// drain reads n bytes as they can be had without waiting.
func drain(t *testing.T, c *Conn, n int) (all string) {
	t.Helper()
	for len(all) < n {
		b := make([]byte, n)
		got, err := c.TryRead(b)
		if err != nil {
			t.Fatal(err)
		}
		if got == 0 { // the system cannot read without waiting
			if got, err = c.Read(b); err != nil {
				t.Fatal(err)
			}
		}
		all += string(b[:got])
	}
	return all
}

// What cannot be written at once is written by Flush.
func TestTryWrite(t *testing.T) {
	secured := &tls.Config{Certificates: []tls.Certificate{testCA().Issue("server").TLS()}}
	for name, cfg := range map[string]*tls.Config{"plain": nil, "tls": secured} {
		t.Run(name, func(t *testing.T) {
			c, client := connected(t, cfg)
			if all, err := c.TryWrite([]byte("small")); !all || err != nil {
				t.Fatalf("%t, %v", all, err)
			}
			large := make([]byte, 32<<20) // more than the buffers of a socket hold
			all, err := c.TryWrite(large)
			if all || err != nil {
				t.Fatalf("all at once: %t, %v", all, err)
			}
			if err := c.SetWriteDeadline(time.Now().Add(time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("flushed to a client that does not read: %v", err)
			}
			if err := c.SetWriteDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			flushed := make(chan error)
			go func() {
				_, err := c.Flush()
				flushed <- err
			}()
			if n, err := io.CopyN(io.Discard, client, int64(len("small")+len(large))); err != nil {
				t.Fatalf("%d bytes have come: %v", n, err)
			}
			if err := <-flushed; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What TLS has to write while it reads, as when its client asks for new keys again and again, does
// not wait for a client that does not read: that is the end.
func TestReadingOverTLSDoesNotWait(t *testing.T) {
	c, _ := connected(t, &tls.Config{Certificates: []tls.Certificate{testCA().Issue("server").TLS()}})
	below := c.Conn.(*tlsConn).below
	below.read.Store(true) // as if the writes came from a read
	for piece := make([]byte, 64<<10); below.empty(); {
		if _, err := below.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.TryRead(make([]byte, 10)); n > 0 || !errors.Is(err, errTLSUnread) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// connected returns the two ends of a connection, after its handshake.
func connected(t *testing.T, cfg *tls.Config) (*Conn, net.Conn) {
	t.Helper()
	l := loopback(t)
	port := NewPort(Config{MaxConnections: 1, Log: slog.New(slog.DiscardHandler)})
	listener := port.Listen(l, cfg)
	t.Cleanup(func() { _ = listener.Close() })
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if cfg != nil {
		client = tls.Client(client, &tls.Config{RootCAs: testCA().Pool(), ServerName: "127.0.0.1"})
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := accepted.(*Conn)
	t.Cleanup(func() { _, _ = c.Close(), client.Close() })
	greeting := make(chan error)
	go func() {
		_, err := io.WriteString(client, "hello")
		greeting <- err
	}()
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := <-greeting; err != nil {
		t.Fatal(err)
	}
	return c, client
}
