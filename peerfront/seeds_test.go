package peerfront

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestSeeds checks which seeds a joining machine asks, and when it gives up.
func TestSeeds(t *testing.T) {
	type seed struct {
		status int
		body   string
	}
	lets := seed{200, `{"clusterId":"77","term":3,"members":[]}`}
	refuses := seed{409, `{"errorCode":409,"message":"Conflict"}`}
	busy := seed{503, `{"errorCode":301,"message":"no leader"}`}
	nobody := seed{404, "not found"}
	for _, test := range []struct {
		name  string
		seeds []seed
		asked []int64 // how often each
		err   error   // nil: it joins
	}{
		{"the first one lets it in", []seed{lets, lets}, []int64{1, 0}, nil},
		{"the next one does", []seed{busy, nobody, lets}, []int64{1, 1, 1}, nil},
		{"the cluster refuses", []seed{busy, refuses, lets}, []int64{1, 1, 0}, ErrRefused},
		{"none can be joined", []seed{nobody, nobody}, []int64{1, 1}, ErrNoSeed},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := Seeds{Rounds: 2, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)}
			s.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			}
			asked := make([]atomic.Int64, len(test.seeds))
			for i, answer := range test.seeds {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					asked[i].Add(1)
					w.WriteHeader(answer.status)
					_, _ = w.Write([]byte(answer.body))
				}))
				defer server.Close()
				s.Addrs = append(s.Addrs, strings.TrimPrefix(server.URL, "http://"))
			}
			answer, err := s.Join(t.Context(), JoinRequest{MemberID: 5, Name: "n5", PeerURL: "http://127.0.0.1:7005"})
			if !errors.Is(err, test.err) || err == nil && answer.ClusterID != 77 {
				t.Errorf("%+v, %v", answer, err)
			}
			for i := range asked {
				if n := asked[i].Load(); n != test.asked[i] {
					t.Errorf("seed %d was asked %d times, want %d", i, n, test.asked[i])
				}
			}
		})
	}
}
