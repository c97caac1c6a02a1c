package ops

import (
	"time"

	"go.etcd.io/raft/v3"

	"etcd/actors"
	"etcd/apierror"
	"etcd/httpfront"
	"etcd/raftnode"
)

// stats answers with the four counters of 2013.
func stats(_ *httpfront.Exchange, status *actors.StatusReply) httpfront.Answer {
	c := status.Counts
	return httpfront.Document{Value: struct {
		Gets        uint64 `json:"gets"`
		Sets        uint64 `json:"sets"`
		Deletes     uint64 `json:"deletes"`
		TestAndSets uint64 `json:"testAndSets"`
	}{
		Gets:        c.GetsSuccess + c.GetsFail,
		Sets:        c.SetsSuccess + c.SetsFail,
		Deletes:     c.DeleteSuccess + c.DeleteFail,
		TestAndSets: c.CompareAndSwapSuccess + c.CompareAndSwapFail + c.CreateSuccess + c.CreateFail,
	}}
}

// StoreCounts are the counts of the store, with their names in the API.
type StoreCounts struct {
	GetsSuccess             uint64 `json:"getsSuccess"`
	GetsFail                uint64 `json:"getsFail"`
	SetsSuccess             uint64 `json:"setsSuccess"`
	SetsFail                uint64 `json:"setsFail"`
	DeleteSuccess           uint64 `json:"deleteSuccess"`
	DeleteFail              uint64 `json:"deleteFail"`
	UpdateSuccess           uint64 `json:"updateSuccess"`
	UpdateFail              uint64 `json:"updateFail"`
	CreateSuccess           uint64 `json:"createSuccess"`
	CreateFail              uint64 `json:"createFail"`
	CompareAndSwapSuccess   uint64 `json:"compareAndSwapSuccess"`
	CompareAndSwapFail      uint64 `json:"compareAndSwapFail"`
	CompareAndDeleteSuccess uint64 `json:"compareAndDeleteSuccess"`
	CompareAndDeleteFail    uint64 `json:"compareAndDeleteFail"`
	Expired                 uint64 `json:"expireCount"`
}

func storeStats(x *httpfront.Exchange, status *actors.StatusReply) httpfront.Answer {
	return httpfront.Document{Value: struct {
		StoreCounts
		Watchers int64 `json:"watchers"`
		Views    int   `json:"views"` // held for listings of large directories
	}{StoreCounts(status.Counts), x.Machine().Watchers(), x.Views()}}
}

type leaderInfo struct {
	Leader    string `json:"leader"`
	Uptime    string `json:"uptime"`
	StartTime string `json:"startTime"`
}

func (o *ops) selfStats(_ *httpfront.Exchange, status *actors.StatusReply) httpfront.Answer {
	self, _ := status.Member(status.Raft.MemberID)
	info := leaderInfo{}
	if m, ok := status.Member(status.Raft.Leader); ok {
		since := status.LeaderSince.Std()
		info = leaderInfo{m.Name, o.cfg.Clock().Std().Sub(since).String(), since.Format(time.RFC3339Nano)}
	}
	var lost uint64
	if o.cfg.LostLogLines != nil {
		lost = o.cfg.LostLogLines()
	}
	return httpfront.Document{Value: struct {
		Name                 string     `json:"name"`
		State                string     `json:"state"`
		StartTime            string     `json:"startTime"`
		LeaderInfo           leaderInfo `json:"leaderInfo"`
		RecvAppendRequestCnt uint64     `json:"recvAppendRequestCnt"`
		SendAppendRequestCnt uint64     `json:"sendAppendRequestCnt"`
		RefusedCnt           int64      `json:"refusedCnt,omitempty"` // what other machines must not send
		LostLogLines         uint64     `json:"lostLogLines,omitempty"`
	}{
		Name: self.Name, State: stateName(status.Raft.State),
		StartTime: o.started.Std().Format(time.RFC3339Nano), LeaderInfo: info,
		RecvAppendRequestCnt: status.Appends.Received, SendAppendRequestCnt: status.Appends.Sent,
		RefusedCnt: status.Refused, LostLogLines: lost,
	}}
}

// leaderStats answers with the leader's statistics of appends to its followers. Only the
// leader has them: any other machine names the leader and lists no followers.
func leaderStats(_ *httpfront.Exchange, status *actors.StatusReply) httpfront.Answer {
	m, ok := status.Member(status.Raft.Leader)
	if !ok {
		return httpfront.NewError(apierror.LeaderElect, "")
	}
	followers := make(map[string]FollowerAnswer, len(status.Followers))
	for _, f := range status.Followers {
		name := actors.MemberID(f.Member)
		if m, ok := status.Member(f.Member); ok {
			name = m.Name
		}
		followers[name] = NewFollowerAnswer(f)
	}
	return httpfront.Document{Value: struct {
		Leader    string                    `json:"leader"`
		Followers map[string]FollowerAnswer `json:"followers"`
	}{m.Name, followers}}
}

// FollowerAnswer has the fields of etcd 0.x and 2.x. Latencies are in milliseconds.
type FollowerAnswer struct {
	Latency struct {
		Current           float64 `json:"current"`
		Average           float64 `json:"average"`
		StandardDeviation float64 `json:"standardDeviation"`
		Minimum           float64 `json:"minimum"`
		Maximum           float64 `json:"maximum"`
	} `json:"latency"`
	Counts struct {
		Fail    uint64 `json:"fail"`
		Success uint64 `json:"success"`
	} `json:"counts"`
}

// NewFollowerAnswer returns the statistics of a follower.
func NewFollowerAnswer(f raftnode.FollowerStats) (a FollowerAnswer) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	a.Latency.Current, a.Latency.Average, a.Latency.StandardDeviation = ms(f.Current), ms(f.Average), ms(f.StandardDeviation)
	a.Latency.Minimum, a.Latency.Maximum = ms(f.Minimum), ms(f.Maximum)
	a.Counts.Fail, a.Counts.Success = f.Fail, f.Success
	return a
}

func stateName(s raft.StateType) string {
	switch s {
	case raft.StateLeader:
		return "leader"
	case raft.StateFollower:
		return "follower"
	}
	return "candidate"
}
