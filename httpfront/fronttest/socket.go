package fronttest

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Socket listens at a socket of the file system: there are fewer ports than a fuzzer makes
// connections.
func Socket(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Answers sends raw on a connection of its own to a server at a Socket, and returns all that comes
// back until the server ends it.
func (s *Server) Answers(t testing.TB, raw []byte) []byte {
	t.Helper()
	conn, err := net.Dial("unix", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(Timeout)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = conn.Write(raw) // the server may have enough before the end
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection does not end, after %q", got)
	}
	<-sent
	return got
}
