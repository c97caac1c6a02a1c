package mvccmodel

import (
	"errors"
	"fmt"
	"strings"

	"etcd/store/mvcc"
)

// Outcome is what a command did, or what a read has answered.
type Outcome struct {
	Revision int64
	Err      string // why nothing was done
	// Puts and Deletions are how many keys were written and deleted.
	Puts, Deletions int
	Step
}

// Step is what one operation did.
type Step struct {
	Prev    *Version  // what a put has replaced
	Deleted []Version // by a deletion
	Found   []Version // by a range
	Count   int64
	More    bool
	Txn     *Txn
}

// Txn is what a transaction did.
type Txn struct {
	Succeeded bool
	Steps     []Step
}

// String returns everything that an outcome says: two are the same if their strings are.
func (o Outcome) String() string {
	if o.Err != "" {
		return fmt.Sprintf("at %d: %s", o.Revision, o.Err)
	}
	return fmt.Sprintf("at %d, %d put, %d deleted:%s", o.Revision, o.Puts, o.Deletions, o.Step)
}

func (s Step) String() string {
	var b strings.Builder
	if s.Prev != nil {
		fmt.Fprintf(&b, " replaced %v", *s.Prev)
	}
	if len(s.Deleted) > 0 {
		fmt.Fprintf(&b, " deleted %v", s.Deleted)
	}
	if len(s.Found) > 0 || s.Count > 0 || s.More {
		fmt.Fprintf(&b, " found %v of %d, more: %t", s.Found, s.Count, s.More)
	}
	if s.Txn != nil {
		fmt.Fprintf(&b, " txn %t %v", s.Txn.Succeeded, s.Txn.Steps)
	}
	return b.String()
}

func (v Version) String() string {
	if v.Deleted {
		return fmt.Sprintf("%q gone %d.%d", v.Key, v.Mod, v.Sub)
	}
	return fmt.Sprintf("%q=%q %d.%d created %d, version %d, lease %d", v.Key, v.Value, v.Mod, v.Sub, v.Create, v.Count, v.Lease)
}

// Of returns what a keyspace has answered in the words of the model.
func Of(o mvcc.Outcome) Outcome {
	for err, why := range map[error]string{
		mvcc.ErrCompacted: Compacted, mvcc.ErrFuture: Future, mvcc.ErrKeyNotFound: KeyNotFound,
		mvcc.ErrLeaseNotFound: LeaseNotFound, mvcc.ErrNoSpace: NoSpace,
	} {
		if errors.Is(o.Err, err) {
			return Outcome{Revision: o.Revision, Err: why}
		}
	}
	if o.Err != nil {
		return Outcome{Revision: o.Revision, Err: o.Err.Error()}
	}
	return Outcome{Revision: o.Revision, Puts: o.Puts, Deletions: o.Deletions, Step: ofStep(&o.Step)}
}

func ofStep(s *mvcc.Step) Step {
	step := Step{Count: s.Found.Count, More: s.Found.More}
	if s.Prev != nil {
		prev := OfVersion(s.Prev)
		step.Prev = &prev
	}
	for _, v := range s.Deleted {
		step.Deleted = append(step.Deleted, OfVersion(v))
	}
	for _, v := range s.Found.Versions {
		step.Found = append(step.Found, OfVersion(v))
	}
	if s.Txn != nil {
		step.Txn = &Txn{Succeeded: s.Txn.Succeeded}
		for i := range s.Txn.Steps {
			step.Txn.Steps = append(step.Txn.Steps, ofStep(&s.Txn.Steps[i]))
		}
	}
	return step
}

// OfVersion is Of for a version.
func OfVersion(v *mvcc.Version) Version {
	return Version{
		Key: v.Key(), Value: string(v.Value()), Deleted: v.Deleted(),
		Mod: v.Mod, Create: v.Create, Count: v.Count, Lease: v.Lease, Sub: int(v.Sub()),
	}
}
