package v2

import (
	"net/http"

	"etcd/httpfront"
	"etcd/store/auth"
	"etcd/store/storepb"
)

// userRequest is what the body of a PUT says about a user.
type userRequest struct {
	User     string   `json:"user"`
	Password string   `json:"password"`
	Roles    []string `json:"roles"`
	Grant    []string `json:"grant"`
	Revoke   []string `json:"revoke"`
}

// userAnswer is a user that was changed.
type userAnswer struct {
	User  string   `json:"user"`
	Roles []string `json:"roles"`
}

// userWithRoles is a user with what its roles allow.
type userWithRoles struct {
	User  string       `json:"user"`
	Roles []roleAnswer `json:"roles,omitempty"`
}

func (a *api) users(x *httpfront.Exchange) httpfront.Answer {
	name, refusal := named(x, true)
	switch {
	case refusal != nil:
		return refusal
	case x.Header().IsPut():
		return a.putUser(x, name)
	case x.Header().IsDelete():
		change := &storepb.Auth{Change: &storepb.Auth_DeleteUser{DeleteUser: &storepb.DeleteUser{Name: name}}}
		return a.change(x, change, "a user was deleted", name, func(x *httpfront.Exchange, _ *auth.Outcome) httpfront.Answer {
			return authDone{clusterID(x)}
		})
	case name == "":
		return listUsers(x)
	}
	return getUser(x, name)
}

// maxListed bounds how many patterns of roles a list of all users shows.
const maxListed = 100_000

// listUsers lists all users. Roles that do not exist are left out.
func listUsers(x *httpfront.Exchange) httpfront.Answer {
	users := x.Machine().Auth()
	var list []userWithRoles
	patterns := 0
	for _, name := range users.Users() {
		u := userWithRoles{User: name}
		for _, role := range users.User(name).Roles {
			if r := users.Role(role); r != nil {
				u.Roles = append(u.Roles, newRoleAnswer(r))
				patterns += len(r.Read) + len(r.Write)
			}
		}
		if patterns > maxListed {
			return newHTTPError(x, http.StatusInternalServerError, "auth: the users have too many roles to be listed together: ask for each of them, and for its roles")
		}
		list = append(list, u)
	}
	return document{value: struct {
		Users []userWithRoles `json:"users"`
	}{list}, clusterID: clusterID(x)}
}

// getUser answers with a user, all of whose roles have to exist.
func getUser(x *httpfront.Exchange, name string) httpfront.Answer {
	users := x.Machine().Auth()
	u := users.User(name)
	if u == nil {
		return newHTTPError(x, http.StatusNotFound, "auth: User "+name+" does not exist.")
	}
	answer := userWithRoles{User: name}
	for _, role := range u.Roles {
		r := users.Role(role)
		if r == nil {
			return newHTTPError(x, http.StatusNotFound, "auth: Role "+role+" does not exist.")
		}
		answer.Roles = append(answer.Roles, newRoleAnswer(r))
	}
	return document{value: answer, clusterID: clusterID(x)}
}

// putUser creates a user or changes one.
func (a *api) putUser(x *httpfront.Exchange, name string) httpfront.Answer {
	var in userRequest
	if bad := readJSON(x, &in); bad != nil {
		return bad
	}
	updates := len(in.Grant)+len(in.Revoke) > 0
	switch {
	case in.User != name:
		return newHTTPError(x, http.StatusBadRequest, "User JSON name does not match the name in the URL")
	case updates && len(in.Roles) > 0:
		return newHTTPError(x, http.StatusBadRequest, "User JSON contains both roles and grant/revoke")
	}
	hash := ""
	if in.Password != "" {
		var err error
		if hash, err = x.HashPassword(in.Password); err != nil {
			return unservedHTTP(x, err)
		}
	}
	// That a user may change its own password can be told from this command only.
	own := hash != "" && len(in.Roles) == 0 && x.User() == name
	change := &storepb.Auth{}
	if updates || own {
		change.Change = &storepb.Auth_UpdateUser{UpdateUser: &storepb.UpdateUser{Name: name, Hash: hash, Grant: in.Grant, Revoke: in.Revoke}}
	} else {
		change.Change = &storepb.Auth_CreateUser{CreateUser: &storepb.CreateUser{
			Name: name, Hash: hash, Roles: sent(in.Roles), OrUpdate: len(in.Roles) == 0,
		}}
	}
	return a.change(x, change, "a user was created or changed", name, func(x *httpfront.Exchange, out *auth.Outcome) httpfront.Answer {
		answer := document{value: userAnswer{out.User.Name, out.User.Roles}, clusterID: clusterID(x)}
		if out.Created && len(in.Roles) == 0 { // as etcd has it
			answer.status = http.StatusCreated
		}
		return answer
	})
}
