package store

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd/store/storepb"
	"etcd/version"
)

// Commands are the versions of a cluster that this package understands: it knows every
// command and every field that may be in the log of such a cluster. The log of a cluster of
// version 1 does not mention versions.
var Commands = version.Range{Min: 1, Max: 6}

// The versions that introduced something. What is new in one is sent only when the cluster has
// that version.
const (
	// VersionOfVersions introduced Raise, versions in SetMember and a replicated MaxMembers.
	VersionOfVersions = 2
	// VersionOfFounders introduced members that have not told their name or their client URL yet,
	// member IDs from 2^63 on, and a history limit in Raise: what clusters have that several
	// machines found together.
	VersionOfFounders = 3
	// VersionOfV2 introduced what only the v2 API asks for: in-order keys that skip a name which is
	// taken, updates that only a directory takes, and users and roles. Programs before it had no v2 API, so no log of
	// theirs has a command to which that makes a difference.
	VersionOfV2 = 4
	// VersionOfLimits introduced the quota, and format 3 of snapshots.
	VersionOfLimits = 5
	// VersionOfV3 introduced the keyspace of the v3 API.
	VersionOfV3 = 6
)

// Snapshots are the formats of snapshots that this package reads.
var Snapshots = version.Range{Min: 1, Max: prefixFormat}

// SnapshotFormat returns the format of the snapshots of a cluster with a version: all its members read
// it, and all write the same, because they compare hashes of what they would write.
func SnapshotFormat(cluster uint32) uint32 {
	if cluster >= VersionOfLimits {
		return prefixFormat
	}
	return 2
}

// Version returns the version of the cluster according to the log, 0 before that begins.
func (s *Store) Version() uint32 { return s.version }

// MaxMembers returns how many machines the cluster may have, 0 if the log does not say.
func (s *Store) MaxMembers() int { return int(s.maxMembers) }

// raise gives the cluster a version, unless its own is higher: it never falls. A cluster without a
// member limit also gets that, and the history limit if there is one; and one without a quota gets that.
func (s *Store) raise(m *storepb.Raise) {
	s.version = max(s.version, m.GetVersion(), 1)
	if s.tree.Quota() == 0 && m.GetQuota() > 0 {
		// A cluster that has grown without one must not be refused its next write.
		s.tree.SetQuota(max(m.GetQuota(), 2*s.Size()))
	}
	if s.maxMembers > 0 {
		return
	}
	s.maxMembers = m.GetMaxMembers()
	if m.HistoryLimit != nil {
		s.tree.SetHistoryLimit(int(m.GetHistoryLimit()))
	}
}

// checkVersion returns why this program must not take part in a cluster of that version; 0
// is 1, see [storepb.Bootstrap].
func checkVersion(of uint32) error {
	if Commands.Has(max(of, 1)) {
		return nil
	}
	return &VersionError{Version: of}
}

// VersionError is why a command or a snapshot is not understood: it gives the cluster a
// version that this program does not know. It wraps [ErrNewer].
type VersionError struct{ Version uint32 }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the cluster has version %d, and this program understands %s: start a program that understands %d; no data is lost", e.Version, Commands, e.Version)
}

// Unwrap makes errors.Is find ErrNewer.
func (e *VersionError) Unwrap() error { return ErrNewer }

// The commands that give the cluster a version, by the number of their field in
// [storepb.Command].
const (
	bootstrapField = 5
	raiseField     = 9
)

// VersionOf returns the version that a command gives the cluster, 0 for most commands. It
// reads little of these, so it is cheap enough to be called for all of a log.
func VersionOf(command []byte) uint32 {
	field, _, n := protowire.ConsumeTag(command)
	if n < 0 || field != bootstrapField && field != raiseField {
		return 0
	}
	c := new(storepb.Command)
	if proto.Unmarshal(command, c) != nil {
		return 0 // Apply reports what is wrong with it
	}
	if field == raiseField {
		return c.GetRaise().GetVersion()
	}
	return max(c.GetBootstrap().GetVersion(), 1)
}

// CheckVersion returns a [VersionError] if a command gives the cluster a version that this
// program does not know.
func CheckVersion(command []byte) error { return checkVersion(VersionOf(command)) }
