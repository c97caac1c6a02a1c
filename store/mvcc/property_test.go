package mvcc_test

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"etcd/internal/mvccmodel"
	"etcd/store/mvcc"
	"etcd/store/storepb"
)

// reader is what a keyspace and a view have in common.
type reader interface {
	Revision() int64
	Compacted() int64
	Size() uint64
	Len() int
	Weight(*storepb.Range) int
	TxnWeight(*storepb.Txn) int
	Range(*storepb.Range) (mvcc.Found, error)
	ReadTxn(*storepb.Txn) mvcc.Outcome
	Versions() iter.Seq[*mvcc.Version]
	Changes(from int64) iter.Seq[*mvcc.Version]
}

func collect(all iter.Seq[*mvcc.Version]) (versions []mvccmodel.Version) {
	for v := range all {
		versions = append(versions, mvccmodel.OfVersion(v))
	}
	return versions
}

// compareAll compares everything that was written and is not compacted.
func compareAll(t *rapid.T, r reader, m *mvccmodel.Model) {
	t.Helper()
	if r.Revision() != m.Revision || r.Compacted() != m.Compacted || r.Size() != m.Size() || r.Len() != m.Len() {
		t.Fatalf("revision %d, compacted %d, %d bytes, %d keys, want %d, %d, %d, %d",
			r.Revision(), r.Compacted(), r.Size(), r.Len(), m.Revision, m.Compacted, m.Size(), m.Len())
	}
	if got, want := collect(r.Versions()), m.Versions(); !slices.Equal(got, want) {
		t.Fatalf("there are the versions\n%v, want\n%v", got, want)
	}
}

// compareRead compares the answers to a random question.
func compareRead(t *rapid.T, r reader, m *mvccmodel.Model) {
	t.Helper()
	if rapid.IntRange(0, 2).Draw(t, "a transaction") == 0 {
		txn := drawTxn(t, m.Revision, false, 2)
		if !mvcc.ReadOnly(txn) {
			t.Fatalf("%v is said to write", txn)
		}
		if got, want := mvccmodel.Of(r.ReadTxn(txn)).String(), m.ReadTxn(txn).String(); got != want {
			t.Fatalf("%v\n got: %s\nwant: %s", txn, got, want)
		}
		if w := r.TxnWeight(txn); w < 0 {
			t.Fatalf("%v has weight %d", txn, w)
		}
		return
	}
	q := drawRange(t, m.Revision)
	found, err := r.Range(q)
	got := mvccmodel.Of(mvcc.Outcome{Revision: r.Revision(), Err: err, Step: mvcc.Step{Found: found}})
	if want := m.Range(q).String(); got.String() != want {
		t.Fatalf("%v\n got: %s\nwant: %s", q, got, want)
	}
	most := len(keys) + manyKeys
	if len(q.GetRangeEnd()) == 0 {
		most = 1
	}
	if w := r.Weight(q); w < len(found.Versions) || w > most {
		t.Fatalf("%v has weight %d and finds %d", q, w, len(found.Versions))
	}
}

// compareChanges compares the changes since a revision.
func compareChanges(t *rapid.T, r reader, m *mvccmodel.Model) {
	t.Helper()
	from := rapid.Int64Range(m.Compacted, m.Revision+1).Draw(t, "from")
	if got, want := collect(r.Changes(from)), m.Changes(from); !slices.Equal(got, want) {
		t.Fatalf("the changes from %d on are\n%v, want\n%v", from, got, want)
	}
}

// reload makes a keyspace of what another one says of itself.
func reload(t *rapid.T, k *mvcc.Keyspace) *mvcc.Keyspace {
	l, err := mvcc.NewLoader(k.Revision(), k.Compacted())
	if err != nil {
		t.Fatal(err)
	}
	for v := range k.Versions() {
		e := &mvcc.Entry{
			Key: v.KeyBytes(), Value: slices.Clone(v.Value()), Sub: v.Sub(),
			Mod: v.Mod, Create: v.Create, Count: v.Count, Lease: v.Lease,
		}
		if err := l.Add(e); err != nil {
			t.Fatalf("%v: %v", mvccmodel.OfVersion(v), err)
		}
	}
	return l.Keyspace()
}

