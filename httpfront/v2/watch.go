package v2

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/store"
	"etcd/store/tree"
	"etcd/watch"
)

// watchRequest is what a client wants to watch.
type watchRequest struct {
	watch.Watcher
	format  httpfront.StreamFormat
	timeout time.Duration // 0: none
}

// watch waits for the first event with the given index or a later one; without an index, for the
// next. A stream goes on from there.
func (a *api) watch(x *httpfront.Exchange, p *params) httpfront.Answer {
	w, bad := parseWatch(x, p)
	if bad != nil {
		return bad
	}
	// Where "next" begins has to be linearizable: on any machine, after all writes that were
	// acknowledged before. And even for a local read, events that were acknowledged before the
	// machine started are not new, although it may not have applied them yet.
	if w.Since > 0 || p.local && x.Machine().IsReady() {
		return w.begin(x)
	}
	return x.AfterSync(func(x *httpfront.Exchange, err error) httpfront.Answer {
		if err != nil {
			return unserved(x, err)
		}
		return w.begin(x)
	})
}

func (w *watchRequest) begin(x *httpfront.Exchange) httpfront.Answer {
	if w.timeout > 0 {
		return x.Watch(w.Watcher, eventRenderer{}, w.timeout)
	}
	// All events up to this index were published before the watch is added, so that it begins at a
	// later one.
	return x.Follow(w.Watcher, nil, w.format, headOf(x, x.Machine().Applied().Changed))
}

func parseWatch(x *httpfront.Exchange, p *params) (w *watchRequest, bad *keyError) {
	w = &watchRequest{
		Watcher: watch.Watcher{Path: x.Key, Recursive: p.recursive, Since: p.waitIndex, Stream: p.stream, NeedsLeader: true},
		format:  events{},
	}
	if httpfront.AcceptsEvents(x.Header()) {
		w.format, w.Stream = httpfront.ServerSent{JSON: eventJSON{}}, true
		since, err := httpfront.ResumesAt(x.Header())
		if err != nil {
			return nil, newError(x, codeIndexNaN, `invalid value for "Last-Event-ID"`)
		}
		w.Since = cmp.Or(since, w.Since)
	}
	if err := store.CheckDepth(x.Key, 0); err != nil {
		return nil, newError(x, codeInvalidField, err.Error())
	}
	var err error
	switch w.timeout, err = p.form.WatchTimeout(); {
	case err != nil:
		return nil, newError(x, codeInvalidField, err.Error())
	case w.timeout > 0 && w.Stream:
		return nil, newError(x, codeInvalidField, "a stream has no timeout")
	}
	return w, nil
}

// eventRenderer makes the answers to watches with a timeout.
type eventRenderer struct{}

// Render implements [httpfront.EventRenderer].
func (eventRenderer) Render(m *actors.Machine, d watch.Delivery) httpfront.Answer {
	if d.Err != nil {
		return watchError(m, d.Err)
	}
	e, applied := d.Event, m.Applied()
	return &keyAnswer{
		head:   head{changed: applied.Changed, last: applied.Last, term: applied.Term, clusterID: m.ClusterID},
		action: e.Action.String(), node: e.Node, prev: e.Prev, removed: isRemoval(e.Action), shown: m.LogTime(),
	}
}

// watchError is the answer to a watch that cannot begin.
func watchError(m *actors.Machine, err error) *keyError {
	e := &keyError{
		status: http.StatusServiceUnavailable, code: codeWatcherCleared, message: messages[codeWatcherCleared], cause: err.Error(),
		index: m.Applied().Changed, clusterID: strconv.FormatUint(m.ClusterID, 16),
	}
	if _, ok := errors.AsType[*watch.ClearedError](err); ok || httpfront.Lost(err) {
		e.status, e.code, e.message = http.StatusBadRequest, codeEventIndexIsGone, messages[codeEventIndexIsGone]
	}
	return e
}

// events is the answer to a watch: JSON objects, one a line. There are no heartbeats between them,
// which clients would not expect. It ends with a 401 if events are gone, and in any case is cut off, so
// that no client takes it for whole.
type events struct{}

func (events) ContentType() string { return httpfront.TypeJSON }

func (events) Beats() bool { return false }

func (events) Cut() bool { return true }

func (events) AppendStart(to []byte, _ uint64) []byte { return to }

func (events) AppendHeartbeat(to []byte, _ uint64) []byte { return to }

func (events) AppendEvent(to []byte, gaps *httpfront.Gaps, m *actors.Machine, e *tree.Event) []byte {
	return append(eventJSON{}.AppendEvent(to, gaps, m, e), '\n')
}

func (events) AppendError(to []byte, err error, index uint64) []byte {
	if !httpfront.Lost(err) {
		return to // another machine has what follows
	}
	return append(eventJSON{}.AppendError(to, err, index), '\n')
}

// Refuse implements [httpfront.StreamFormat].
func (events) Refuse(m *actors.Machine, err error, _ uint64) httpfront.Answer {
	return watchError(m, err)
}

// eventJSON implements [httpfront.EventJSON].
type eventJSON struct{}

func (eventJSON) AppendEvent(to []byte, gaps *httpfront.Gaps, m *actors.Machine, e *tree.Event) []byte {
	return appendEvent(to, gaps, e, m.LogTime())
}

func (eventJSON) AppendError(to []byte, err error, index uint64) []byte {
	e := keyError{code: codeWatcherCleared, message: messages[codeWatcherCleared], cause: err.Error(), index: index}
	if httpfront.Lost(err) {
		e.code, e.message = codeEventIndexIsGone, messages[codeEventIndexIsGone]
	}
	return e.appendJSON(to, nil)
}
