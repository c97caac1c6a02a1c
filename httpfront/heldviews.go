package httpfront

import (
	"slices"
	"sync"
	"time"
)

// heldViews are the views of the state that are being rendered. While there are any, a timer looks whether
// their time is over, or they keep too much of what was replaced since they were taken: one whose client does
// not read would do that unseen.
type heldViews struct {
	limit    func() int64 // bytes that they may keep
	replaced func() int64 // bytes of the state

	mu    sync.Mutex
	held  []*heldView // oldest first
	check *time.Timer // nil: there was none yet
}

// add reports whether there is room for one more.
func (h *heldViews) add(v *heldView) bool {
	v.replaced = h.replaced()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.held) == maxViews {
		return false
	}
	h.held = append(h.held, v)
	switch {
	case h.check == nil:
		h.check = time.AfterFunc(viewsCheckedEvery, h.cut)
	case len(h.held) == 1:
		h.check.Reset(viewsCheckedEvery)
	}
	return true
}

// remove gives a view back, once.
func (h *heldViews) remove(v *heldView) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.held, v); i >= 0 {
		h.held = slices.Delete(h.held, i, i+1)
	}
	if len(h.held) == 0 {
		h.check.Stop()
	}
}

func (h *heldViews) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.held)
}

// keepsTooMuch reports whether too much was replaced since a view was taken.
func (h *heldViews) keepsTooMuch(v *heldView) bool { return h.replaced()-v.replaced > h.limit() }

// send notes that the answer is sent from now on, so that it ends when its view has to go.
func (h *heldViews) send(v *heldView) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v.sent = true
}

// cut ends the answers whose views are held for too long, or keep too much. It does so again and again, because
// whoever begins to write sets a deadline of its own. What is not sent yet looks itself: the connection may
// still get an error, and other answers.
func (h *heldViews) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.held {
		if v.sent && (v.isOver() || h.keepsTooMuch(v)) {
			_ = v.conn.SetWriteDeadline(time.Unix(1, 0)) // an error means that the connection is closed already
		}
	}
	if len(h.held) > 0 {
		h.check.Reset(viewsCheckedEvery)
	}
}
