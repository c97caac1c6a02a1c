package v2

import (
	"net/http"

	"etcd/httpfront"
	"etcd/store/auth"
	"etcd/store/storepb"
)

// permissions are those of a role.
type permissions struct {
	KV struct {
		Read  []string `json:"read"`
		Write []string `json:"write"`
	} `json:"kv"`
}

func (p *permissions) isEmpty() bool { return p == nil || len(p.KV.Read)+len(p.KV.Write) == 0 }

// roleRequest is what the body of a PUT says about a role.
type roleRequest struct {
	Role        string       `json:"role"`
	Permissions permissions  `json:"permissions"`
	Grant       *permissions `json:"grant"`
	Revoke      *permissions `json:"revoke"`
}

// roleAnswer is a role.
type roleAnswer struct {
	Role        string      `json:"role"`
	Permissions permissions `json:"permissions"`
}

func newRoleAnswer(r *auth.Role) roleAnswer {
	a := roleAnswer{Role: r.Name}
	a.Permissions.KV.Read, a.Permissions.KV.Write = r.Read, r.Write
	return a
}

func (a *api) roles(x *httpfront.Exchange) httpfront.Answer {
	name, refusal := named(x, false)
	switch {
	case refusal != nil:
		return refusal
	case x.Header().IsPut():
		return a.putRole(x, name)
	case x.Header().IsDelete():
		change := &storepb.Auth{Change: &storepb.Auth_DeleteRole{DeleteRole: &storepb.DeleteRole{Name: name}}}
		return a.change(x, change, "a role was deleted", name, func(x *httpfront.Exchange, _ *auth.Outcome) httpfront.Answer {
			return authDone{clusterID(x)}
		})
	case name == "":
		return listRoles(x)
	}
	r := x.Machine().Auth().Role(name)
	if r == nil {
		return newHTTPError(x, http.StatusNotFound, "auth: Role "+name+" does not exist.")
	}
	return document{value: newRoleAnswer(r), clusterID: clusterID(x)}
}

func listRoles(x *httpfront.Exchange) httpfront.Answer {
	users := x.Machine().Auth()
	var list []roleAnswer
	for _, name := range users.Roles() {
		list = append(list, newRoleAnswer(users.Role(name)))
	}
	return document{value: struct {
		Roles []roleAnswer `json:"roles"`
	}{list}, clusterID: clusterID(x)}
}

// putRole creates a role or changes one.
func (a *api) putRole(x *httpfront.Exchange, name string) httpfront.Answer {
	var in roleRequest
	if bad := readJSON(x, &in); bad != nil {
		return bad
	}
	creates := in.Grant.isEmpty() && in.Revoke.isEmpty()
	switch {
	case in.Role != name:
		return newHTTPError(x, http.StatusBadRequest, "Role JSON name does not match the name in the URL")
	case !creates && !in.Permissions.isEmpty():
		return newHTTPError(x, http.StatusBadRequest, "Role JSON contains both permissions and grant/revoke")
	}
	change := &storepb.Auth{Change: &storepb.Auth_CreateRole{CreateRole: &storepb.CreateRole{
		Name: name, Read: sent(in.Permissions.KV.Read), Write: sent(in.Permissions.KV.Write),
	}}}
	if !creates {
		update := &storepb.UpdateRole{Name: name}
		if in.Grant != nil {
			update.GrantRead, update.GrantWrite = in.Grant.KV.Read, in.Grant.KV.Write
		}
		if in.Revoke != nil {
			update.RevokeRead, update.RevokeWrite = in.Revoke.KV.Read, in.Revoke.KV.Write
		}
		change = &storepb.Auth{Change: &storepb.Auth_UpdateRole{UpdateRole: update}}
	}
	return a.change(x, change, "a role was created or changed", name, func(x *httpfront.Exchange, out *auth.Outcome) httpfront.Answer {
		answer := document{value: newRoleAnswer(out.Role), clusterID: clusterID(x)}
		if out.Created {
			answer.status = http.StatusCreated
		}
		return answer
	})
}
