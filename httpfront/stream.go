package httpfront

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/store"
)

const (
	// maxViews bounds the views that are being rendered. Each keeps in memory what was
	// overwritten since it was taken.
	// A request over it has cost the store a view all the same, one a batch at most.
	maxViews = 64
	// viewTimeout bounds how long a view is held, however slow its client is.
	viewTimeout = 30 * time.Second
	// A piece of a body ends when it has pieceBytes, or has taken pieceTime. Between two
	// pieces the renderer yields to other goroutines.
	pieceBytes = 16 << 10
	pieceTime  = 200 * time.Microsecond
	// workTime is how long a renderer works before it sleeps for as long: a goroutine that
	// only yields is always runnable, and then the runtime does not poll the network for up to
	// 10 ms. A sleep after each piece would be too short to be kept.
	workTime = 5 * pieceTime
)

// viewsCheckedEvery is how often it is looked whether views are held for too long, or keep too much, of clients
// that do not read.
const viewsCheckedEvery = 250 * time.Millisecond

var (
	errViewTimeout = errors.New("the client has taken too long to read its answer")
	errViewMemory  = errors.New("too much was overwritten while the client has read its answer")
	errViews       = errors.New("too many large directories are being listed")
	errListingTime = errors.New("the directory takes too long to list")
)

// Listing is a directory in a view of the state; Deep: with everything below it, at whatever depth.
type Listing struct {
	View *store.View
	Dir  string
	Deep bool
}

// Stream answers with a body in JSON that is rendered from a view of the state, piece by
// piece, while it is sent. render starts from the beginning, and may be called twice.
func (x *Exchange) Stream(l Listing, render func() Render) Answer {
	s := x.server
	v := &heldView{conn: x.ctx.Conn(), views: &s.views, renders: s.renders, deadline: time.Now().Add(viewTimeout)}
	if !s.views.add(v) {
		return x.fail(errViews)
	}
	handedOver := false
	defer func() { // also when render panics
		if !handedOver {
			s.views.remove(v)
		}
	}()
	switch many, err := l.hasMore(s.cfg.MaxListing, v); {
	case err != nil:
		return x.fail(errListingTime)
	case many:
		return x.fail(tooLong{s.cfg.MaxListing})
	}
	answer := streamAnswer{&body{begin: render, next: render(), view: v}}
	s.views.send(v)
	handedOver = true
	return answer
}

// hasMore reports whether there are more nodes than that.
func (l Listing) hasMore(than int, v *heldView) (bool, error) {
	if l.View.CountBelow(l.Dir) <= than {
		return false, nil
	}
	if l.Deep {
		return true, nil
	}
	n, last := 0, ""
	counting := &body{view: v, next: func(to []byte, _ *Gaps) ([]byte, bool) {
		page := l.View.Children(l.Dir, last, 64)
		if n += len(page); len(page) == 0 || n > than {
			return to, false
		}
		last = page[len(page)-1].Path
		return to, true
	}}
	for counting.next != nil {
		if err := counting.render(); err != nil {
			return false, err
		}
	}
	return n > than, nil
}

// tooLong is a listing of more nodes than there may be in one.
type tooLong struct{ limit int }

func (e tooLong) Error() string {
	return "the directory has more than " + strconv.Itoa(e.limit) + " keys; list the directories in it instead. The limit is set by -max-listing"
}

// Views returns how many views of the state this port holds, to render answers from them.
func (x *Exchange) Views() int { return x.server.views.len() }

// streamAnswer is an answer whose body is rendered while it is sent.
type streamAnswer struct{ body *body }

func (a streamAnswer) Write(resp *fasthttp.Response) {
	resp.Header.SetContentType(TypeJSON)
	resp.SetBodyStream(a.body, -1)
}

// heldView is a view of the state from which a body is rendered.
type heldView struct {
	conn     net.Conn
	views    *heldViews    // that it is one of
	renders  chan struct{} // a semaphore: the goroutines that are rendering a piece
	deadline time.Time
	replaced int64         // bytes of the state, before it was taken
	worked   time.Duration // since the last sleep
	sent     bool          // its answer is, guarded by heldViews.mu
}

func (v *heldView) isOver() bool { return time.Now().After(v.deadline) }

// render renders the next piece of a body.
func (v *heldView) render(b *body) error {
	switch {
	case v.isOver():
		return errViewTimeout
	case v.views.keepsTooMuch(v):
		return errViewMemory
	}
	v.renders <- struct{}{}
	defer func() { // also when next panics
		<-v.renders
		runtime.Gosched()
	}()
	b.text = text{data: b.room[:0]}
	began := time.Now()
	for b.next != nil && !b.isFull() && time.Since(began) < pieceTime {
		b.step()
	}
	if v.worked += time.Since(began); v.worked >= workTime {
		time.Sleep(v.worked) // with its place in renders, so that no other renderer takes over
		v.worked = 0
	}
	return nil
}
