package httpfront

import (
	"net/http"

	"github.com/valyala/fasthttp"
)

// admitAnswer counts the memory of an answer that is not small, and replaces it if there is no room.
func (x *Exchange) admitAnswer(resp *fasthttp.Response) {
	b, _ := resp.BodyStream().(*body)
	if b == nil {
		if len(resp.Body()) <= maxLight {
			return
		}
		b = takeBody(resp)
	}
	if b.view == nil {
		memory := x.server.answersOf(x.operation)
		if !memory.hold(b.holds) {
			x.refuseAnswer(resp)
			return
		}
		b.memory = memory
	}
	x.frame(resp, b)
}

// takeBody makes the body of a response one that is counted.
func takeBody(resp *fasthttp.Response) *body {
	data := resp.Body()
	if own := resp.SwapBody(nil); len(own) > 0 { // otherwise its buffer is used for the next response
		data = own
	}
	b := &body{text: text{data: data}, holds: held(data, nil)}
	resp.SetBodyStream(b, len(data))
	return b
}

// frame has the length of a body told to clients that do not know chunks, or get only the header.
func (x *Exchange) frame(resp *fasthttp.Response, b *body) {
	if head := x.Header(); resp.Header.ContentLength() >= 0 || !head.IsHead() && head.IsHTTP11() {
		return
	}
	size, err := b.size()
	if err != nil {
		x.replace(resp, x.fail(errListingTime))
		return
	}
	resp.Header.SetContentLength(size)
}

// answersOf returns what counts the answers to an operation: those that say how the machine is doing must not
// wait for those about keys.
func (s *Server) answersOf(o *operation) *answerMemory {
	if o.api == "ops" {
		return &s.reports
	}
	return &s.answers
}

// refuseAnswer replaces an answer for which there is no room.
func (x *Exchange) refuseAnswer(resp *fasthttp.Response) {
	if x.command != nil && resp.StatusCode() < http.StatusBadRequest {
		x.replace(resp, x.fail(errAnswerOfChange))
		return
	}
	x.replace(resp, x.fail(errAnswerMemory))
}

func (x *Exchange) replace(resp *fasthttp.Response, by Answer) {
	closes := resp.ConnectionClose()
	resp.Reset()
	setHeaders(resp, x.server.pages.headers(&x.ctx.Request.Header))
	by.Write(resp)
	if closes {
		resp.SetConnectionClose()
	}
}
