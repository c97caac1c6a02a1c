package httpfront

import (
	"io"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// Render appends the next small part of a body, with gaps for large strings, and reports whether there are
// more.
type Render func(to []byte, gaps *Gaps) (_ []byte, more bool)

// WriteText sets the body of an answer to a text and what belongs in its gaps.
func WriteText(resp *fasthttp.Response, data []byte, gaps Gaps) {
	if len(gaps) == 0 {
		resp.SetBodyRaw(data)
		return
	}
	resp.SetBodyStream(&body{text: text{data: data, gaps: gaps}, holds: held(data, gaps)}, len(data)+gaps.size())
}

// WriteParts sets the body of an answer to one that is rendered while it is sent. render starts from the
// beginning, and may be called twice; holds is what it renders.
func WriteParts(resp *fasthttp.Response, render func() Render, holds []string) {
	resp.SetBodyStream(&body{begin: render, next: render(), holds: holds}, -1)
}

// held returns what a text and its gaps keep in memory.
func held(data []byte, gaps Gaps) []string {
	all := []string{unsafe.String(unsafe.SliceData(data), len(data))}
	for _, g := range gaps {
		all = append(all, g.value)
	}
	return all
}

// body is a body that is rendered while it is read.
type body struct {
	text  text          // what was rendered and is not read yet
	begin func() Render // starts it again
	next  Render        // nil: text is all there is
	view  *heldView     // from which it is rendered; nil: none

	holds  []string      // what it keeps in memory
	memory *answerMemory // which counts that; nil: not yet

	room, escaped, part []byte
}

// more returns the next bytes, which are valid until it is called again.
func (b *body) more() ([]byte, error) {
	for len(b.part) == 0 {
		if b.text.isOver() {
			if b.next == nil {
				return nil, io.EOF
			}
			if err := b.render(); err != nil {
				return nil, err
			}
			continue
		}
		b.part = b.text.next(&b.escaped, plainAtOnce)
	}
	return b.part, nil
}

// render renders the next piece.
func (b *body) render() error {
	if b.view != nil {
		return b.view.render(b)
	}
	b.text = text{data: b.room[:0]}
	for b.next != nil && !b.isFull() {
		b.step()
	}
	return nil
}

// isFull reports whether enough was rendered to be sent.
func (b *body) isFull() bool { return len(b.text.data) >= pieceBytes || len(b.text.gaps) > 0 }

func (b *body) step() {
	var more bool
	b.text.data, more = b.next(b.text.data, &b.text.gaps)
	if b.room = b.text.data; !more {
		b.next = nil
	}
}

// size returns how many bytes the body has, for clients that have to be told first.
func (b *body) size() (n int, err error) {
	for b.next != nil {
		if err := b.render(); err != nil {
			return 0, err
		}
		n += len(b.text.data) + b.text.gaps.size()
	}
	b.text, b.next = text{}, b.begin()
	return n, nil
}

func (b *body) Read(p []byte) (int, error) {
	part, err := b.more()
	n := copy(p, part)
	b.part = part[n:]
	return n, err
}

// SupportsBodyWriteTo implements [fasthttp.BodyWriterTo].
func (b *body) SupportsBodyWriteTo() bool { return true }

// WriteTo implements [io.WriterTo].
func (b *body) WriteTo(w io.Writer) (written int64, err error) {
	for {
		part, err := b.more()
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(part)
		written += int64(n)
		if err != nil {
			return written, err
		}
		b.part = nil
	}
}

// Close ends the answer, whether or not all of it was sent. fasthttp calls it.
func (b *body) Close() error {
	if b.view != nil {
		b.view.views.remove(b.view)
	}
	if b.memory != nil {
		b.memory.release(b.holds)
		b.memory = nil
	}
	return nil
}
