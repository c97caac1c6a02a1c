package actors

import (
	"fmt"
	"net/http"

	"etcd/raftnode"
	"etcd/store"
	"etcd/store/storepb"
	"etcd/transport"
	"etcd/version"
)

// Understood returns what this program understands.
func Understood() version.Understood {
	return version.Understood{Protocol: transport.Protocol, Commands: store.Commands, Snapshots: store.Snapshots}
}

// statusVersion refuses the handshake of a machine whose program does not understand the
// cluster.
const statusVersion = http.StatusNotImplemented

// CheckUnderstood returns why a machine must not take part in a cluster of a version, in words
// for its operator; nil if it may. 0 is a version that is not known yet.
func CheckUnderstood(of version.Understood, cluster uint32) error {
	format := store.SnapshotFormat(cluster)
	switch {
	case of.Protocol.Shared(transport.Protocol) == 0:
		return fmt.Errorf("the machines of this cluster speak versions %s of the protocol between machines, and the program of this one %s: start a program that speaks one of theirs",
			transport.Protocol, formatRange(of.Protocol))
	case cluster > 0 && !of.Commands.Has(cluster):
		return fmt.Errorf("this cluster has version %d, and the program of this machine understands %s: start a program that understands %d; no data is lost",
			cluster, formatRange(of.Commands), cluster)
	case !of.Snapshots.Has(format):
		return fmt.Errorf("the snapshots of this cluster are of format %d, and the program of this machine reads %s: start a program that reads format %d; no data is lost",
			format, formatRange(of.Snapshots), format)
	}
	return nil
}

// formatRange formats a range for error messages.
func formatRange(r version.Range) string {
	if r == (version.Range{}) {
		return "none that it says"
	}
	return r.String()
}

// founders returns the members with which a cluster begins, and their commands.
func founders(cfg Config) []raftnode.Founder {
	if len(cfg.Founders) == 0 {
		return []raftnode.Founder{{ID: cfg.Member.ID, Command: bootstrapCommand(cfg)}}
	}
	// Nothing of this machine may be in these: the others write the same. So this version stays for ever
	// that of the first release that founds clusters like this. The limits follow from the first leader,
	// see raiseCommand, and so do later versions.
	all := make([]raftnode.Founder, len(cfg.Founders))
	for i, m := range cfg.Founders {
		m.Name, m.ClientURL = "", "" // it announces them itself
		command := setMemberCommand(m, version.Range{}, store.VersionOfV2)
		if i == 0 {
			command = store.Encode(&storepb.Command{Kind: &storepb.Command_Bootstrap{Bootstrap: &storepb.Bootstrap{
				HistoryLimit: store.FirstHistory, Version: store.VersionOfV2, Member: memberMessage(m),
			}}})
		}
		all[i] = raftnode.Founder{ID: m.ID, Command: command}
	}
	return all
}

// bootstrapCommand returns the first command of a cluster that this machine founds alone. Apply goes
// by its settings from there on, whatever the flags of a machine say.
func bootstrapCommand(cfg Config) []byte {
	b := &storepb.Bootstrap{HistoryLimit: cfg.HistoryLimit, Member: memberMessage(cfg.Member)}
	if cfg.Commands.Max >= store.VersionOfVersions {
		b.Version, b.MaxMembers = cfg.Commands.Max, uint32(cfg.Raft.MaxMembers)
	}
	if cfg.Commands.Max >= store.VersionOfLimits {
		b.Quota = cfg.Quota
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Bootstrap{Bootstrap: b}})
}

// raiseCommand raises the version of the cluster, and gives it the limits that it lacks. If it
// has the version already, it lacks all: its founders have not agreed on any.
func raiseCommand(cfg Config, to, from uint32) []byte {
	r := &storepb.Raise{Version: to, MaxMembers: uint32(cfg.Raft.MaxMembers)}
	if to >= store.VersionOfLimits {
		r.Quota = cfg.Quota
	}
	if to == from {
		r.HistoryLimit = &cfg.HistoryLimit
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_Raise{Raise: r}})
}

// setMemberCommand adds or changes a member; cluster is the version of the cluster.
func setMemberCommand(m store.Member, commands version.Range, cluster uint32) []byte {
	c := &storepb.SetMember{Member: memberMessage(m)}
	if cluster >= store.VersionOfVersions && commands != (version.Range{}) {
		c.Understands = &storepb.Versions{Min: commands.Min, Max: commands.Max}
	}
	return store.Encode(&storepb.Command{Kind: &storepb.Command_SetMember{SetMember: c}})
}
