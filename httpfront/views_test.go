package httpfront

import (
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// However slowly a client reads, its view is released when its deadline has passed, or when too much of the
// state was replaced since it was taken.
func TestAViewIsNotHeldLonger(t *testing.T) {
	const limit = 1000
	for name, read := range map[string]func(net.Conn){
		"nothing is read": func(net.Conn) {},
		"a byte a second is read": func(client net.Conn) {
			for one := make([]byte, 1); ; time.Sleep(time.Second) {
				if _, err := client.Read(one); err != nil {
					return
				}
			}
		},
	} {
		for writes, want := range map[int64]time.Duration{0: viewTimeout, limit / 10: 10 * time.Second} { // bytes a second
			t.Run(fmt.Sprintf("%s, %d bytes are written", name, writes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					views := &heldViews{limit: func() int64 { return limit }, replaced: func() int64 { return 7 + int64(time.Since(start).Seconds()*float64(writes)) }}
					ours, client := net.Pipe()
					done := make(chan struct{})
					go func() {
						read(client)
						close(done)
					}()
					v := &heldView{conn: ours, views: views, renders: make(chan struct{}, 1), deadline: start.Add(viewTimeout)}
					views.add(v)
					next := func(to []byte, _ *Gaps) ([]byte, bool) { return append(to, "endless"...), true }
					b := &body{next: next, view: v}
					_, err := b.WriteTo(ours)
					if held := time.Since(start); held < want || held > want+2*viewsCheckedEvery {
						t.Errorf("the view was held for %v", held)
					}
					if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errViewTimeout) && !errors.Is(err, errViewMemory) {
						t.Error(err)
					}
					if err := errors.Join(b.Close(), b.Close(), ours.Close(), client.Close()); err != nil {
						t.Error(err)
					}
					if views.len() > 0 {
						t.Error("the view was not given back")
					}
					<-done
				})
			})
		}
	}
}
