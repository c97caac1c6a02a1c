package v2

import (
	"net/http"
	"strings"

	"etcd/httpfront"
	"etcd/store/auth"
	"etcd/store/storepb"
)

// authFailure is the answer to a change that was refused, in the words of etcd, which clients look for.
func authFailure(x *httpfront.Exchange, change *storepb.Auth, f *auth.Failure) httpfront.Answer {
	status, text := http.StatusConflict, ""
	switch f.Code {
	case auth.UserExists:
		text = "User NAME already exists."
	case auth.NoUser:
		status, text = http.StatusNotFound, "User NAME does not exist."
		if change.GetDeleteUser() != nil {
			text = "User NAME does not exist"
		}
	case auth.NoPassword:
		status, text = http.StatusBadRequest, "Cannot create user NAME with an empty password"
	case auth.UserUnchanged:
		status, text = http.StatusBadRequest, "User not updated. Use grant/revoke/password to update the user."
	case auth.RoleGranted:
		text = "Granting duplicate role OF for user NAME"
	case auth.RoleNotGranted:
		text = "Revoking ungranted role OF for user NAME"
	case auth.RootUserNeeded:
		status, text = http.StatusForbidden, "Cannot delete root user while auth is enabled."
	case auth.RoleExists:
		text = "Role NAME already exists."
	case auth.NoRole:
		status, text = http.StatusNotFound, "Role NAME does not exist."
		if change.GetDeleteRole() != nil {
			text = "Role NAME doesn't exist."
		}
	case auth.RootRole:
		status, text = http.StatusForbidden, "Cannot modify role NAME: is root role."
	case auth.RoleUnchanged:
		status, text = http.StatusBadRequest, "Role not updated. Use grant/revoke to update the role."
	case auth.ReadGranted:
		text = "Granting duplicate read permission OF"
	case auth.WriteGranted:
		text = "Granting duplicate write permission OF"
	case auth.AlreadyEnabled:
		text = "already enabled"
	case auth.AlreadyDisabled:
		text = "already disabled"
	case auth.NoRootUser:
		text = "No root user available, please create one"
	case auth.TooLarge:
		status, text = http.StatusRequestEntityTooLarge, "too many users, roles or patterns"
	}
	return newHTTPError(x, status, "auth: "+strings.NewReplacer("NAME", f.Name, "OF", f.Of).Replace(text))
}