// Whatever is done with a keyspace, it does and answers what the model does, and so do one that is written out
// and loaded again and again, and every view of any moment.
func TestKeyspaceMatchesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, k, revived := mvccmodel.New(), mvcc.New(), mvcc.New()
		type moment struct {
			view     *mvcc.View
			model    mvccmodel.Model
			versions []mvccmodel.Version
		}
		var moments []moment

		both := func(t *rapid.T, what fmt.Stringer, want mvccmodel.Outcome, do func(k *mvcc.Keyspace) mvcc.Outcome) {
			t.Helper()
			for _, k := range []*mvcc.Keyspace{k, revived} {
				if got := mvccmodel.Of(do(k)).String(); got != want.String() {
					t.Fatalf("%v\n got: %s\nwant: %s", what, got, want)
				}
			}
		}
		put := func(t *rapid.T, p *storepb.Put, room uint64) {
			both(t, p, m.Put(p, room), func(k *mvcc.Keyspace) mvcc.Outcome { return k.Put(p, room) })
		}
		remove := func(t *rapid.T, d *storepb.DeleteRange) {
			both(t, d, m.DeleteRange(d), func(k *mvcc.Keyspace) mvcc.Outcome { return k.DeleteRange(d) })
		}
		txn := func(t *rapid.T) {
			txn, room := drawTxn(t, m.Revision, true, 2), drawRoom(t)
			both(t, txn, m.Txn(txn, room), func(k *mvcc.Keyspace) mvcc.Outcome { return k.Txn(txn, room, true) })
		}
		read := func(t *rapid.T) {
			compareRead(t, k, m)
			compareChanges(t, k, m)
			compareChanges(t, revived, m)
			for i := range moments {
				compareRead(t, moments[i].view, &moments[i].model)
				compareChanges(t, moments[i].view, &moments[i].model)
			}
		}
		free := func(t *rapid.T) {
			k.Free(rapid.IntRange(1, 9).Draw(t, "how many"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"put":         func(t *rapid.T) { put(t, drawPut(t), drawRoom(t)) },
			"put again":   func(t *rapid.T) { put(t, drawPut(t), drawRoom(t)) },
			"delete":      func(t *rapid.T) { remove(t, drawDelete(t)) },
			"transaction": txn, "another transaction": txn,
			"read": read, "read again": read,
			"free": free, "free again": free,
			"put many": func(t *rapid.T) {
				at, step := rapid.IntRange(0, manyKeys-1).Draw(t, "at"), rapid.SampledFrom([]int{1, 7, manyKeys - 1}).Draw(t, "step")
				for range rapid.IntRange(0, 90).Draw(t, "how many") {
					put(t, &storepb.Put{Key: manyKey(at)}, math.MaxUint64)
					at += step
				}
			},
			"delete many": func(t *rapid.T) {
				at, n := rapid.IntRange(0, manyKeys-1).Draw(t, "at"), rapid.IntRange(0, manyKeys-1).Draw(t, "how many")
				remove(t, &storepb.DeleteRange{Key: manyKey(at), RangeEnd: manyKey(at + n)})
			},
			"compact": func(t *rapid.T) {
				revision := rapid.Int64Range(m.Compacted-1, m.Revision+1).Draw(t, "revision")
				both(t, &storepb.Compact{Revision: revision}, m.Compact(revision), func(k *mvcc.Keyspace) mvcc.Outcome { return k.Compact(revision) })
			},
			"free all": func(t *rapid.T) {
				for !k.Freed() {
					k.Free(100)
				}
				if versions := len(collect(k.Versions())); k.InMemory() != versions {
					t.Fatalf("%d versions are in memory, want %d", k.InMemory(), versions)
				}
			},
			"view": func(t *rapid.T) {
				if len(moments) == 4 {
					moments = moments[1:]
				}
				moments = append(moments, moment{k.View(), *m, collect(k.View().Versions())})
			},
			"revive": func(t *rapid.T) { revived = reload(t, revived) },
			"": func(t *rapid.T) {
				views := make([]*mvcc.View, len(moments))
				for i := range moments {
					views[i] = moments[i].view
					if !slices.Equal(collect(views[i].Versions()), moments[i].versions) {
						t.Fatal("a view has changed")
					}
				}
				if err := k.Check(views); err != nil {
					t.Fatal(err)
				}
				if err := revived.Check(nil); err != nil {
					t.Fatal(err)
				}
				compareAll(t, k, m)
				compareAll(t, revived, m)
			},
		})
	})
}
