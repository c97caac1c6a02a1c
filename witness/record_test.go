package witness

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"etcd/wal"
)

const member = 0xa1

func TestJudge(t *testing.T) {
	// The member was in term 7, had entry 20 from the leader of that term, and knew that 18 is
	// committed. Before that it had more, of an earlier term, which was overwritten.
	known := NewBook(nil).See(member, wal.Reach{Term: 6, LastTerm: 6, Last: 30, Commit: 10}).
		See(member, wal.Reach{Term: 7, LastTerm: 6, Last: 25, Commit: 10}).
		See(member, wal.Reach{Term: 7, LastTerm: 7, Last: 20, Commit: 18})
	for _, c := range []struct {
		name  string
		book  *Book
		reach wal.Reach
		rival bool
		want  Verdict
	}{
		{"as it was", known, wal.Reach{Term: 7, LastTerm: 7, Last: 20, Commit: 18}, false, Welcome},
		{"with more", known, wal.Reach{Term: 7, LastTerm: 7, Last: 40, Commit: 30}, false, Welcome},
		{"it has forgotten what is committed, not the entries", known, wal.Reach{Term: 7, LastTerm: 7, Last: 20}, false, Welcome},
		{"in an earlier term", known, wal.Reach{Term: 6, LastTerm: 6, Last: 30, Commit: 30}, false, Behind},
		{"an entry of the term is missing", known, wal.Reach{Term: 7, LastTerm: 7, Last: 19, Commit: 18}, false, Behind},
		{"all entries of the term are missing", known, wal.Reach{Term: 7, LastTerm: 6, Last: 25, Commit: 18}, false, Behind},
		{"entries went in a later term", known, wal.Reach{Term: 8, LastTerm: 6, Last: 19, Commit: 18}, false, Welcome},
		{"committed entries are missing in a later term", known, wal.Reach{Term: 8, LastTerm: 8, Last: 17, Commit: 17}, false, Behind},
		{"nothing is left", known, wal.Reach{Term: 7}, false, Behind},
		{"another process is connected", known, wal.Reach{Term: 9, LastTerm: 9, Last: 90, Commit: 90}, true, Rival},
		{"behind, and another process is connected", known, wal.Reach{Term: 1}, true, Rival},
		{"nobody knows it", NewBook(nil), wal.Reach{Term: 1}, false, Welcome},
		{"it was removed, and everything about it", known.Forget([]uint64{member}), wal.Reach{Term: 1}, false, Welcome},
		{"another member was removed", known.Forget([]uint64{member + 1}), wal.Reach{Term: 1}, false, Behind},
		{"its earlier handshake comes late", known.Meet(member, 1, wal.Reach{Term: 9, LastTerm: 9, Last: 90, Commit: 90}), wal.Reach{Term: 8, LastTerm: 8, Last: 80}, false, Welcome},
		{"the process after it comes with less", known.Meet(member, 2, wal.Reach{Term: 9, LastTerm: 9, Last: 90, Commit: 90}), wal.Reach{Term: 8, LastTerm: 8, Last: 80}, false, Behind},
	} {
		if got := c.book.Judge(member, 1, c.reach, c.rival); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
	}
}

// disk is the disk of a member that follows Raft, and loses nothing.
type disk struct {
	term, commit uint64
	log          []uint64 // terms of the entries
	leader       []uint64 // the log of the current term's leader; nil: none known
	matched      int      // how many entries of it the member has
}

func (d *disk) reach() wal.Reach {
	r := wal.Reach{Term: d.term, Commit: d.commit, Last: uint64(len(d.log))}
	if len(d.log) > 0 {
		r.LastTerm = d.log[len(d.log)-1]
	}
	return r
}

// hearLeader chooses a leader for the current term, whose log has the committed entries, and
// after them perhaps others than the member's.
func (d *disk) hearLeader(rt *rapid.T) {
	same := rapid.IntRange(int(d.commit), len(d.log)).Draw(rt, "same")
	log := append([]uint64{}, d.log[:same]...)
	term := uint64(1)
	if same > 0 {
		term = log[same-1]
	}
	for range rapid.IntRange(0, 4).Draw(rt, "old entries") {
		if d.term <= 1 {
			break
		}
		term = rapid.Uint64Range(term, max(term, d.term-1)).Draw(rt, "term of an old entry")
		if same < len(d.log) && len(log) == same && term == d.log[same] {
			break // index and term identify an entry
		}
		log = append(log, term)
	}
	d.leader, d.matched = append(log, d.term), same
}

// A member that has lost nothing is never judged to lack anything, however late and in whatever
// order its peers hear of its reach.
func TestAMemberThatLostNothingIsNeverRefused(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := &disk{term: 1}
		book := NewBook(nil)
		shown := []wal.Reach{}
		nonce := uint64(0)
		rt.Repeat(map[string]func(*rapid.T){
			"a new term": func(rt *rapid.T) {
				d.term += rapid.Uint64Range(1, 3).Draw(rt, "terms")
				d.leader, d.matched = nil, 0
			},
			"entries": func(rt *rapid.T) {
				if d.leader == nil {
					d.hearLeader(rt)
				}
				if d.matched == len(d.leader) {
					d.leader = append(d.leader, d.term)
				}
				upTo := rapid.IntRange(d.matched+1, len(d.leader)).Draw(rt, "up to")
				if len(d.log) < upTo || fmt.Sprint(d.log[:upTo]) != fmt.Sprint(d.leader[:upTo]) {
					d.log = append([]uint64{}, d.leader[:upTo]...)
				}
				d.matched = upTo
			},
			"a commit": func(rt *rapid.T) {
				if d.leader != nil && d.leader[max(d.matched, 1)-1] == d.term { // Raft counts only entries of the leader's term
					d.commit = max(d.commit, rapid.Uint64Range(0, uint64(d.matched)).Draw(rt, "commit"))
				}
			},
			"it shows how far it is": func(*rapid.T) { shown = append(shown, d.reach()) },
			"somebody hears of it": func(rt *rapid.T) {
				if len(shown) > 0 {
					book = book.See(member, rapid.SampledFrom(shown).Draw(rt, "reach"))
				}
			},
			"it starts again": func(rt *rapid.T) {
				nonce++
				if book.Judge(member, nonce, d.reach(), false) != Welcome {
					rt.Fatalf("%+v is judged to be behind %+v", d.reach(), book.Record(member))
				}
				book = book.Meet(member, nonce, d.reach())
				shown = append(shown, d.reach())
			},
			"an earlier handshake of it comes late": func(rt *rapid.T) {
				if nonce == 0 {
					return
				}
				if book.Judge(member, nonce, wal.Reach{Term: 1}, false) != Welcome {
					rt.Fatal("a process that was welcomed is judged again")
				}
			},
		})
	})
}

func TestReachRoundTrips(t *testing.T) {
	want := wal.Reach{Term: 7, LastTerm: 6, Last: 1 << 40, Commit: 12}
	if got, err := DecodeReach(EncodeReach(want)); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "1-2-3", "1-2-3-4-5", "1-2-3-4 ", "01-2-3-4", "-1-2-3-4", "x-2-3-4", "10000000000000000-0-0-0"} {
		if got, err := DecodeReach(bad); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
}

func FuzzDecodeReach(f *testing.F) {
	f.Add("1-2-3-4")
	f.Add("1-2-3-")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := DecodeReach(text); err == nil && EncodeReach(r) != text {
			t.Errorf("%q is read as %+v", text, r)
		}
	})
}
