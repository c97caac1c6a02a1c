package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"testing"
	"time"
)

// A caller that names the cluster is told the member at this address and the members that it
// knows; no other caller is.
func TestPresence(t *testing.T) {
	others := []Place{{Member: alice, Addr: "127.0.0.1:7001"}}
	m := startMachine(t, machineConfig{others: others})
	got, err := Ask(t.Context(), testConfig(alice), m.addr, "")
	if want := (Presence{Member: bob, Others: others}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	stranger := testConfig(alice)
	stranger.ClusterID++
	got, err = Ask(t.Context(), stranger, m.addr, "")
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Status != http.StatusPreconditionFailed || !reflect.DeepEqual(got, Presence{}) {
		t.Errorf("a stranger is told %+v, %v", got, err)
	}
}

// If the port is not a peer port, the request ends with an error, whatever the answer, or if
// there is none.
func TestPresenceAtAnotherPort(t *testing.T) {
	for name, says := range map[string]string{
		"no machine":           "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
		"nonsense":             "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{]{]",
		"nobody":               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"another world":        "220 smtp ready\r\n",
		"an end":               "",
		"a place that is none": "HTTP/1.1 200 OK\r\nContent-Length: 84\r\n\r\n{\"memberId\":\"7\",\"others\":[{\"memberId\":\"8\",\"addr\":\"a:1\\r\\nX: y\"}]}                  ",
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(alice)
			cfg.Dial = func(context.Context, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					buf := make([]byte, 1<<10)
					_, _ = far.Read(buf)
					_, _ = io.WriteString(far, says)
					_ = far.Close()
				}()
				return near, nil
			}
			if p, err := Ask(t.Context(), cfg, "there:1", ""); err == nil {
				t.Errorf("%+v", p)
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		cfg := testConfig(alice)
		cfg.Dead = 20 * time.Millisecond
		var ends []net.Conn
		cfg.Dial = func(context.Context, string) (net.Conn, error) {
			near, far := net.Pipe()
			ends = append(ends, far)
			return near, nil
		}
		if p, err := Ask(t.Context(), cfg, "there:1", ""); err == nil {
			t.Errorf("%+v", p)
		}
		for _, end := range ends {
			_ = end.Close()
		}
	})
}
