package actors

import (
	"fmt"
	"net/http"

	"etcd/store"
	"etcd/store/storepb"
	"etcd/transport"
	"etcd/version"
)

// Understood is what this program understands.
func Understood() version.Understood {
	return version.Understood{Protocol: transport.Protocol, Commands: store.Commands, Snapshots: store.Snapshots}
}

// statusVersion answers the handshake of a machine whose program cannot follow the cluster.
const statusVersion = http.StatusNotImplemented

// CheckUnderstood returns why a machine must not take part in a cluster of a version, in words
// for whoever has started it; nil if it may. 0 is a version that is not known yet.
func CheckUnderstood(of version.Understood, cluster uint32) error {
	switch {
	case of.Protocol.Shared(transport.Protocol) == 0:
		return fmt.Errorf("the machines of this cluster speak versions %s of the protocol between machines, and the program of this one %s: start a program that speaks one of theirs",
			transport.Protocol, said(of.Protocol))
	case cluster > 0 && !of.Commands.Has(cluster):
		return fmt.Errorf("this cluster has version %d, and the program of this machine understands %s: start a program that understands %d; no data is lost",
			cluster, said(of.Commands), cluster)
	case !of.Snapshots.Has(store.Snapshots.Max):
		return fmt.Errorf("the snapshots of this cluster are of format %d, and the program of this machine reads %s: start a program that reads format %d; no data is lost",
			store.Snapshots.Max, said(of.Snapshots), store.Snapshots.Max)
	}
	return nil
}

// said is a range for people.
func said(r version.Range) string {
	if r == (version.Range{}) {
		return "none that it says"
	}
	return r.String()
}

// bootstrapCommand is the first command of a cluster: what it says of the cluster, apply
// consults from there on, whatever the flags of a machine say.
func bootstrapCommand(cfg Config) []byte {
	b := &storepb.Bootstrap{HistoryLimit: cfg.HistoryLimit, Member: memberMessage(cfg.Member)}
	if cfg.Commands.Max >= store.VersionOfVersions {
		b.Version, b.MaxMembers = cfg.Commands.Max, uint32(cfg.Raft.MaxMembers)
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Bootstrap{Bootstrap: b}})
}

// raiseCommand gives the cluster a version, and a limit of its own if it has none.
func raiseCommand(to uint32, maxMembers int) []byte {
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Raise{Raise: &storepb.Raise{
		Version: to, MaxMembers: uint32(maxMembers),
	}}})
}

// setMemberCommand adds or changes a member in a cluster of a version.
func setMemberCommand(m store.Member, commands version.Range, cluster uint32) []byte {
	c := &storepb.SetMember{Member: memberMessage(m)}
	if cluster >= store.VersionOfVersions && commands != (version.Range{}) {
		c.Understands = &storepb.Versions{Min: commands.Min, Max: commands.Max}
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_SetMember{SetMember: c}})
}
