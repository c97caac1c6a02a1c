package ops

import (
	"fmt"
	"strconv"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/apierror"
	"etcd/httpfront"
	"etcd/store"
)

// quotaAnswer is the quota of the cluster, and what counts against it.
type quotaAnswer struct {
	Quota uint64 `json:"quota"`
	Used  uint64 `json:"used"`
}

// Write implements [httpfront.Answer].
func (a quotaAnswer) Write(resp *fasthttp.Response) { httpfront.WriteJSON(resp, a) }

// quota answers from local state.
func quota(x *httpfront.Exchange) httpfront.Answer {
	applied := x.Machine().Applied()
	return quotaAnswer{applied.Quota, applied.Size}
}

// setQuota sets how many bytes the keys may have, for all machines.
func setQuota(x *httpfront.Exchange) httpfront.Answer {
	f, bad := x.Form()
	if bad != nil {
		return bad
	}
	given, _ := f.Get("bytes")
	bytes, err := strconv.ParseUint(given, 10, 64)
	if err != nil || bytes < store.MinQuota || bytes > store.MaxQuota {
		return httpfront.NewError(apierror.InvalidField, fmt.Sprintf("bytes=%.40s: want %d to %d", given, uint64(store.MinQuota), uint64(store.MaxQuota)))
	}
	if version := x.Machine().Applied().Version; version < store.VersionOfLimits {
		return httpfront.NewError(apierror.InvalidField, fmt.Sprintf("the cluster has version %d, and a quota from version %d on, which it gets when all members run a program that understands it", version, store.VersionOfLimits))
	}
	return x.Propose(store.Encode(actors.SetQuota(bytes)), func(x *httpfront.Exchange, reply *actors.Proposed) httpfront.Answer {
		if reply.Err != nil {
			return httpfront.Unserved(reply.Err)
		}
		return quota(x)
	})
}
