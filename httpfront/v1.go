package httpfront

import (
	"strconv"
	"strings"
	"time"

	"etcd/actors"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/watch"
)

// The v1 API as docs/api-v1.md describes it.

// maxTTL is the longest time to live, in seconds.
const maxTTL = int64(store.MaxTTL / time.Second)

func (r *request) key() string {
	for _, prefix := range []string{"/v1/keys", "/v1/get", "/v1/watch"} {
		if key, ok := under(r.path, prefix); ok {
			return key
		}
	}
	return r.path
}

// written is the key as the client wrote it: without the slash at its beginning,
// with the one at its end. The servers of 2013 name it so when a test-and-set finds
// no file to test.
func (r *request) written() string {
	key := strings.TrimPrefix(r.key(), "/")
	if r.slash && key != "" {
		key += "/"
	}
	return key
}

func getKey(r *request) answer {
	local, bad := r.local()
	if bad != nil {
		return bad
	}
	reply := r.session.read(r.key(), local)
	switch {
	case reply.Err != nil:
		return unserved(reply.Err)
	case reply.Failure != nil:
		return newError(codeKeyNotFound, r.key())
	case !reply.Node.Dir:
		if mediaType := rawType(&r.ctx.Request.Header); mediaType != "" {
			return bare{mediaType, reply.Node.Value}
		}
		return document{r.server.listed(reply.Node, reply.Index)}
	}
	list := make([]keyAnswer, len(reply.Children))
	for i, child := range reply.Children {
		list[i] = r.server.listed(child, reply.Index)
	}
	return document{list}
}

// local says whether the client is content with local state.
func (r *request) local() (local bool, bad *apiError) {
	if r.query == "" && r.body == "" {
		return r.server.cfg.LocalReads, nil
	}
	f, bad := r.form()
	if bad != nil {
		return false, bad
	}
	return r.server.local(f)
}

// local says whether a form asks for local state.
func (s *Server) local(f form) (local bool, bad *apiError) {
	local, given := s.cfg.LocalReads, ""
	for _, name := range []string{"quorum", "consistent"} {
		value, ok := f.get(name)
		if !ok {
			continue
		}
		quorum, err := strconv.ParseBool(value)
		if err != nil {
			return false, newError(codeInvalidField, "invalid value for "+strconv.Quote(name))
		}
		if given != "" && local == quorum {
			return false, newError(codeInvalidField, given+" and "+name+" contradict each other")
		}
		local, given = !quorum, name
	}
	return local, nil
}

func setKey(r *request) answer {
	key := r.key()
	if store.Reserved(key) {
		return newError(codeKeyword, "Set")
	}
	f, bad := r.form()
	if bad != nil {
		return bad
	}
	value, _ := f.get("value")
	if value == "" {
		return newError(codeValueRequired, "Set")
	}
	ttl, bad := f.ttl()
	if bad != nil {
		return bad
	}
	prev, tested := f.get("prevValue")
	var condition *storepb.Condition
	switch {
	case prev != "":
		condition = &storepb.Condition{Value: []byte(prev)}
	case tested:
		condition = &storepb.Condition{Exist: new(false)}
	}
	reply := r.session.propose(setCommand(key, value, ttl, condition))
	switch {
	case reply.Err != nil:
		return unserved(reply.Err)
	case reply.Result.Failure == nil:
		return document{r.server.changed(reply.Result.Event)}
	}
	return setFailure(r, reply.Result.Failure, prev, ttl != nil && *ttl <= 0)
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
func setFailure(r *request, f *store.Failure, prev string, over bool) *apiError {
	switch f.Code {
	case store.CompareFailed:
		return newError(codeTestFailed, "TestAndSet: "+f.Node.Value+"!="+prev)
	case store.NodeExists:
		if !f.Node.Dir {
			return newError(codeTestFailed, "TestAndSet: "+f.Node.Value+"!=")
		}
	default:
		if prev != "" {
			return newError(codeKeyNotFound, r.written())
		}
		if over {
			return newError(codeKeyNotFound, r.key())
		}
	}
	return newError(codeNotFile, r.key())
}

// ttl returns the time to live in seconds, nil for none.
func (f form) ttl() (*int64, *apiError) {
	value, _ := f.get("ttl")
	if value == "" {
		return nil, nil
	}
	ttl, err := strconv.ParseInt(value, 10, 64)
	if err != nil || ttl > maxTTL {
		return nil, newError(codeTTLNaN, "Set")
	}
	return &ttl, nil
}

func deleteKey(r *request) answer {
	key := r.key()
	if store.Reserved(key) {
		return newError(codeKeyword, "Delete")
	}
	f, bad := r.form()
	if bad != nil {
		return bad
	}
	if _, tested := f.get("prevValue"); tested {
		return newError(codeInvalidForm, "prevValue is no condition of a DELETE in this API; nothing was deleted")
	}
	reply := r.session.propose(store.Encode(&storepb.Command{Kind: &storepb.Command_Delete{
		Delete: &storepb.Delete{Path: key},
	}}))
	switch {
	case reply.Err != nil:
		return unserved(reply.Err)
	case reply.Result.Failure == nil:
		return document{r.server.changed(reply.Result.Event)}
	}
	switch reply.Result.Failure.Code {
	case store.KeyNotFound, store.NotDir:
		return newError(codeKeyNotFound, key)
	}
	return newError(codeNotFile, key)
}

// watchKey waits for the first event with the given index or a later one; without an
// index, which a POST must have, for the next.
func watchKey(r *request) answer {
	f, bad := r.form()
	if bad != nil {
		return bad
	}
	var index uint64
	if value, given := f.get("index"); given || r.ctx.IsPost() {
		var err error
		if index, err = strconv.ParseUint(value, 10, 64); err != nil {
			return newError(codeIndexNaN, "Watch From Index")
		}
	}
	local, bad := r.server.local(f)
	if bad != nil {
		return bad
	}
	// Where "next" begins is a linearizable matter: not before what was acknowledged
	// already, on no machine. Nor are events new that were acknowledged before the machine
	// started, though it may not have applied them yet.
	if index == 0 && (!local || !r.server.machine.IsReady()) {
		if err := r.session.sync(); err != nil {
			return unserved(err)
		}
	}
	w := watch.Watcher{Path: r.key(), Since: index, Recursive: true, Hidden: true}
	server := r.server
	r.session.watch(r.ctx, w, func(reply *actors.WatchReply) answer {
		return server.watched(reply)
	})
	return nil
}
