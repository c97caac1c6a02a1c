package httpfront

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// However slowly a client reads, its view is released when its deadline has passed.
func TestAViewIsNotHeldLonger(t *testing.T) {
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
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Server{views: make(chan struct{}, 1), renders: make(chan struct{}, 1)}
				ours, client := net.Pipe()
				done := make(chan struct{})
				go func() {
					read(client)
					close(done)
				}()
				s.views <- struct{}{}
				st := s.stream(ours, func() Render {
					return func(to []byte, _ *Gaps) ([]byte, bool) { return append(to, "endless"...), true }
				})
				began := time.Now()
				_, err := io.Copy(struct{ io.Writer }{ours}, struct{ io.Reader }{st})
				if held := time.Since(began); held != viewTimeout || !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errViewTimeout) {
					t.Errorf("the view was held for %v, %v", held, err)
				}
				if err := errors.Join(st.Close(), st.Close(), ours.Close(), client.Close()); err != nil {
					t.Error(err)
				}
				if len(s.views) > 0 {
					t.Error("the view was not given back")
				}
				<-done
			})
		})
	}
}
