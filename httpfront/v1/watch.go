package v1

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"time"

	"etcd/actors"
	"etcd/apierror"
	"etcd/httpfront"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/watch"
)

// watchRequest is what a client wants to watch.
type watchRequest struct {
	watch.Watcher
	keys    []string // if there is more than one, all of them; none is below another
	local   bool     // "next" is that of local state
	timeout time.Duration
	format  httpfront.StreamFormat // of a stream
}

// watchKey waits for the first event with the given index or a later one; without an
// index, which a POST must have, for the next. A stream goes on from there.
func (a *api) watchKey(x *httpfront.Exchange) httpfront.Answer {
	w, bad := a.parseWatch(x)
	if bad != nil {
		return bad
	}
	// Where "next" begins has to be linearizable: on any machine, after all writes that were
	// acknowledged before. And even for a local read, events that were acknowledged before the
	// machine started are not new, although it may not have applied them yet.
	if w.Since > 0 || w.local && x.Machine().IsReady() {
		return w.begin(x)
	}
	return x.AfterSync(func(x *httpfront.Exchange, err error) httpfront.Answer {
		if err != nil {
			return httpfront.Unserved(err)
		}
		return w.begin(x)
	})
}

func (w *watchRequest) begin(x *httpfront.Exchange) httpfront.Answer {
	if !w.Stream {
		return x.Watch(w.Watcher, eventRenderer{}, w.timeout)
	}
	var others []watch.Watcher
	for i, key := range w.keys {
		if i == 0 {
			w.Path = key
			continue
		}
		other := w.Watcher
		other.ID, other.Path = uint64(i), key
		others = append(others, other)
	}
	return x.Follow(w.Watcher, others, w.format, nil)
}

func (a *api) parseWatch(x *httpfront.Exchange) (w watchRequest, bad *httpfront.Error) {
	w.Watcher = watch.Watcher{Path: x.Key, Recursive: true, Hidden: true}
	f, bad := x.Form()
	if bad != nil {
		return w, bad
	}
	if w.format, bad = streamFormat(f, x.Header()); bad != nil {
		return w, bad
	}
	w.Stream = w.format != nil
	if value, given := f.Get("index"); given || x.Header().IsPost() {
		var err error
		if w.Since, err = strconv.ParseUint(value, 10, 64); err != nil {
			return w, httpfront.NewError(apierror.IndexNaN, "Watch From Index")
		}
	}
	var err error
	if w.Stream {
		since, err := httpfront.ResumesAt(x.Header())
		if err != nil {
			return w, httpfront.NewError(apierror.IndexNaN, "Last-Event-ID")
		}
		w.Since = cmp.Or(since, w.Since)
	}
	if w.local, bad = a.wantsLocal(f); bad != nil {
		return w, bad
	}
	if w.timeout, err = f.WatchTimeout(); err != nil {
		return w, httpfront.NewError(apierror.InvalidField, err.Error())
	}
	if w.timeout > 0 && w.Stream {
		return w, httpfront.NewError(apierror.InvalidField, "a stream has no timeout; its heartbeats show that it is alive")
	}
	if err := store.CheckDepth(w.Path, 0); err != nil {
		return w, httpfront.NewError(apierror.InvalidField, err.Error())
	}
	bad = w.parseKeys(f)
	return w, bad
}

// parseKeys adds the keys beside that of the path. A form bounds how many there are.
func (w *watchRequest) parseKeys(f httpfront.Form) *httpfront.Error {
	for _, field := range f {
		if field.Name != "key" {
			continue
		}
		key, err := httpfront.CleanKey(field.Value)
		if err == nil {
			err = store.CheckDepth(key, 0)
		}
		switch {
		case !w.Stream:
			return httpfront.NewError(apierror.InvalidField, "several keys need stream=true")
		case field.Value == "":
			return httpfront.NewError(apierror.InvalidField, "key is empty; the root is /")
		case err != nil:
			return httpfront.NewError(apierror.InvalidField, "key: "+err.Error())
		}
		if w.keys == nil {
			w.keys = []string{w.Path}
		}
		w.keys = addKey(w.keys, key)
	}
	return nil
}

// addKey adds a key to a stream, and leaves out what is below another key, which includes it.
func addKey(keys []string, key string) []string {
	kept := keys[:0]
	for _, other := range keys {
		if includes(other, key) {
			return keys // so nothing was left out for it either
		}
		if !includes(key, other) {
			kept = append(kept, other)
		}
	}
	return append(kept, key)
}

// includes reports whether a key is, or is above, another one.
func includes(key, other string) bool {
	return key == "/" || other == key || strings.HasPrefix(other, key+"/")
}

// eventRenderer makes the answers to watches.
type eventRenderer struct{}

// Render implements [httpfront.EventRenderer].
func (eventRenderer) Render(m *actors.Machine, d watch.Delivery) httpfront.Answer {
	return watchAnswer(d, m.LogTime)
}

// watchAnswer is the answer to a watch. now is called only for an event.
func watchAnswer(d watch.Delivery, now func() logtime.Time) httpfront.Answer {
	if d.Err == nil {
		answer := eventAnswer(d.Event, now())
		return &answer
	}
	return watchError(d.Err)
}

// watchError is the error of a watch that has ended without an event.
func watchError(err error) *httpfront.Error {
	var cleared *watch.ClearedError
	if errors.As(err, &cleared) {
		return httpfront.NewError(apierror.IndexCleared, cleared.Error())
	}
	return httpfront.NewError(apierror.WatcherCleared, err.Error())
}
