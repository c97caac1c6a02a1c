package v2

import (
	"etcd/actors"
	"etcd/httpfront"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// get answers with a key, or waits for its next change.
func (a *api) get(x *httpfront.Exchange) httpfront.Answer {
	p := &params{local: a.cfg.LocalReads}
	if !x.Plain() || httpfront.AcceptsEvents(x.Header()) {
		var bad *keyError
		if p, bad = parse(x, a.cfg.LocalReads); bad != nil {
			return bad
		}
	}
	switch {
	case p.wait:
		return a.watch(x, p)
	case isMachines(x.Key):
		return x.Read(tree.Parent(store.MembersDir), p.local, machinesRead)
	case p.recursive:
		return x.ReadDeep(x.Key, p.local, treeRead)
	}
	return x.Read(x.Key, p.local, keyRead)
}

func keyRead(x *httpfront.Exchange, reply *actors.ReadReply) httpfront.Answer {
	return read(x, reply, false)
}

func treeRead(x *httpfront.Exchange, reply *actors.ReadReply) httpfront.Answer {
	return read(x, reply, true)
}

// read is the answer to a request for a key; deep: with everything below it.
func read(x *httpfront.Exchange, reply *actors.ReadReply, deep bool) httpfront.Answer {
	now := present(x)
	switch {
	case reply.Err != nil:
		return unserved(x, reply.Err)
	case reply.Failure != nil:
		return failure(x, reply.Failure, reply.Changed, nil)
	case isOver(reply.Node, now):
		return failure(x, &tree.Failure{Code: tree.KeyNotFound, Path: x.Key}, reply.Changed, nil)
	case !reply.Node.Dir:
		head := headOf(x, reply.Changed)
		if mediaType := httpfront.RawMediaType(x.Header()); mediaType != "" {
			return rawAnswer{httpfront.RawValue{MediaType: mediaType, Value: reply.Node.Value}, head}
		}
		return &keyAnswer{head: head, action: "get", node: reply.Node, shown: now}
	}
	if x.Key == tree.Parent(store.MembersDir) && !hasOthers(reply) {
		return failure(x, &tree.Failure{Code: tree.KeyNotFound, Path: x.Key}, reply.Changed, nil)
	}
	if reply.View != nil {
		dir := reply.Node
		answer := x.Stream(httpfront.Listing{View: reply.View, Dir: dir.Path, Deep: deep}, func() httpfront.Render { return renderTree(dir, deep, viewLister(reply.View), now).next })
		return withHead{answer, headOf(x, reply.Changed)}
	}
	return &treeAnswer{head: headOf(x, reply.Changed), dir: reply.Node, deep: deep, nodes: reply.Children, shown: now}
}

// parseWrite reads the parameters of a request that writes a key.
func parseWrite(x *httpfront.Exchange) (*params, *keyError) {
	p, bad := parse(x, false)
	switch {
	case bad != nil:
		return nil, bad
	case store.Reserved(x.Key):
		return nil, newError(x, codeRootReadOnly, x.Key)
	case !isOfV2(x):
		return nil, tooOld(x)
	}
	return p, nil
}

// put writes a file or a directory.
func put(x *httpfront.Exchange) httpfront.Answer {
	p, bad := parseWrite(x)
	if bad != nil {
		return bad
	}
	if err := store.CheckDepth(x.Key, 0); err != nil {
		return newError(x, codeInvalidField, err.Error())
	}
	condition := p.condition(true)
	then := writeAnswer{p.noValueOnSuccess, condition}.answer
	if condition == nil && p.ttl == nil && !p.dir && !p.refresh {
		return x.Propose(store.EncodeSet(x.Key, p.value()), then)
	}
	set := &storepb.Set{Path: x.Key, Dir: p.dir, TtlNs: p.ttlNs(), Condition: condition, Refresh: p.refresh}
	if !p.refresh {
		set.Value = []byte(p.value())
	}
	return x.Propose(store.Encode(&storepb.Command{Kind: &storepb.Command_Set{Set: set}}), then)
}

// post makes an in-order key.
func post(x *httpfront.Exchange) httpfront.Answer {
	p, bad := parseWrite(x)
	if bad != nil {
		return bad
	}
	if err := store.CheckDepth(x.Key, 1); err != nil {
		return newError(x, codeInvalidField, err.Error())
	}
	create := &storepb.Create{Path: x.Key, Dir: p.dir, Value: []byte(p.value()), TtlNs: p.ttlNs()}
	return x.Propose(store.Encode(&storepb.Command{Kind: &storepb.Command_Create{Create: create}}),
		writeAnswer{p.noValueOnSuccess, nil}.answer)
}

// remove removes a file or a directory.
func remove(x *httpfront.Exchange) httpfront.Answer {
	p, bad := parseWrite(x)
	if bad != nil {
		return bad
	}
	condition := p.condition(false)
	remove := &storepb.Delete{Path: x.Key, Dir: p.dir, Recursive: p.recursive, Condition: condition}
	return x.Propose(store.Encode(&storepb.Command{Kind: &storepb.Command_Delete{Delete: remove}}), writeAnswer{false, condition}.answer)
}

// condition returns what has to be true of the node, nil for nothing. prevExist is asked for only if
// exist says so.
func (p *params) condition(exist bool) *storepb.Condition {
	c := &storepb.Condition{Index: p.prevIndex}
	if exist {
		c.Exist = p.prevExist
	}
	if p.prevValue != "" {
		c.Value = []byte(p.prevValue)
	}
	if c.Index == 0 && c.Exist == nil && c.Value == nil {
		return nil
	}
	return c
}

// writeAnswer makes the answer to a command.
type writeAnswer struct {
	noValue   bool // only what was done
	condition *storepb.Condition
}

func (w writeAnswer) answer(x *httpfront.Exchange, reply *actors.Proposed) httpfront.Answer {
	switch {
	case reply.Err != nil:
		return unserved(x, reply.Err)
	case reply.Result.Failure != nil:
		return failure(x, reply.Result.Failure, reply.Result.Changed, w.condition)
	}
	e := reply.Result.Event
	answer := &keyAnswer{
		head: headOf(x, reply.Result.Changed), action: e.Action.String(), created: isCreation(e), shown: reply.Times.Logged,
	}
	if !w.noValue {
		answer.node, answer.prev, answer.removed = e.Node, e.Prev, isRemoval(e.Action)
	}
	return answer
}

// isCreation reports whether an event has made a node where none was.
func isCreation(e *tree.Event) bool {
	return e.Action == tree.ActionCreate || e.Action == tree.ActionSet && e.Prev == nil
}

func isRemoval(a tree.Action) bool {
	return a == tree.ActionDelete || a == tree.ActionCompareAndDelete || a == tree.ActionExpire
}

// isOfV2 reports whether all members of the cluster know the commands of this API.
func isOfV2(x *httpfront.Exchange) bool { return x.Machine().Applied().Version >= store.VersionOfV2 }

const tooOldCause = "a member of this cluster runs an older program, which does not know this API, or is not running: update, start or remove it first; nothing was done"

// tooOld is the answer to a command that not every member would understand.
func tooOld(x *httpfront.Exchange) *keyError {
	e := newError(x, codeRaftInternal, tooOldCause)
	e.retryAfter = true
	return e
}

// The files of the members are for clients of v1. Here they are not there, as they never were in v2.

// isMachines reports whether a key is at or below the directory of the files of the members.
func isMachines(key string) bool {
	return store.Reserved(key) && key != tree.Parent(store.MembersDir)
}

// machinesRead says that there is no such key, from what is beside it.
func machinesRead(x *httpfront.Exchange, reply *actors.ReadReply) httpfront.Answer {
	if reply.Err != nil {
		return unserved(x, reply.Err)
	}
	missing := tree.Parent(store.MembersDir)
	if hasOthers(reply) {
		missing = store.MembersDir
	}
	return failure(x, &tree.Failure{Code: tree.KeyNotFound, Path: missing}, reply.Changed, nil)
}

// hasOthers reports whether the directory of etcd itself has anything but the files of the members.
func hasOthers(reply *actors.ReadReply) bool {
	if reply.View != nil {
		return true // there are not that many members
	}
	for _, child := range reply.Children {
		if !store.Reserved(child.Path) {
			return true
		}
	}
	return false
}
