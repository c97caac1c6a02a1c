package raftnode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
)

// go.etcd.io/raft trusts its peers to run the same program and to keep to the rules. One message
// that does not can end the process, and, if some of it is on disk by then, every later start.
// So nothing reaches Raft that no machine which keeps to the rules would have sent.

const (
	// maxTermOrIndex is above any term and any index: at one every nanosecond it takes 146 years to
	// get there. Sums of them are still far from overflowing.
	maxTermOrIndex = 1 << 62
	// maxTime is later than any clock reads, in nanoseconds since 1970: the year 2262.
	maxTime = 1 << 63
	// maxTermJump is how many elections may have been held that this machine has not heard of
	// when it starts: half a year of one every second. From then on there are fewer elections
	// than ticks, because each takes several.
	maxTermJump = 1 << 24
	// contextSize is the length of the context that identifies a ReadIndex, in bytes.
	contextSize = 8
)

var (
	errType        = errors.New("no machine sends such a message to another")
	errSender      = errors.New("invalid sender or receiver")
	errTerm        = errors.New("implausible term")
	errIndex       = errors.New("implausible index or term of an entry")
	errTime        = errors.New("no clock says that time")
	errEntries     = errors.New("its entries are not contiguous")
	errFields      = errors.New("it has fields that such a message does not have")
	errMemberID    = errors.New("a conf change with an invalid member ID")
	errContext     = errors.New("invalid or unknown ReadIndex context")
	errLeader      = errors.New("the term has another leader")
	errUnsolicited = errors.New("it acks or rejects entries beyond the log")
)

// checkMessage returns why no member can have sent a message, whatever the state of the cluster
// is.
func checkMessage(m *raftpb.Message) error {
	if from := m.GetFrom(); from == 0 || from >= reservedIDs || from == m.GetTo() {
		return errSender
	}
	if m.GetTerm() >= maxTermOrIndex {
		return errTerm
	}
	if m.GetIndex() >= maxTermOrIndex || m.GetCommit() >= maxTermOrIndex {
		return errIndex
	}
	if (m.GetTerm() == 0) != (m.GetType() == raftpb.MsgReadIndex) { // Raft takes a message without a term for a local one
		return errTerm
	}
	if len(m.GetResponses()) > 0 || m.GetSnapshot() != nil && m.GetType() != raftpb.MsgSnap {
		return errFields
	}
	entries := 0
	switch m.GetType() {
	case raftpb.MsgApp:
		return checkAppend(m)
	case raftpb.MsgSnap:
		return checkSnapshot(m)
	case raftpb.MsgAppResp:
		if m.GetLogTerm() > m.GetTerm() || m.GetReject() && m.GetRejectHint() > m.GetIndex() {
			return errIndex
		}
	case raftpb.MsgVote, raftpb.MsgPreVote:
		if m.GetLogTerm() >= m.GetTerm() || (m.GetIndex() == 0) != (m.GetLogTerm() == 0) {
			return errIndex
		}
	case raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp:
		if size := len(m.GetContext()); size != 0 && size != contextSize {
			return errContext
		}
	case raftpb.MsgReadIndex, raftpb.MsgReadIndexResp:
		entries = 1
		if len(m.GetEntries()) != 1 || len(m.GetEntries()[0].GetData()) != contextSize {
			return errContext
		}
	case raftpb.MsgVoteResp, raftpb.MsgPreVoteResp, raftpb.MsgTimeoutNow:
	default:
		return errType
	}
	if len(m.GetEntries()) != entries {
		return errFields
	}
	return nil
}

func checkAppend(m *raftpb.Message) error {
	index, term := m.GetIndex(), m.GetLogTerm()
	if (index == 0) != (term == 0) || term > m.GetTerm() {
		return errIndex
	}
	for _, e := range m.GetEntries() {
		if e.GetIndex() != index+1 || e.GetTerm() < max(term, 1) || e.GetTerm() > m.GetTerm() {
			return errEntries
		}
		index, term = e.GetIndex(), e.GetTerm()
	}
	return nil
}

