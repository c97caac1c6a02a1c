package v2

import (
	"net/http"
	"time"

	"go.etcd.io/raft/v3"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/httpfront/ops"
)

type leaderInfo struct {
	Leader    string `json:"leader"`
	Uptime    string `json:"uptime"`
	StartTime string `json:"startTime"`
}

func (a *api) selfStats(x *httpfront.Exchange) httpfront.Answer {
	status, err := x.Status()
	if err != nil {
		return unservedHTTP(x, err)
	}
	self, _ := status.Member(status.Raft.MemberID)
	var info leaderInfo
	if status.Raft.Leader != 0 {
		since := status.LeaderSince.Std()
		info = leaderInfo{actors.MemberID(status.Raft.Leader), a.cfg.Clock().Std().Sub(since).String(), since.Format(time.RFC3339Nano)}
	}
	return httpfront.Document{Value: struct {
		Name                 string     `json:"name"`
		ID                   string     `json:"id"`
		State                string     `json:"state"`
		StartTime            string     `json:"startTime"`
		LeaderInfo           leaderInfo `json:"leaderInfo"`
		RecvAppendRequestCnt uint64     `json:"recvAppendRequestCnt"`
		SendAppendRequestCnt uint64     `json:"sendAppendRequestCnt"`
	}{
		Name: self.Name, ID: actors.MemberID(self.ID), State: stateNames[status.Raft.State],
		StartTime: a.started.Std().Format(time.RFC3339Nano), LeaderInfo: info,
		RecvAppendRequestCnt: status.Appends.Received, SendAppendRequestCnt: status.Appends.Sent,
	}}
}

var stateNames = map[raft.StateType]string{
	raft.StateLeader:       "StateLeader",
	raft.StateFollower:     "StateFollower",
	raft.StateCandidate:    "StateCandidate",
	raft.StatePreCandidate: "StatePreCandidate",
}

// leaderStats answers with the leader's statistics of appends to its followers. Only the
// leader has them.
func leaderStats(x *httpfront.Exchange) httpfront.Answer {
	status, err := x.Status()
	switch {
	case err != nil:
		return unservedHTTP(x, err)
	case status.Raft.State != raft.StateLeader:
		return newHTTPError(x, http.StatusForbidden, "not current leader")
	}
	followers := make(map[string]ops.FollowerAnswer, len(status.Followers))
	for _, f := range status.Followers {
		followers[actors.MemberID(f.Member)] = ops.NewFollowerAnswer(f)
	}
	return httpfront.Document{Value: struct {
		Leader    string                        `json:"leader"`
		Followers map[string]ops.FollowerAnswer `json:"followers"`
	}{actors.MemberID(status.Raft.Leader), followers}}
}

func storeStats(x *httpfront.Exchange) httpfront.Answer {
	status, err := x.Status()
	if err != nil {
		return unservedHTTP(x, err)
	}
	return httpfront.Document{Value: struct {
		ops.StoreCounts
		Watchers int64 `json:"watchers"`
	}{ops.StoreCounts(status.Counts), x.Machine().Watchers()}}
}
