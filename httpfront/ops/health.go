package ops

import (
	"errors"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/httpfront"
	"etcd/raftnode"
)

// healthTimeout bounds how long a health check may take. Clients that check health do not wait
// longer than a second, as a rule.
const healthTimeout = time.Second

const noLeaderReason = "RAFT NO LEADER"

// healthAnswer tells whether a machine can serve, and if not, why, in etcd's words.
type healthAnswer struct {
	Health string `json:"health"` // "true" or "false"
	Reason string `json:"reason,omitempty"`
}

func (a healthAnswer) Write(resp *fasthttp.Response) {
	if a.Reason != "" {
		resp.SetStatusCode(http.StatusServiceUnavailable)
	}
	httpfront.WriteJSON(resp, a)
}

func unhealthy(reason string) httpfront.Answer { return healthAnswer{Health: "false", Reason: reason} }

// health answers whether this machine knows a leader and can serve a linearizable read.
// Without a leader it answers at once.
func health(x *httpfront.Exchange) httpfront.Answer {
	if x.Machine() == nil {
		return unhealthy(noLeaderReason)
	}
	if limit := time.Now().Add(healthTimeout); limit.Before(x.Deadline) {
		x.Deadline = limit
	}
	x.Start()
	leader, err := x.Leader()
	if err == nil && leader == 0 {
		return unhealthy(noLeaderReason)
	}
	if err == nil {
		err = x.SyncUntil(x.Deadline)
	}
	switch {
	case errors.Is(err, raftnode.ErrNoLeader):
		return unhealthy(noLeaderReason)
	case errors.Is(err, httpfront.ErrNoAnswer):
		return unhealthy("RANGE ERROR:etcdserver: request timed out")
	case err != nil:
		return unhealthy("RANGE ERROR:etcdserver: " + err.Error())
	}
	return healthAnswer{Health: "true"}
}
