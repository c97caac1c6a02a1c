package actors

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"etcd/store"
)

// TestNamesInTheLog checks that a name follows every ID of a member, and nothing else.
func TestNamesInTheLog(t *testing.T) {
	var out bytes.Buffer
	n := &names{}
	log := slog.New(n.handler(slog.NewTextHandler(&out, nil)))
	line := func(message string, args ...any) string {
		out.Reset()
		log.Info(message, args...)
		_, text, _ := strings.Cut(out.String(), "msg=")
		return strings.TrimSpace(text)
	}
	if got := line("m", "member", MemberID(0xab)); got != "m member=00000000000000ab" {
		t.Errorf("before any member is known: %s", got)
	}
	n.set([]store.Member{{ID: 0xab, Name: "node1"}, {ID: 1 << 62, Name: "node 2"}})
	for _, test := range []struct {
		got, want string
	}{
		{line("m", "member", MemberID(0xab), "index", 171), `m member="00000000000000ab (node1)" index=171`},
		{line("m", "error", fmt.Errorf("to %s: %w", MemberID(1<<62), errors.New("broken"))), `m error="to 4000000000000000 (node 2): broken"`},
		{line("00000000000000ab became candidate"), `"00000000000000ab (node1) became candidate"`},
		{line("m", "member", MemberID(0xac)), "m member=00000000000000ac"},
		{line("m", "run", "curl -X DELETE http://a:4001/v2/members/"+MemberID(0xab)), `m run="curl -X DELETE http://a:4001/v2/members/00000000000000ab"`},
		{line("m", "file", MemberID(0xab)+".wal"), "m file=00000000000000ab.wal"},
		{line("m", "both", MemberID(0xab)+" "+MemberID(0xab)), `m both="00000000000000ab (node1) 00000000000000ab (node1)"`},
		{line("m", "hash", strings.Repeat(MemberID(0xab), 4)), "m hash=" + strings.Repeat(MemberID(0xab), 4)},
	} {
		if test.got != test.want {
			t.Errorf("the line is %s, want %s", test.got, test.want)
		}
	}
	log = log.With("from", MemberID(0xab))
	if got := line("m"); got != `m from="00000000000000ab (node1)"` {
		t.Errorf("a line with what all have in common: %s", got)
	}
}
