package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStopWithAHungDisk stops a machine whose disk hangs. The machine must not wait for it,
// must log what was still under way, and must not lose what it has acknowledged.
func TestStopWithAHungDisk(t *testing.T) {
	t.Parallel()
	for _, n := range []need{needStrace, needAttach} {
		if n.absent() {
			t.Skip("this needs " + n.what)
		}
	}
	s := startServer(t)
	if answer, err := exchange(s.client, post("/v1/keys/kept", "value", "1")); err != nil || answer.status != 200 {
		t.Fatalf("set: %d %v", answer.status, err)
	}
	o := &ordeal{t: t}
	tr := o.tamper(s, "delay_enter=60000000")
	waiting, err := dial(s.client)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if err := waiting.send(post("/v1/keys/kept", "value", "2")); err != nil {
		t.Fatal(err)
	}
	tr.waitFor("fdatasync(", 1)
	waitUntil(t, "it is not ready", func() bool {
		answer, err := exchange(s.client, get("/readyz"))
		return err == nil && answer.status == 503 && strings.Contains(answer.body, "[-]disk failed: a write to the log has waited for the disk for ")
	})
	if answer, err := exchange(s.client, get("/livez?verbose")); err != nil || answer.status != 200 || answer.body != "[+]raft ok\n[+]disk ok\n" {
		t.Errorf("/livez: %d %s %v", answer.status, answer.body, err)
	}
	began := time.Now()
	s.proc.signal(syscall.SIGTERM)
	waitUntil(t, "it gives up", func() bool { return strings.Contains(s.proc.stderr(), "cut off: ") })
	t.Logf("gave up after %s", time.Since(began))
	tr.proc.signal(syscall.SIGKILL) // strace, which delays a process, also holds up its end
	tr.proc.waitExit(waitLimit)
	o.mustEnd(s, "stopping: still at work, and cut off: ", "wal", "Nothing that was acknowledged is lost", "Look at the disk")
	s.start()
	if answer, err := exchange(s.client, get("/v1/keys/kept")); err != nil || answer.status != 200 {
		t.Fatalf("get: %d %s %v", answer.status, answer.body, err)
	}
}
