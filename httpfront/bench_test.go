package httpfront_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// benchServer serves on loopback.
func benchServer(b *testing.B, mode ...func(*httpfront.Config)) *fronttest.Server {
	b.Helper()
	return serve(b, append(mode, func(c *httpfront.Config) {
		c.MaxConnections = 100_000
		c.Log = slog.New(slog.DiscardHandler)
	})...)
}

// benchRequest sends one request again and again on 64 connections. Client and server
// share the process, so the figures include both.
func benchRequest(b *testing.B, raw string) {
	s := benchServer(b)
	s.Dial().Set("/bench/key", "value=0123456789abcdef")
	var clients sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	const connections = 64
	for i := range connections {
		c := s.Dial()
		n := (b.N + i) / connections
		clients.Go(func() {
			request := []byte(raw)
			buf := make([]byte, 4096)
			for range n {
				if _, err := c.Conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				// An answer is short enough to arrive in one piece.
				got, err := c.Conn.Read(buf)
				if err != nil || !bytes.HasPrefix(buf[:got], []byte("HTTP/1.1 200 ")) {
					b.Errorf("%q, %v", buf[:got], err)
					return
				}
			}
		})
	}
	clients.Wait()
}

func BenchmarkWrite(b *testing.B) {
	benchRequest(b, fronttest.RawRequest("POST", "/v1/keys/bench/key", "value=0123456789abcdef"))
}

func BenchmarkRead(b *testing.B) {
	b.Run("linearizable", func(b *testing.B) { benchRequest(b, fronttest.RawRequest("GET", "/v1/keys/bench/key", "")) })
	b.Run("local", func(b *testing.B) {
		benchRequest(b, fronttest.RawRequest("GET", "/v1/keys/bench/key?quorum=false", ""))
	})
}

// BenchmarkWatch is a watch that is answered from history.
func BenchmarkWatch(b *testing.B) {
	benchRequest(b, fronttest.RawRequest("POST", "/v1/watch/bench?index=3", ""))
}

// watchingClients opens n connections that watch /bench and waits for their watchers.
// What it returns is below TLS, so that no memory of the clients' TLS is left.
func watchingClients(b *testing.B, s *fronttest.Server, n int) []net.Conn {
	b.Helper()
	raw := fronttest.RawRequest("GET", "/v1/watch/bench?quorum=false", "")
	conns := make([]net.Conn, n)
	for i := range conns {
		tcp, err := net.Dial("tcp", s.Addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = tcp.Close() })
		c := tcp
		if s.TLS != nil {
			cfg := s.TLS.Clone()
			cfg.ServerName = "127.0.0.1"
			c = tls.Client(tcp, cfg)
		}
		if _, err := io.WriteString(c, raw); err != nil {
			b.Fatal(err)
		}
		conns[i] = tcp
	}
	s.WaitForWatchers(int64(n))
	return conns
}

// BenchmarkDelivery is one event for one of 500 watching clients; each operation is a
// delivery and the watch that its client sends next.
func BenchmarkDelivery(b *testing.B) {
	s := benchServer(b)
	const fan = 500
	conns := watchingClients(b, s, fan)
	writer := s.Dial()
	raw := fronttest.RawRequest("GET", "/v1/watch/bench?quorum=false", "")
	buf := make([]byte, 4096)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += fan {
		writer.Set("/bench/key", "value=0123456789abcdef")
		for _, c := range conns {
			if _, err := c.Read(buf); err != nil {
				b.Fatal(err)
			}
			if _, err := io.WriteString(c, raw); err != nil {
				b.Fatal(err)
			}
		}
		for s.Machine.Watchers() < fan {
			runtime.Gosched()
		}
	}
}

// BenchmarkIdleWatcher reports the memory that an idle watcher costs. The client's ends of
// the connections are in the same process; a measurement without watches is subtracted for
// them.
func BenchmarkIdleWatcher(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchIdleWatcher(b, func(*httpfront.Config) {}) })
	b.Run("tls", func(b *testing.B) { benchIdleWatcher(b, fronttest.WithTLS) })
}

func benchIdleWatcher(b *testing.B, mode func(*httpfront.Config)) {
	const n = 5000
	used := func() (heap, stacks uint64) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.StackInuse
	}
	for b.Loop() {
		s := benchServer(b, mode)
		l := fronttest.Loopback(b)
		heap0, stacks0 := used()
		bare := make([]net.Conn, 0, 2*n)
		for range n {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			a, err := l.Accept()
			if err != nil {
				b.Fatal(err)
			}
			bare = append(bare, c, a)
		}
		heap1, stacks1 := used()
		for _, c := range bare {
			_ = c.Close()
		}
		clear(bare)
		bare = nil
		heap2, stacks2 := used()
		conns := watchingClients(b, s, n)
		heap3, stacks3 := used()
		runtime.KeepAlive(conns)
		perBare := (float64(heap1) - float64(heap0)) / n
		b.ReportMetric((float64(heap3)-float64(heap2))/n-perBare/2, "heap-B/watcher")
		b.ReportMetric((float64(stacks3)-float64(stacks2))/n, "stack-B/watcher")
		b.ReportMetric((float64(stacks1)-float64(stacks0))/n, "stack-B/bare")
		b.ReportMetric(perBare, "heap-B/bare-pair")
		for _, c := range conns {
			_ = c.Close()
		}
		s.Eventually(fmt.Sprintf("all %d leave", n), func() bool { return s.Machine.Watchers() == 0 })
	}
}
