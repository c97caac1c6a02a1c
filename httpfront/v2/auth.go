package v2

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"etcd/actors"
	"etcd/httpfront"
	"etcd/store"
	"etcd/store/auth"
	"etcd/store/storepb"
)

// Users and roles: /v2/auth.

// authRoutes returns the routes below /v2/auth. That users and roles are on everybody may know.
func (a *api) authRoutes() []httpfront.Route {
	named := func(h httpfront.Handler) map[string]httpfront.Handler {
		return map[string]httpfront.Handler{
			http.MethodGet: h, http.MethodPut: h, http.MethodDelete: h, http.MethodHead: h, http.MethodPost: h,
		}
	}
	notAllowed := httpfront.NotAllowed("GET,PUT,DELETE")
	return []httpfront.Route{
		{Path: "/v2/auth/enable", Guard: httpfront.RootChanges, Fail: failed, Methods: map[string]httpfront.Handler{
			http.MethodGet: getEnabled, http.MethodPut: a.setEnabled, http.MethodDelete: a.setEnabled,
		}, Other: notAllowed},
		{Path: "/v2/auth/users", Tree: true, Guard: httpfront.ByKey, Fail: failed, Methods: named(a.users), Other: notAllowed},
		{Path: "/v2/auth/roles", Tree: true, Guard: httpfront.ByKey, Fail: failed, Methods: named(a.roles), Other: notAllowed},
	}
}

// named returns the user or role that a request is about, "" if it is about all. The method has to be one
// that these have, and the client root, or the user itself if own says so.
func named(x *httpfront.Exchange, own bool) (name string, refusal httpfront.Answer) {
	name = x.Key[1:]
	method := string(x.Header().Method())
	allowed := method == http.MethodGet || name != "" && (method == http.MethodPut || method == http.MethodDelete)
	user := ""
	if own {
		user = name
	}
	switch {
	case strings.Contains(name, "/"):
		return "", &httpError{status: http.StatusBadRequest, message: "Invalid path"}
	case !allowed && name == "":
		return "", httpfront.NotAllowed("GET")(method)
	case !allowed:
		return "", httpfront.NotAllowed("GET,PUT,DELETE")(method)
	}
	return name, x.Require(user)
}

func getEnabled(x *httpfront.Exchange) httpfront.Answer {
	if err := x.Sync(); err != nil {
		return unservedHTTP(x, err)
	}
	return document{value: struct {
		Enabled bool `json:"enabled"`
	}{x.Machine().Auth().Enabled()}, clusterID: clusterID(x)}
}

// setEnabled turns users and roles on or off.
func (a *api) setEnabled(x *httpfront.Exchange) httpfront.Answer {
	change := &storepb.Auth{Change: &storepb.Auth_Enable{Enable: &storepb.Enable{}}}
	what := "users and roles are on"
	if x.Header().IsDelete() {
		change, what = &storepb.Auth{Change: &storepb.Auth_Disable{Disable: &storepb.Disable{}}}, "users and roles are off"
	}
	return a.change(x, change, what, "", func(x *httpfront.Exchange, _ *auth.Outcome) httpfront.Answer {
		if users := x.Machine().Auth(); users.Enabled() && users.GuestMayDoEverything() {
			a.cfg.Log.Warn("users and roles are on, but whoever names no user may still read and write all keys: revoke that from the role guest (PUT /v2/auth/roles/guest), or delete it")
		}
		return authDone{clusterID(x)}
	})
}

// change proposes a change of users and roles, and logs it. name is that of the user or role.
func (a *api) change(x *httpfront.Exchange, change *storepb.Auth, what, name string, then func(*httpfront.Exchange, *auth.Outcome) httpfront.Answer) httpfront.Answer {
	if !isOfV2(x) {
		return newHTTPError(x, http.StatusServiceUnavailable, tooOldCause)
	}
	command := store.Encode(&storepb.Command{Kind: &storepb.Command_Auth{Auth: change}})
	if len(command) > store.MaxAuthCommand {
		return newHTTPError(x, http.StatusRequestEntityTooLarge, "auth: too many names or patterns at once")
	}
	return x.Propose(command, func(x *httpfront.Exchange, reply *actors.Proposed) httpfront.Answer {
		switch {
		case reply.Err != nil:
			return unservedHTTP(x, reply.Err)
		case reply.Result.Auth.Failure != nil:
			return authFailure(x, change, reply.Result.Auth.Failure)
		}
		by := x.User()
		if by == "" {
			by = "anybody" // they were off
		}
		a.cfg.Log.LogAttrs(context.Background(), slog.LevelInfo, what, slog.String("name", name), slog.String("by", by),
			slog.String("from", x.Conn().RemoteAddr().String()))
		return then(x, reply.Result.Auth)
	})
}

// authDone is the answer to a change that has nothing to tell.
type authDone struct{ clusterID string }

// Write implements [httpfront.Answer].
func (a authDone) Write(resp *fasthttp.Response) {
	resp.Header.SetContentType(httpfront.TypeJSON)
	resp.Header.Set(httpfront.HeaderClusterID, a.clusterID)
}

// readJSON reads the first value in a body, whatever its type is said to be.
func readJSON(x *httpfront.Exchange, into any) httpfront.Answer {
	if json.NewDecoder(strings.NewReader(x.Body)).Decode(into) != nil {
		return newHTTPError(x, http.StatusBadRequest, "Invalid JSON in request body.")
	}
	return nil
}

// sent returns a list as a command has it: one that was not sent is not an empty one.
func sent(list []string) *storepb.Strings {
	if list == nil {
		return nil
	}
	return &storepb.Strings{Values: list}
}