func checkSnapshot(m *raftpb.Message) error {
	meta := m.GetSnapshot().GetMetadata()
	conf := meta.GetConfState()
	ids := slices.Sorted(slices.Values(slices.Concat(conf.GetVoters(), conf.GetLearners())))
	switch {
	case meta.GetIndex() == 0 || meta.GetIndex() >= maxTermOrIndex:
		return fmt.Errorf("invalid index %d", meta.GetIndex())
	case meta.GetTerm() == 0 || meta.GetTerm() > m.GetTerm():
		return fmt.Errorf("its term is %d, and that of its leader %d", meta.GetTerm(), m.GetTerm())
	case len(conf.GetVoters()) == 0:
		return errors.New("it has no voters")
	case len(conf.GetVotersOutgoing()) > 0 || len(conf.GetLearnersNext()) > 0 || conf.GetAutoLeave():
		return errors.New("it has a joint configuration, which this program does not make")
	case ids[0] == 0 || ids[len(ids)-1] >= reservedIDs:
		return fmt.Errorf("invalid member ID %016x", ids[len(ids)-1])
	case len(slices.Compact(slices.Clone(ids))) != len(ids):
		return errors.New("duplicate member")
	case !slices.Contains(ids, m.GetTo()):
		return errors.New("its receiver is not a member in it")
	}
	return nil
}

// validate returns why no member can have sent a message to this machine in its present state.
// It compares with the state as of the last call of Work, so it is neither too strict nor too
// lax: everything that a member answers was handed out before.
func (n *Node) validate(m Message) error {
	err := checkMessage(m.Message)
	switch {
	case err != nil:
	case m.Time >= maxTime:
		err = errTime
	case m.GetTo() != n.cfg.MemberID:
		err = errSender
	case m.GetTerm() > n.role.firstTerm+maxTermJump+uint64(n.ticks):
		err = errTerm
	case m.GetTerm() == n.role.term:
		err = n.validateInTerm(m.Message)
	}
	if err == nil && m.GetType() == raftpb.MsgApp {
		err = n.cfg.Skip.checkEntries(m.GetEntries(), m.Unproven)
	}
	if err != nil {
		return fmt.Errorf("raftnode: refused message %s from %016x in term %d: %w", m.GetType(), m.GetFrom(), m.GetTerm(), err)
	}
	return nil
}

// validateInTerm is validate for messages of the term that this machine is in.
func (n *Node) validateInTerm(m *raftpb.Message) error {
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap, raftpb.MsgTimeoutNow, raftpb.MsgReadIndexResp:
		if n.role.leader != 0 && n.role.leader != m.GetFrom() { // a term has one leader
			return errLeader
		}
	case raftpb.MsgAppResp:
		if n.role.leads && n.unsolicited(m) {
			return errUnsolicited
		}
	case raftpb.MsgHeartbeatResp:
		if n.role.leads && n.unsolicited(m) {
			return errContext
		}
	}
	return nil
}

// unsolicited reports whether m answers what this machine has not sent as the leader of this term:
// Raft would count it for what it sends later. Such an answer may come without malice if the
// machine led in the term, lost power, and has less on disk than it had sent.
func (n *Node) unsolicited(m *raftpb.Message) bool {
	if m.GetTerm() != n.role.term {
		return false
	}
	switch m.GetType() {
	case raftpb.MsgAppResp:
		return m.GetIndex() > n.appends.last
	case raftpb.MsgHeartbeatResp:
		return n.reads.sentContexts.unsolicited(m)
	}
	return false
}

// sentContexts are the contexts that a leader has sent with its heartbeats in a term, for the
// reads in flight. Raft numbers them, and an answer to one counts for all before it.
type sentContexts struct{ term, last uint64 }

func (q *sentContexts) note(m *raftpb.Message) {
	if m.GetType() != raftpb.MsgHeartbeat {
		return
	}
	if m.GetTerm() != q.term {
		*q = sentContexts{term: m.GetTerm()}
	}
	q.last = max(q.last, contextOf(m))
}

func (q *sentContexts) unsolicited(m *raftpb.Message) bool {
	return contextOf(m) > 0 && (m.GetTerm() != q.term || contextOf(m) > q.last)
}

// contextOf returns the number of the context that a heartbeat carries or answers, 0 for none.
func contextOf(m *raftpb.Message) uint64 {
	if len(m.GetContext()) != contextSize {
		return 0
	}
	return binary.LittleEndian.Uint64(m.GetContext())
}
