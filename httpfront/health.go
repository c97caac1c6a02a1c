package httpfront

import (
	"errors"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"etcd/raftnode"
)

// healthTime is how long the question for the health of a machine may take. Who asks it
// does not wait longer than a second, as a rule.
const healthTime = time.Second

const noLeaderReason = "RAFT NO LEADER"

// healthAnswer says whether a machine can serve, and why not, in etcd's words.
type healthAnswer struct {
	Health string `json:"health"` // "true" or "false"
	Reason string `json:"reason,omitempty"`
}

func (a healthAnswer) write(resp *fasthttp.Response) {
	if a.Reason != "" {
		resp.SetStatusCode(http.StatusServiceUnavailable)
	}
	writeJSON(resp, a)
}

func unhealthy(reason string) answer { return healthAnswer{Health: "false", Reason: reason} }

// health answers whether this machine has a leader and gets a linearizable read through.
// Without a leader it answers at once.
func health(r *request) answer {
	if !r.server.isAttached() {
		return unhealthy(noLeaderReason)
	}
	if limit := time.Now().Add(healthTime); limit.Before(r.deadline) {
		r.deadline = limit
	}
	r.start()
	leader, err := r.session.leader()
	if err == nil && leader == 0 {
		return unhealthy(noLeaderReason)
	}
	if err == nil {
		err = r.session.syncUntil(r.deadline)
	}
	switch {
	case errors.Is(err, raftnode.ErrNoLeader):
		return unhealthy(noLeaderReason)
	case errors.Is(err, errNoAnswer):
		return unhealthy("RANGE ERROR:etcdserver: request timed out")
	case err != nil:
		return unhealthy("RANGE ERROR:etcdserver: " + err.Error())
	}
	return healthAnswer{Health: "true"}
}
