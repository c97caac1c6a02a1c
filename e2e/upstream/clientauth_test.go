package upstream

import (
	"errors"
	"slices"
	"strings"
	"testing"

	client "go.etcd.io/etcd/client/v2"
)

const unauthorized = "110 The request requires user authentication [Insufficient credentials]"

// TestClientAuth lets etcd's own client make users and roles, and enforce them.
func TestClientAuth(t *testing.T) {
	begin(t)
	machine := startServer(t, *program)
	as := func(user, password string) client.Client {
		c, _ := newClient(t, client.Config{Endpoints: []string{machine.client}, Username: user, Password: password})
		return c
	}
	nobody, root := as("", ""), as("root", "secret")
	_, ctx := newClient(t, client.Config{Endpoints: []string{machine.client}})
	set := func(c client.Client, key string) string { return told(client.NewKeysAPI(c).Set(ctx, key, "x", nil)) }
	get := func(c client.Client, key string) string { return told(client.NewKeysAPI(c).Get(ctx, key, nil)) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	if err := client.NewAuthAPI(nobody).Enable(ctx); err == nil || err.Error() != "auth: No root user available, please create one" {
		t.Errorf("enabled without a root user: %v", err)
	}
	users, roles := client.NewAuthUserAPI(root), client.NewAuthRoleAPI(root)
	must(users.AddUser(ctx, "root", "secret"))
	must(users.AddUser(ctx, "reader", "secret"))
	must(users.AddUser(ctx, "writer", "secret"))
	for role, permission := range map[string]client.PermissionType{
		"read": client.ReadPermission, "write": client.WritePermission, "both": client.ReadWritePermission,
	} {
		must(roles.AddRole(ctx, role))
		_, err := roles.GrantRoleKV(ctx, role, []string{"/shared/*"}, permission)
		must(err)
	}
	_, err := users.GrantUser(ctx, "reader", []string{"read"})
	must(err)
	writer, err := users.GrantUser(ctx, "writer", []string{"both", "write"})
	must(err)
	slices.Sort(writer.Roles)
	if writer.User != "writer" || !slices.Equal(writer.Roles, []string{"both", "write"}) {
		t.Errorf("writer is %+v", writer)
	}
	both, err := roles.GetRole(ctx, "both")
	must(err)
	if kv := both.Permissions.KV; both.Role != "both" || !slices.Equal(kv.Read, []string{"/shared/*"}) || !slices.Equal(kv.Write, []string{"/shared/*"}) {
		t.Errorf("the role is %+v", both)
	}
	list, err := users.ListUsers(ctx)
	must(err)
	expect(t, strings.Join(list, " "), "reader root writer")
	list, err = roles.ListRoles(ctx)
	must(err)
	expect(t, strings.Join(list, " "), "both read root write")

	must(client.NewAuthAPI(nobody).Enable(ctx))
	expect(t, set(as("writer", "secret"), "/shared/a"), "set /shared/a=x")
	expect(t, get(as("reader", "secret"), "/shared/a"), "get /shared/a=x")
	expect(t, set(as("reader", "secret"), "/shared/a"), unauthorized)
	expect(t, set(as("writer", "secret"), "/other"), unauthorized)
	expect(t, set(as("writer", "wrong"), "/shared/a"), unauthorized)
	expect(t, set(root, "/other"), "set /other=x")
	expect(t, set(nobody, "/other"), "set /other=x, before /other=x") // as guest
	_, err = roles.RevokeRoleKV(ctx, "guest", []string{"/*"}, client.WritePermission)
	must(err)
	expect(t, set(nobody, "/other"), unauthorized)
	expect(t, get(nobody, "/other"), "get /other=x")
	if _, err := client.NewAuthUserAPI(as("writer", "secret")).ListUsers(ctx); err == nil || err.Error() != "Insufficient credentials" {
		t.Errorf("who is not root lists users: %v", err)
	}

	_, err = users.ChangePassword(ctx, "reader", "changed")
	must(err)
	expect(t, get(as("reader", "secret"), "/shared/a"), unauthorized)
	expect(t, get(as("reader", "changed"), "/shared/a"), "get /shared/a=x")
	_, err = users.RevokeUser(ctx, "writer", []string{"both"})
	must(err)
	expect(t, get(as("writer", "secret"), "/shared/a"), unauthorized) // a user has no rights of a guest
	expect(t, set(as("writer", "secret"), "/shared/a"), "set /shared/a=x, before /shared/a=x")
	must(roles.RemoveRole(ctx, "write"))
	expect(t, set(as("writer", "secret"), "/shared/a"), unauthorized)
	must(users.RemoveUser(ctx, "reader"))
	expect(t, get(as("reader", "changed"), "/shared/a"), unauthorized)

	must(client.NewAuthAPI(root).Disable(ctx))
	expect(t, set(nobody, "/other"), "set /other=x, before /other=x")
	var refused client.Error
	if err := client.NewAuthUserAPI(nobody).RemoveUser(ctx, "reader"); err == nil || errors.As(err, &refused) {
		t.Errorf("a user that there is not any more was removed: %v", err)
	}
}
