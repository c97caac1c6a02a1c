package httpfront

import (
	"errors"
	"fmt"
	"io"
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
					views.send(v)
					if err := ours.SetWriteDeadline(start.Add(writeTimeout)); err != nil { // as whoever sends it does
						t.Fatal(err)
					}
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

// Before an answer is sent its view ends by itself, and leaves the connection for an error.
func TestAViewIsOverBeforeItsAnswerIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		views := &heldViews{limit: func() int64 { return 0 }, replaced: func() int64 { return 0 }}
		ours, client := net.Pipe()
		v := &heldView{conn: ours, views: views, renders: make(chan struct{}, 1), deadline: time.Now().Add(viewTimeout)}
		views.add(v)
		counting := &body{next: func(to []byte, _ *Gaps) ([]byte, bool) { return append(to, "endless"...), true }, view: v}
		for range 2 {
			if err := counting.render(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(viewTimeout/2 + viewsCheckedEvery)
		}
		if err := counting.render(); !errors.Is(err, errViewTimeout) {
			t.Errorf("after %v: %v", viewTimeout, err)
		}
		views.remove(v)
		go func() {
			_, err := ours.Write([]byte("503"))
			if err := errors.Join(err, ours.Close()); err != nil {
				t.Error(err)
			}
		}()
		if got, err := io.ReadAll(client); err != nil || string(got) != "503" {
			t.Errorf("the client gets %q, %v", got, err)
		}
	})
}
