package v2

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/httpfront"
	"etcd/store/logtime"
	"etcd/store/tree"
)

// head is what the headers of an answer about keys say.
type head struct {
	changed    uint64 // index of the last command that has changed a key
	last, term uint64 // of the last entry
	clusterID  uint64
}

// headOf returns the head of an answer from a state with the given index.
func headOf(x *httpfront.Exchange, changed uint64) head {
	m := x.Machine()
	applied := m.Applied()
	return head{changed: changed, last: max(changed, applied.Last), term: applied.Term, clusterID: m.ClusterID}
}

var (
	headerIndex     = []byte(httpfront.HeaderIndex)
	headerRaftIndex = []byte(httpfront.HeaderRaftIndex)
	headerRaftTerm  = []byte(httpfront.HeaderRaftTerm)
	headerClusterID = []byte(httpfront.HeaderClusterID)
)

// SetHeaders implements [httpfront.StreamHead].
func (a head) SetHeaders(h *fasthttp.ResponseHeader) {
	var digits [20]byte
	h.SetCanonical(headerIndex, strconv.AppendUint(digits[:0], a.changed, 10))
	h.SetCanonical(headerRaftIndex, strconv.AppendUint(digits[:0], a.last, 10))
	h.SetCanonical(headerRaftTerm, strconv.AppendUint(digits[:0], a.term, 10))
	h.SetCanonical(headerClusterID, strconv.AppendUint(digits[:0], a.clusterID, 16))
}

// keyAnswer is the answer about one key: what was done with it, what it is now, and what it was before.
type keyAnswer struct {
	head       head
	action     string
	created    bool
	node, prev *tree.Node   // nil: not shown
	removed    bool         // of node
	shown      logtime.Time // when times to live are counted from
}

// Write implements [httpfront.Answer].
func (a *keyAnswer) Write(resp *fasthttp.Response) {
	if a.created {
		resp.SetStatusCode(fasthttp.StatusCreated)
	}
	resp.Header.SetContentType(httpfront.TypeJSON)
	a.head.SetHeaders(&resp.Header)
	if size(a.node)+size(a.prev) > maxCopied {
		var gaps httpfront.Gaps
		text := append(a.append(nil, &gaps), '\n')
		httpfront.WriteText(resp, text, gaps)
		return
	}
	var room [3 * maxCopied]byte // on the stack
	resp.AppendBody(append(a.append(room[:0], nil), '\n'))
}

// maxCopied bounds the keys and the values, in bytes, of an answer that is copied into the memory of
// the response.
const maxCopied = 256

func size(n *tree.Node) int {
	if n == nil {
		return 0
	}
	return len(n.Path) + len(n.Value)
}

// append appends the answer in JSON, with gaps for large values, unless gaps is nil.
func (a *keyAnswer) append(to []byte, gaps *httpfront.Gaps) []byte {
	to = append(append(append(to, `{"action":"`...), a.action...), '"')
	if a.node != nil {
		to = append(to, `,"node":`...)
		to = appendNodeEnd(appendNodeStart(to, gaps, a.node, a.removed, a.shown), a.node)
	}
	if a.prev != nil {
		to = append(to, `,"prevNode":`...)
		to = appendNodeEnd(appendNodeStart(to, gaps, a.prev, false, a.shown), a.prev)
	}
	return append(to, '}')
}

// appendEvent appends an event as watches show it, with times to live that are counted from now.
func appendEvent(to []byte, gaps *httpfront.Gaps, e *tree.Event, now logtime.Time) []byte {
	a := keyAnswer{action: e.Action.String(), node: e.Node, prev: e.Prev, removed: isRemoval(e.Action), shown: now}
	return a.append(to, gaps)
}

// appendNodeStart appends a node up to the nodes in it. One that was removed has no value.
func appendNodeStart(to []byte, gaps *httpfront.Gaps, n *tree.Node, removed bool, now logtime.Time) []byte {
	if n.Path == "/" {
		return append(to, `{"dir":true`...)
	}
	to = append(httpfront.AppendString(append(to, `{"key":`...), n.Path), ',')
	switch {
	case n.Dir:
		to = append(to, `"dir":true,`...)
	case !removed:
		to = append(gaps.AppendString(append(to, `"value":`...), n.Value), ',')
	}
	if n.Deadline != 0 {
		to = n.Deadline.Std().AppendFormat(append(to, `"expiration":"`...), time.RFC3339Nano)
		to = append(to, `",`...)
		if left := secondsLeft(n.Deadline, now); left > 0 {
			to = append(strconv.AppendUint(append(to, `"ttl":`...), left, 10), ',')
		}
	}
	return to
}

// appendNodeEnd appends the rest of a node.
func appendNodeEnd(to []byte, n *tree.Node) []byte {
	if n.Path == "/" {
		return append(to, '}')
	}
	to = strconv.AppendUint(append(to, `"modifiedIndex":`...), n.Modified, 10)
	return append(strconv.AppendUint(append(to, `,"createdIndex":`...), n.Created, 10), '}')
}

// secondsLeft returns the seconds up to a deadline, rounded up; 0 if it is over.
func secondsLeft(deadline, now logtime.Time) uint64 {
	if deadline <= now {
		return 0
	}
	return uint64((deadline-now-1)/logtime.Time(time.Second)) + 1
}

// present returns the moment at which nodes are shown: not before the last command, although the time
// of the log may be known less exactly on this machine.
func present(x *httpfront.Exchange) logtime.Time {
	m := x.Machine()
	return max(m.LogTime(), m.Applied().Time)
}

// isOver reports whether the time to live of a node is over, although it was not removed yet.
func isOver(n *tree.Node, now logtime.Time) bool { return n.Deadline != 0 && n.Deadline <= now }

// rawAnswer is the value of a key and nothing else.
type rawAnswer struct {
	httpfront.RawValue
	head head
}

func (a rawAnswer) Write(resp *fasthttp.Response) {
	a.head.SetHeaders(&resp.Header)
	a.RawValue.Write(resp)
}

// withHead is another answer with these headers.
type withHead struct {
	httpfront.Answer
	head head
}

func (a withHead) Write(resp *fasthttp.Response) {
	a.Answer.Write(resp)
	if resp.StatusCode() == fasthttp.StatusOK {
		a.head.SetHeaders(&resp.Header)
	}
}
