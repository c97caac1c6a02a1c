package store

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"etcd/store/storepb"
	"etcd/version"
)

// Commands are the versions of a cluster that this package understands: it knows every
// command and every field that may be in the log of one. The log of a cluster of version 1
// says nothing of versions.
var Commands = version.Range{Min: 1, Max: 2}

// The versions that have brought something. What is new is sent only when the cluster has its
// version.
const (
	// VersionOfVersions: Raise, what SetMember says of versions, replicated MaxMembers.
	VersionOfVersions = 2
)

// Snapshots are the formats of snapshots that this package reads. It writes the last.
var Snapshots = version.Range{Min: 1, Max: formatVersion}

// Version is that of the cluster, by the log, 0 before it begins.
func (s *Store) Version() uint32 { return s.version }

// MaxMembers is how many machines the cluster may have, 0 if the log does not say.
func (s *Store) MaxMembers() int { return int(s.maxMembers) }

// raise gives the cluster a version. It never falls.
func (s *Store) raise(to, maxMembers uint32) {
	s.version = max(s.version, to, 1)
	if s.maxMembers == 0 {
		s.maxMembers = maxMembers
	}
}

// checkVersion returns why this program must have nothing to do with a cluster of that
// version; 0 is 1, see [storepb.Bootstrap].
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

// What gives the cluster a version, by the number of its field in [storepb.Command].
const (
	bootstrapField = 5
	raiseField     = 9
)

// VersionGiven is the version that a command gives the cluster, 0 for most commands. It looks
// at little else and may be asked about all of a log.
func VersionGiven(command []byte) uint32 {
	field, _, n := protowire.ConsumeTag(command)
	if n < 0 || field != bootstrapField && field != raiseField {
		return 0
	}
	c := new(storepb.Command)
	if proto.Unmarshal(command, c) != nil {
		return 0 // whoever applies it says what is wrong
	}
	if field == raiseField {
		return c.GetRaise().GetVersion()
	}
	return max(c.GetBootstrap().GetVersion(), 1)
}

// CheckVersion returns a [VersionError] if a command gives the cluster a version that this
// program does not know.
func CheckVersion(command []byte) error { return checkVersion(VersionGiven(command)) }
