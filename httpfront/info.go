package httpfront

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3"

	"etcd/actors"
	"etcd/endpoint"
	"etcd/raftnode"
	"etcd/store"
)

// What the cluster is: machines, leader, version, counters.

func version(x *Exchange) Answer { return Text("etcd " + x.server.cfg.Version) }

// Members are told as addresses or as URLs. One that an earlier version has let in under
// what is none cannot be told: it could pass for another one, or for several.

// asAddress is how a URL is told without its scheme.
func asAddress(url string) (told string, ok bool) {
	addr, err := endpoint.Address(url)
	return addr, err == nil
}

func asURL(url string) (told string, ok bool) { return url, endpoint.CheckURL(url) == nil }

// leader answers the peer address of the leader without its scheme.
func leader(x *Exchange) Answer { return leaderAnswer(x, asAddress) }

func leaderURL(x *Exchange) Answer { return leaderAnswer(x, asURL) }

// leaderAnswer waits for a leader as long as any request does.
func leaderAnswer(x *Exchange, render func(url string) (told string, ok bool)) Answer {
	if err := x.Sync(); err != nil {
		return Unserved(err)
	}
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	m, ok := member(status, status.Raft.Leader)
	if !ok {
		return NewError(CodeLeaderElect, "")
	}
	told, ok := render(m.PeerURL)
	if !ok {
		return NewError(CodeRaftInternal, "the address of the leader cannot be told: it is none of a machine")
	}
	return Text(told)
}

// machines answers the client addresses without their scheme, this machine's first.
func machines(x *Exchange) Answer {
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	return Text(strings.Join(clientURLs(status, status.Raft.MemberID, asAddress), ","))
}

// machineURLs answers the client URLs, the leader's first.
func machineURLs(x *Exchange) Answer {
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	return Text(strings.Join(clientURLs(status, status.Raft.Leader, asURL), ", "))
}

func clientURLs(status *actors.StatusReply, first uint64, render func(url string) (told string, ok bool)) []string {
	members := slices.Clone(status.Members)
	slices.SortFunc(members, func(a, b store.Member) int {
		if (a.ID == first) != (b.ID == first) {
			if a.ID == first {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	urls := make([]string, 0, len(members))
	for _, m := range members {
		if told, ok := render(m.ClientURL); ok {
			urls = append(urls, told)
		}
	}
	return urls
}

func member(status *actors.StatusReply, id uint64) (store.Member, bool) {
	i := slices.IndexFunc(status.Members, func(m store.Member) bool { return m.ID == id })
	if i < 0 {
		return store.Member{}, false
	}
	return status.Members[i], true
}

// stats answers the four counters of 2013.
func stats(x *Exchange) Answer {
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	c := status.Counts
	return Document{struct {
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

func storeStats(x *Exchange) Answer {
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	c := status.Counts
	return Document{struct {
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
		ExpireCount             uint64 `json:"expireCount"`
		Watchers                int64  `json:"watchers"`
	}{
		c.GetsSuccess, c.GetsFail, c.SetsSuccess, c.SetsFail, c.DeleteSuccess, c.DeleteFail,
		c.UpdateSuccess, c.UpdateFail, c.CreateSuccess, c.CreateFail,
		c.CompareAndSwapSuccess, c.CompareAndSwapFail, c.CompareAndDeleteSuccess, c.CompareAndDeleteFail,
		c.Expired, x.server.machine.Watchers(),
	}}
}

type leaderInfo struct {
	Leader    string `json:"leader"`
	Uptime    string `json:"uptime"`
	StartTime string `json:"startTime"`
}

func selfStats(x *Exchange) Answer {
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	self, _ := member(status, status.Raft.MemberID)
	info := leaderInfo{}
	if m, ok := member(status, status.Raft.Leader); ok {
		since := status.LeaderSince.Std()
		info = leaderInfo{m.Name, x.server.cfg.Clock().Std().Sub(since).String(), since.Format(timeFormat)}
	}
	var lost uint64
	if x.server.cfg.LostLogLines != nil {
		lost = x.server.cfg.LostLogLines()
	}
	return Document{struct {
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
		StartTime: x.server.started.Std().Format(timeFormat), LeaderInfo: info,
		RecvAppendRequestCnt: status.Appends.Received, SendAppendRequestCnt: status.Appends.Sent,
		RefusedCnt: status.Refused, LostLogLines: lost,
	}}
}

// leaderStats answers how the others take the appends of the leader. Only the leader
// knows: another machine names it and knows of no followers.
func leaderStats(x *Exchange) Answer {
	status, err := x.Status()
	if err != nil {
		return Unserved(err)
	}
	m, ok := member(status, status.Raft.Leader)
	if !ok {
		return NewError(CodeLeaderElect, "")
	}
	followers := make(map[string]followerAnswer, len(status.Followers))
	for _, f := range status.Followers {
		name := actors.MemberID(f.Member)
		if m, ok := member(status, f.Member); ok {
			name = m.Name
		}
		followers[name] = newFollowerAnswer(f)
	}
	return Document{struct {
		Leader    string                    `json:"leader"`
		Followers map[string]followerAnswer `json:"followers"`
	}{m.Name, followers}}
}

// followerAnswer has the fields of etcd 0.x and 2.x. Latencies are in milliseconds.
type followerAnswer struct {
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

func newFollowerAnswer(f raftnode.FollowerStats) (a followerAnswer) {
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
