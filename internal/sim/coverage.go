package sim

import (
	"go.etcd.io/raft/v3/raftpb"

	"etcd/actors"
)

func (s *Sim) count(what string) { s.counts[what]++ }

// logged maps log messages that show a rare path to the names under which they are counted.
var logged = map[string]string{
	actors.LogFull:                       "log full",
	actors.SlowDisk:                      "leader steps down: slow disk",
	actors.LeaderGone:                    "leader gone",
	"installed a snapshot of the leader": "state replaced by a snapshot",
	"snapshot written":                   "snapshot written",
	actors.LessThanAcknowledged:          "member refused that has lost entries",
	actors.FoundStranger:                 "unknown machine confirmed",
	"announcing the name and addresses of this machine": "machine announced",
}

func (s *Sim) countLog(message string) {
	if what, ok := logged[message]; ok {
		s.count(what)
	}
}

func (s *Sim) countMessage(m *raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgTimeoutNow:
		s.count("leader transfer")
	case raftpb.MsgPreVote:
		s.count("pre-vote")
	case raftpb.MsgVote:
		s.count("vote requested")
	case raftpb.MsgSnap:
		s.count("snapshot received")
	case raftpb.MsgAppResp:
		if m.GetReject() {
			s.count("append rejected")
		}
	case raftpb.MsgReadIndex:
		s.count("read index of a follower")
	}
}
