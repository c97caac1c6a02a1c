package grpcfront

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// A stream ends whose client takes nothing more, and not one whose client is slow.
func TestStall(t *testing.T) {
	broken := errors.New("the stream has ended")
	for name, tc := range map[string]struct {
		pauses []time.Duration
		want   error
	}{
		"slow":  {[]time.Duration{29 * time.Second, 29 * time.Second, 29 * time.Second}, broken},
		"stuck": {[]time.Duration{29 * time.Second, 31 * time.Second}, rpctypes.ErrGRPCTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := watchOver(func(sent func()) error {
				for _, pause := range tc.pauses {
					time.Sleep(pause)
					sent()
				}
				return broken
			})
			if !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", name, err, tc.want)
			}
			time.Sleep(time.Minute) // the end of the call would end the sender
		})
	}
}
