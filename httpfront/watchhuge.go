package httpfront

import (
	"bufio"
	"errors"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/actors"
)

// The answer to a watch whose event is huge is rendered while it is sent.

// hasHuge reports whether the watch of a connection is answered with an event that is huge.
func (c *conn) hasHuge() bool {
	if c.watch.tooMuch { // its reply may come at this very moment
		return false
	}
	reply, ok := c.reply.(*actors.WatchReply)
	return ok && len(reply.Deliveries) > 0 && reply.Deliveries[0].Event != nil && isHuge(reply.Deliveries[0].Event)
}

func (c *conn) answerHuge() {
	keepAlive, err := c.writeHuge()
	c.answered(err == nil && keepAlive)
}

func (c *conn) writeHuge() (keepAlive bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.server.log.Error("panic while answering a watch; please report this message", "panic", p, "stack", string(debug.Stack()))
			keepAlive = false
		}
	}()
	w := c.watch
	keepAlive = w.keepAlive && !c.server.stopping.Load()
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp) // which closes its body
	if w.isPermitted(c.server) {
		c.renderHuge(resp, keepAlive)
	} else {
		w.write(resp, w.refusal(c.server), keepAlive)
	}
	w.operation.count(resp.StatusCode())
	if err = c.SetWriteDeadline(time.Now().Add(watchWriteTimeout)); err != nil {
		return keepAlive, err
	}
	to := bufio.NewWriterSize(c, 512)
	return keepAlive, errors.Join(resp.Write(to), to.Flush(), c.SetWriteDeadline(time.Time{}))
}

// renderHuge makes the answer with the event. If there is no room for it, the client is told from where it
// misses nothing.
func (c *conn) renderHuge(resp *fasthttp.Response, keepAlive bool) {
	w, d, answers := c.watch, c.reply.(*actors.WatchReply).Deliveries[0], &c.server.answers
	w.write(resp, w.renderer.Render(c.server.machine, d), keepAlive)
	b, ok := resp.BodyStream().(*body)
	if !ok {
		return
	}
	if answers.hold(b.holds) {
		b.memory = answers
		return
	}
	resp.Reset()
	w.write(resp, w.operation.fail(c.server.machine, errAnswerMemory), keepAlive)
	setIndex(&resp.Header, d.Event.Index-1)
}
