package actors

import (
	"encoding/hex"

	"etcd/raftnode"
)

// maxShown bounds how much of an entry is shown, in bytes: enough to see what kind it is of. Behind
// that are a key and its value.
const maxShown = 4

// unappliable ends the process at an entry that it cannot apply, and logs which one it is.
func unappliable(fatal fatal, u *raftnode.Unappliable) {
	fatal("the log holds an entry that this program cannot apply: the process ends, because machines that go on without it would "+
		"differ from those that can apply it. Start the version that wrote it, or a newer one. If there is none, start "+
		"ALL machines with -skip-entry and its index; see \"An entry that cannot be applied\" in docs/operations.md",
		"index", u.Index, "term", u.Term, "why", u.Why, "bytes", len(u.Data), "begins", hex.EncodeToString(u.Data[:min(len(u.Data), maxShown)]))
}

func (r *raftActor) logSkipped(entries []raftnode.Skipped) {
	for _, e := range entries {
		if e.Why == nil {
			r.log.Error("an entry that was to be skipped (-skip-entry) can be applied, so it was: is the index right?", "index", e.Index)
			continue
		}
		r.log.Error("SKIPPED AN ENTRY of the log, as -skip-entry says. All machines have to, or their states differ. "+
			"Leave the flag out when it is in a snapshot of every machine", "index", e.Index, "why", e.Why)
	}
}
