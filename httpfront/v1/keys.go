package v1

import (
	"strconv"
	"strings"
	"time"

	"etcd/actors"
	"etcd/apierror"
	"etcd/httpfront"
	"etcd/store"
	"etcd/store/logtime"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// maxTTL is the longest time to live, in seconds.
const maxTTL = int64(logtime.MaxTTL / time.Second)

// keyAsSent returns the key as the client wrote it: without the slash at its beginning,
// with the one at its end. The servers of 2013 name it so in the error when a test-and-set
// finds no file to test.
func keyAsSent(x *httpfront.Exchange) string {
	key := strings.TrimPrefix(x.Key, "/")
	if x.Slash && key != "" {
		key += "/"
	}
	return key
}

// isKeyword reports whether a key is one that the servers of 2013 kept for themselves.
func isKeyword(key string) bool {
	first, _, _ := strings.Cut(key[1:], "/")
	return first == "_etcd" || first == "ephemeralNodes"
}

func (a *api) getKey(x *httpfront.Exchange) httpfront.Answer {
	local, bad := a.local(x)
	if bad != nil {
		return bad
	}
	return x.Read(x.Key, local, keyRead)
}

// keyRead is the answer to a request for a key.
func keyRead(x *httpfront.Exchange, reply *actors.ReadReply) httpfront.Answer {
	switch {
	case reply.Err != nil:
		return httpfront.Unserved(reply.Err)
	case reply.Failure != nil:
		return httpfront.NewError(apierror.KeyNotFound, x.Key)
	case !reply.Node.Dir:
		if mediaType := httpfront.RawMediaType(x.Header()); mediaType != "" {
			return httpfront.RawValue{MediaType: mediaType, Value: reply.Node.Value}
		}
		answer := nodeAnswer(reply.Node, reply.Index, x.Machine().LogTime())
		return &answer
	}
	now := x.Machine().LogTime()
	if reply.View != nil {
		dir := x.Key
		return x.Stream(httpfront.Listing{View: reply.View, Dir: dir}, func() httpfront.Render { return renderListing(reply.View, dir, now) })
	}
	list := make(listAnswer, len(reply.Children))
	for i, child := range reply.Children {
		list[i] = nodeAnswer(child, reply.Index, now)
	}
	return list
}

// local reports whether the client accepts local state.
func (a *api) local(x *httpfront.Exchange) (local bool, bad *httpfront.Error) {
	if x.Plain() {
		return a.localReads, nil
	}
	f, bad := x.Form()
	if bad != nil {
		return false, bad
	}
	return a.wantsLocal(f)
}

// wantsLocal reports whether a read with these parameters is served from local state.
func (a *api) wantsLocal(f httpfront.Form) (local bool, bad *httpfront.Error) {
	local, given := a.localReads, ""
	for _, name := range []string{"quorum", "consistent"} {
		value, ok := f.Get(name)
		if !ok {
			continue
		}
		quorum, err := strconv.ParseBool(value)
		if err != nil {
			return false, httpfront.NewError(apierror.InvalidField, "invalid value for "+strconv.Quote(name))
		}
		if given != "" && local == quorum {
			return false, httpfront.NewError(apierror.InvalidField, given+" and "+name+" contradict each other")
		}
		local, given = !quorum, name
	}
	return local, nil
}

func setKey(x *httpfront.Exchange) httpfront.Answer {
	key := x.Key
	if isKeyword(key) {
		return httpfront.NewError(apierror.Keyword, "Set")
	}
	if err := store.CheckDepth(key, 0); err != nil {
		return httpfront.NewError(apierror.InvalidField, err.Error())
	}
	f, bad := x.Form()
	if bad != nil {
		return bad
	}
	value, _ := f.Get("value")
	if value == "" {
		return httpfront.NewError(apierror.ValueRequired, "Set")
	}
	ttl, bad := parseTTL(f)
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
	return x.Propose(setCommand(key, value, ttl, condition), func(x *httpfront.Exchange, reply *actors.Proposed) httpfront.Answer {
		switch {
		case reply.Err != nil:
			return httpfront.Unserved(reply.Err)
		case reply.Result.Failure == nil:
			answer := eventAnswer(reply.Result.Event, x.Machine().LogTime())
			return &answer
		}
		return setFailure(x, reply.Result.Failure, prev, ttl != nil && *ttl <= 0)
	})
}

// setCommand returns a Set, or a Delete if the time to live is zero or negative.
func setCommand(key, value string, ttl *int64, condition *storepb.Condition) []byte {
	if ttl != nil && *ttl <= 0 {
		return store.Encode(&storepb.Command{Kind: &storepb.Command_Delete{
			Delete: &storepb.Delete{Path: key, Condition: condition},
		}})
	}
	if ttl == nil && condition == nil {
		return store.EncodeSet(key, value)
	}
	set := &storepb.Set{Path: key, Value: []byte(value), Condition: condition}
	if ttl != nil {
		set.TtlNs = new(*ttl * int64(time.Second))
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Set{Set: set}})
}

// setFailure returns the error of a set that has failed. prev is the value that was
// compared, "" for none; over means that it was a Delete because its time to live was over.
func setFailure(x *httpfront.Exchange, f *tree.Failure, prev string, over bool) *httpfront.Error {
	switch f.Code {
	case tree.NoSpace:
		return httpfront.NoSpace(f)
	case tree.CompareFailed:
		return httpfront.NewError(apierror.TestFailed, "TestAndSet: "+f.Node.Value+"!="+prev)
	case tree.NodeExists:
		if !f.Node.Dir {
			return httpfront.NewError(apierror.TestFailed, "TestAndSet: "+f.Node.Value+"!=")
		}
	default:
		if prev != "" {
			return httpfront.NewError(apierror.KeyNotFound, keyAsSent(x))
		}
		if over {
			return httpfront.NewError(apierror.KeyNotFound, x.Key)
		}
	}
	return httpfront.NewError(apierror.NotFile, x.Key)
}

// parseTTL returns the time to live in seconds, nil for none.
func parseTTL(f httpfront.Form) (*int64, *httpfront.Error) {
	value, _ := f.Get("ttl")
	if value == "" {
		return nil, nil
	}
	ttl, err := strconv.ParseInt(value, 10, 64)
	if err != nil || ttl > maxTTL {
		return nil, httpfront.NewError(apierror.TTLNaN, "Set")
	}
	return &ttl, nil
}

func deleteKey(x *httpfront.Exchange) httpfront.Answer {
	key := x.Key
	if isKeyword(key) {
		return httpfront.NewError(apierror.Keyword, "Delete")
	}
	f, bad := x.Form()
	if bad != nil {
		return bad
	}
	if _, tested := f.Get("prevValue"); tested {
		return httpfront.NewError(apierror.InvalidForm, "prevValue is no condition of a DELETE in this API; nothing was deleted")
	}
	command := store.Encode(&storepb.Command{Kind: &storepb.Command_Delete{Delete: &storepb.Delete{Path: key}}})
	return x.Propose(command, keyDeleted)
}

// keyDeleted is the answer to a request to delete a key.
func keyDeleted(x *httpfront.Exchange, reply *actors.Proposed) httpfront.Answer {
	switch {
	case reply.Err != nil:
		return httpfront.Unserved(reply.Err)
	case reply.Result.Failure == nil:
		answer := eventAnswer(reply.Result.Event, x.Machine().LogTime())
		return &answer
	}
	switch reply.Result.Failure.Code {
	case tree.KeyNotFound, tree.NotDir:
		return httpfront.NewError(apierror.KeyNotFound, x.Key)
	}
	return httpfront.NewError(apierror.NotFile, x.Key)
}
