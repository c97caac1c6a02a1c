package sim

import (
	"etcd/store"
	"etcd/store/auth"
	"etcd/store/storepb"
	"etcd/store/tree"
)

// Users and roles change while clients write. A front end checks each command with those that its
// machine knows, which may lag.

// changesUsers returns whether the next command of a client is about users and roles, for which every
// member has to know them.
func (c *client) changesUsers(r *request) bool {
	m := r.life.machine
	return m != nil && m.Applied().Version >= store.VersionOfV2 && c.rnd.IntN(8) == 0
}

// userChange returns a change of users and roles. They are on about half of the time.
func (c *client) userChange() *storepb.Command {
	change := &storepb.Auth{}
	switch c.rnd.IntN(6) {
	case 0:
		change.Change = &storepb.Auth_CreateUser{CreateUser: &storepb.CreateUser{Name: auth.Root, Hash: c.value(), OrUpdate: true}}
	case 1:
		change.Change = &storepb.Auth_UpdateUser{UpdateUser: &storepb.UpdateUser{Name: auth.Root, Grant: []string{c.value()}}}
	case 2, 3:
		change.Change = &storepb.Auth_Enable{Enable: &storepb.Enable{}}
	default:
		change.Change = &storepb.Auth_Disable{Disable: &storepb.Disable{}}
	}
	return &storepb.Command{Kind: &storepb.Command_Auth{Auth: change}}
}

// checked returns a command as a front end of the machine proposes it.
func (l *life) checked(command []byte) []byte {
	if l.machine == nil || !l.machine.Auth().Enabled() {
		return command
	}
	l.sim.count("write while users and roles are on")
	return store.Checked(command, l.machine.Auth().Revision())
}

// isOutdated reports whether a write has changed nothing because it was checked with other users and roles
// than those at its entry.
func (c *client) isOutdated(result store.Result) bool {
	if result.Failure == nil || result.Failure.Code != tree.Unauthorized {
		return false
	}
	c.sim.count("write checked with former users and roles")
	return true
}

// checkUsers checks that nothing was applied that was checked with other users and roles than those before
// it.
func (o *oracle) checkUsers(before *auth.State, c *storepb.Command, result store.Result) {
	if result.Auth != nil && result.Auth.Failure == nil {
		o.sim.count("users and roles changed")
	}
	ofClient := c.GetSet() != nil || c.GetCreate() != nil || c.GetDelete() != nil || c.GetAuth() != nil || isOfKeyspace(c)
	outdated := ofClient && before.Enabled() && c.GetChecked() != before.Revision()
	if refused := result.Failure != nil && result.Failure.Code == tree.Unauthorized; refused != outdated {
		o.sim.fail("entry %d was checked with revision %d of the users and roles, which are on since %d: refused %t", result.Index, c.GetChecked(), before.Revision(), refused)
	}
}
