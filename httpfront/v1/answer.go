package v1

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/httpfront"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/tree"
)

// keyAnswer is the answer about one key, with the fields in the order of the API.
type keyAnswer struct {
	Action     string     `json:"action"`
	Key        string     `json:"key"`
	Dir        bool       `json:"dir,omitempty"`
	PrevValue  string     `json:"prevValue,omitempty"`
	Value      string     `json:"value,omitempty"`
	NewKey     bool       `json:"newKey,omitempty"`
	Expiration *time.Time `json:"expiration,omitempty"`
	TTL        int64      `json:"ttl,omitempty"`
	Index      uint64     `json:"index"`
}

// nodeAnswer returns a key as a read answers it.
func nodeAnswer(n *tree.Node, index uint64, now logtime.Time) keyAnswer {
	a := keyAnswer{Action: "GET", Key: n.Path, Dir: n.Dir, Value: n.Value, Index: index}
	a.expires(n.Deadline, now)
	return a
}

// renderListing renders the children of a directory, which must have some, as one array: one of them,
// which may be large, with each call.
func renderListing(view *store.View, dir string, now logtime.Time) httpfront.Render {
	const page = 16
	var children []*tree.Node
	last, before := "", byte('[')
	return func(piece []byte, gaps *httpfront.Gaps) ([]byte, bool) {
		if len(children) == 0 {
			children = view.Children(dir, last, page)
		}
		if len(children) == 0 {
			return append(piece, ']'), false
		}
		child := children[0]
		children = children[1:]
		answer := nodeAnswer(child, view.Index(), now)
		piece = answer.append(append(piece, before), gaps)
		before, last = ',', child.Path
		return piece, true
	}
}

// append appends the answer in JSON, as encoding/json does, in a tenth of its time. It leaves gaps for large
// values, unless gaps is nil.
func (a *keyAnswer) append(to []byte, gaps *httpfront.Gaps) []byte {
	to = append(append(to, `{"action":"`...), a.Action...)
	to = httpfront.AppendString(append(to, `","key":`...), a.Key)
	if a.Dir {
		to = append(to, `,"dir":true`...)
	}
	if a.PrevValue != "" {
		to = gaps.AppendString(append(to, `,"prevValue":`...), a.PrevValue)
	}
	if a.Value != "" {
		to = gaps.AppendString(append(to, `,"value":`...), a.Value)
	}
	if a.NewKey {
		to = append(to, `,"newKey":true`...)
	}
	if a.Expiration != nil {
		to = append(a.Expiration.AppendFormat(append(to, `,"expiration":"`...), time.RFC3339Nano), '"')
	}
	if a.TTL != 0 {
		to = strconv.AppendInt(append(to, `,"ttl":`...), a.TTL, 10)
	}
	return append(strconv.AppendUint(append(to, `,"index":`...), a.Index, 10), '}')
}

// Write implements [httpfront.Answer].
func (a *keyAnswer) Write(resp *fasthttp.Response) {
	resp.Header.SetContentType(httpfront.TypeJSON)
	if len(a.Key)+len(a.PrevValue)+len(a.Value) > maxCopied {
		var gaps httpfront.Gaps
		text := a.append(nil, &gaps)
		httpfront.WriteText(resp, text, gaps)
		return
	}
	var room [2 * maxCopied]byte // on the stack
	resp.AppendBody(a.append(room[:0], nil))
}

// maxCopied bounds the key and the values, in bytes, of an answer that is copied into the memory of
// the response.
const maxCopied = 256

// listAnswer is the answer about the children of a directory.
type listAnswer []keyAnswer

func (l listAnswer) Write(resp *fasthttp.Response) {
	resp.Header.SetContentType(httpfront.TypeJSON)
	var values []string
	size := 0
	for i := range l {
		values = append(values, l[i].Value)
		size += len(l[i].Key) + len(l[i].Value)
	}
	if size > httpfront.MaxWhole {
		httpfront.WriteParts(resp, l.render, values)
		return
	}
	text := []byte{'['}
	for i := range l {
		if i > 0 {
			text = append(text, ',')
		}
		text = l[i].append(text, nil)
	}
	resp.SetBodyRaw(append(text, ']'))
}

// render renders a list with a key with each call.
func (l listAnswer) render() httpfront.Render {
	rest, before := l, byte('[')
	return func(piece []byte, gaps *httpfront.Gaps) ([]byte, bool) {
		piece = rest[0].append(append(piece, before), gaps)
		if rest, before = rest[1:], ','; len(rest) > 0 {
			return piece, true
		}
		return append(piece, ']'), false
	}
}

// eventAnswer returns an event as a write and a watch answer it.
func eventAnswer(e *tree.Event, now logtime.Time) keyAnswer {
	a := keyAnswer{Key: e.Node.Path, Dir: e.Node.Dir, Index: e.Index}
	if e.Prev != nil {
		a.PrevValue = e.Prev.Value
	}
	switch e.Action {
	case tree.ActionDelete, tree.ActionCompareAndDelete, tree.ActionExpire:
		a.Action = "DELETE"
		a.expires(e.Prev.Deadline, 0)
		a.TTL = 0
	default:
		a.Action = "SET"
		a.Value = e.Node.Value
		a.NewKey = e.Prev == nil
		a.expires(e.Node.Deadline, now)
	}
	return a
}

// expires fills in the deadline. The time to live counts down, as in 2013: in whole
// seconds that are left, rounded down, so that a fresh 5 shows as 4.
func (a *keyAnswer) expires(deadline, now logtime.Time) {
	if deadline == 0 {
		return
	}
	a.Expiration = new(deadline.Std())
	if deadline > now {
		a.TTL = int64((deadline - now - 1) / logtime.Time(time.Second))
	}
}
