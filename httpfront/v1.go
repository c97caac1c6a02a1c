package httpfront

import (
	"strconv"
	"strings"
	"time"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/watch"
)

// The v1 API as docs/api-v1.md describes it.

// maxTTL is the longest time to live, in seconds.
const maxTTL = int64(store.MaxTTL / time.Second)

func (x *Exchange) key() string {
	for _, prefix := range []string{"/v1/keys", "/v1/get", "/v1/watch"} {
		if key, ok := under(x.Path, prefix); ok {
			return key
		}
	}
	return x.Path
}

// written is the key as the client wrote it: without the slash at its beginning,
// with the one at its end. The servers of 2013 name it so when a test-and-set finds
// no file to test.
func (x *Exchange) written() string {
	key := strings.TrimPrefix(x.key(), "/")
	if x.Slash && key != "" {
		key += "/"
	}
	return key
}

func getKey(x *Exchange) Answer {
	local, bad := x.local()
	if bad != nil {
		return bad
	}
	reply := x.Read(x.key(), local)
	switch {
	case reply.Err != nil:
		return Unserved(reply.Err)
	case reply.Failure != nil:
		return NewError(CodeKeyNotFound, x.key())
	case !reply.Node.Dir:
		if mediaType := rawType(&x.ctx.Request.Header); mediaType != "" {
			return bare{mediaType, reply.Node.Value}
		}
		return Document{x.server.listed(reply.Node, reply.Index)}
	}
	list := make([]keyAnswer, len(reply.Children))
	for i, child := range reply.Children {
		list[i] = x.server.listed(child, reply.Index)
	}
	return Document{list}
}

// local says whether the client is content with local state.
func (x *Exchange) local() (local bool, bad *Error) {
	if x.query == "" && x.Body == "" {
		return x.server.cfg.LocalReads, nil
	}
	f, bad := x.Form()
	if bad != nil {
		return false, bad
	}
	return x.server.local(f)
}

// local says whether a form asks for local state.
func (s *Server) local(f Form) (local bool, bad *Error) {
	local, given := s.cfg.LocalReads, ""
	for _, name := range []string{"quorum", "consistent"} {
		value, ok := f.Get(name)
		if !ok {
			continue
		}
		quorum, err := strconv.ParseBool(value)
		if err != nil {
			return false, NewError(CodeInvalidField, "invalid value for "+strconv.Quote(name))
		}
		if given != "" && local == quorum {
			return false, NewError(CodeInvalidField, given+" and "+name+" contradict each other")
		}
		local, given = !quorum, name
	}
	return local, nil
}

func setKey(x *Exchange) Answer {
	key := x.key()
	if store.Reserved(key) {
		return NewError(CodeKeyword, "Set")
	}
	f, bad := x.Form()
	if bad != nil {
		return bad
	}
	value, _ := f.Get("value")
	if value == "" {
		return NewError(CodeValueRequired, "Set")
	}
	ttl, bad := f.ttl()
	if bad != nil {
		return bad
	}
	prev, tested := f.Get("prevValue")
	var condition *storepb.Condition
	switch {
	case prev != "":
		condition = &storepb.Condition{Value: []byte(prev)}
	case tested:
		condition = &storepb.Condition{Exist: new(false)}
	}
	reply := x.Propose(setCommand(key, value, ttl, condition))
	switch {
	case reply.Err != nil:
		return Unserved(reply.Err)
	case reply.Result.Failure == nil:
		return Document{x.server.changed(reply.Result.Event)}
	}
	return setFailure(x, reply.Result.Failure, prev, ttl != nil && *ttl <= 0)
}

// setCommand is a Set, or a Delete if the time to live is over already.
func setCommand(key, value string, ttl *int64, condition *storepb.Condition) []byte {
	if ttl != nil && *ttl <= 0 {
		return store.Encode(&storepb.Command{Kind: &storepb.Command_Delete{
			Delete: &storepb.Delete{Path: key, Condition: condition},
		}})
	}
	set := &storepb.Set{Path: key, Value: []byte(value), Condition: condition}
	if ttl != nil {
		set.TtlNs = new(*ttl * int64(time.Second))
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Set{Set: set}})
}

// setFailure words why a set was refused. prev is what it was to be tested for, ""
// for none; over says that it was a delete in disguise.
func setFailure(x *Exchange, f *store.Failure, prev string, over bool) *Error {
	switch f.Code {
	case store.CompareFailed:
		return NewError(CodeTestFailed, "TestAndSet: "+f.Node.Value+"!="+prev)
	case store.NodeExists:
		if !f.Node.Dir {
			return NewError(CodeTestFailed, "TestAndSet: "+f.Node.Value+"!=")
		}
	default:
		if prev != "" {
			return NewError(CodeKeyNotFound, x.written())
		}
		if over {
			return NewError(CodeKeyNotFound, x.key())
		}
	}
	return NewError(CodeNotFile, x.key())
}

// ttl returns the time to live in seconds, nil for none.
func (f Form) ttl() (*int64, *Error) {
	value, _ := f.Get("ttl")
	if value == "" {
		return nil, nil
	}
	ttl, err := strconv.ParseInt(value, 10, 64)
	if err != nil || ttl > maxTTL {
		return nil, NewError(CodeTTLNaN, "Set")
	}
	return &ttl, nil
}

func deleteKey(x *Exchange) Answer {
	key := x.key()
	if store.Reserved(key) {
		return NewError(CodeKeyword, "Delete")
	}
	f, bad := x.Form()
	if bad != nil {
		return bad
	}
	if _, tested := f.Get("prevValue"); tested {
		return NewError(CodeInvalidForm, "prevValue is no condition of a DELETE in this API; nothing was deleted")
	}
	reply := x.Propose(store.Encode(&storepb.Command{Kind: &storepb.Command_Delete{
		Delete: &storepb.Delete{Path: key},
	}}))
	switch {
	case reply.Err != nil:
		return Unserved(reply.Err)
	case reply.Result.Failure == nil:
		return Document{x.server.changed(reply.Result.Event)}
	}
	switch reply.Result.Failure.Code {
	case store.KeyNotFound, store.NotDir:
		return NewError(CodeKeyNotFound, key)
	}
	return NewError(CodeNotFile, key)
}

// watchKey waits for the first event with the given index or a later one; without an
// index, which a POST must have, for the next.
func watchKey(x *Exchange) Answer {
	f, bad := x.Form()
	if bad != nil {
		return bad
	}
	var index uint64
	if value, given := f.Get("index"); given || x.ctx.IsPost() {
		var err error
		if index, err = strconv.ParseUint(value, 10, 64); err != nil {
			return NewError(CodeIndexNaN, "Watch From Index")
		}
	}
	local, bad := x.server.local(f)
	if bad != nil {
		return bad
	}
	// Where "next" begins is a linearizable matter: not before what was acknowledged
	// already, on no machine. Nor are events new that were acknowledged before the machine
	// started, though it may not have applied them yet.
	if index == 0 && (!local || !x.server.machine.IsReady()) {
		if err := x.Sync(); err != nil {
			return Unserved(err)
		}
	}
	w := watch.Watcher{Path: x.key(), Since: index, Recursive: true, Hidden: true}
	server := x.server
	x.Watch(w, func(d watch.Delivery) Answer {
		return server.watched(d)
	})
	return nil
}
