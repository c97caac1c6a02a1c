package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// whatToDo is in the message of a machine that ends because of its disk.
var whatToDo = []string{"the process ends", "Nothing that was acknowledged is lost", "Look at the disk", "start it again"}

// smallSize has space for the machine's data, a segment of 64 MiB, and snapshots.
const smallSize = "120m"

// smallDisk is a tmpfs that holds the data directory of a machine.
type smallDisk struct {
	o    *ordeal
	s    *server
	path string
	home string // original path of the data directory
}

// moveToSmallDisk stops a machine and starts it again with its data directory
// on a file system of its own.
func (o *ordeal) moveToSmallDisk(s *server, size string) *smallDisk {
	o.t.Helper()
	d := &smallDisk{o: o, s: s, path: filepath.Join(s.dir, "small"), home: s.data}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		o.t.Fatal(err)
	}
	if err := mountTmpfs(d.path, "size="+size); err != nil {
		o.t.Fatalf("mount a tmpfs: %v", err)
	}
	o.t.Cleanup(func() { detach(d.path) }) // unmounted already unless the test fails
	d.move(filepath.Join(d.path, "data"))
	return d
}

// move stops the machine, moves its data directory, and starts it there.
func (d *smallDisk) move(to string) {
	d.o.t.Helper()
	d.s.stop()
	copyDirectory(d.o.t, d.s.data, to)
	if err := os.RemoveAll(d.s.data); err != nil {
		d.o.t.Fatal(err)
	}
	d.s.data = to
	d.s.start()
}

// fill fills the disk but for free bytes.
func (d *smallDisk) fill(free int64) {
	d.o.t.Helper()
	f, err := os.Create(filepath.Join(d.path, "ballast"))
	if err != nil {
		d.o.t.Fatal(err)
	}
	defer f.Close()
	for piece := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(piece)
	}
	if !isFull(err) {
		d.o.t.Fatalf("the disk was to be filled: %v", err)
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		err = f.Truncate(max(0, size-free))
	}
	if err != nil {
		d.o.t.Fatal(err)
	}
}

// clean frees the space again.
func (d *smallDisk) clean() {
	d.o.t.Helper()
	if err := os.Remove(filepath.Join(d.path, "ballast")); err != nil {
		d.o.t.Fatal(err)
	}
}

// leave moves the data directory back to its original path.
func (d *smallDisk) leave() {
	d.o.t.Helper()
	d.move(d.home)
	if err := unmount(d.path); err != nil {
		d.o.t.Fatalf("unmount: %v", err)
	}
}

// fillDisk leaves a follower and the leader without space for a snapshot, for
// the next segment of the log, and for a snapshot received from the leader. The
// machine must end and say what to do, the others go on, and with space again
// it must come back with everything.
func (o *ordeal) fillDisk() {
	s := o.any()
	d := o.moveToSmallDisk(s, smallSize)
	for _, role := range o.roles() {
		for _, lacks := range variants(o, 1, []func(*smallDisk, string){(*smallDisk).noSnapshot, (*smallDisk).noSegment, (*smallDisk).noSnapshotFromLeader}) {
			lacks(d, role)
			o.mustAccept(s)
		}
	}
	d.leave()
}

// noSnapshot leaves no space for a snapshot.
func (d *smallDisk) noSnapshot(role string) {
	o, s := d.o, d.s
	o.t.Helper()
	o.makeRole(s, role)
	d.fill(0)
	o.mustEnd(s, append(whatToDo, "no space left on device")...)
	o.mustAccept(o.c.others(s)...)
	// It is started before there is space. It may come up, but not for long, and
	// must not make anything worse.
	s.launch()
	o.mustEnd(s, append(whatToDo, "no space left on device")...)
	o.progress()
	d.clean()
	s.start()
}

// noSegment leaves no space for a segment that a large write needs. The machine writes no
// snapshots, for which there would be no space either.
func (d *smallDisk) noSegment(role string) {
	o, s := d.o, d.s
	o.t.Helper()
	args := s.args
	s.stop()
	s.args = append(slices.Clone(args), "-snapshot-count", "1000000")
	s.start()
	o.makeRole(s, role)
	// The race detector holds up a whole process while it looks at a large value:
	// with 8 MiB the others would take the machine for dead, and never get it through.
	const large = 2 << 20
	d.fill(large / 2)
	// The value of a test-and-set whose test fails is in the log and nowhere else.
	o.write(s, "/filler", "small")
	filler := post("/v1/keys/filler", "value", strings.Repeat("x", large), "prevValue", "other")
	for i := 0; s.runs(); i++ {
		if i == 200 {
			o.t.Fatalf("%s has written 400 MiB to a small disk", s.name)
		}
		exchange(o.c.others(s)[0].client, filler) // may fail when the machine ends
	}
	o.mustEnd(s, append(whatToDo, "no space left on device", "segment")...)
	o.mustAccept(o.c.others(s)...)
	d.clean()
	s.args = args
	s.start()
}

// noSnapshotFromLeader leaves no space for the snapshot that the machine needs
// to catch up.
func (d *smallDisk) noSnapshotFromLeader(role string) {
	o, s := d.o, d.s
	o.t.Helper()
	o.makeRole(s, role)
	o.leaveBehind(s)
	d.fill(0)
	s.launch()
	// It may write a snapshot of its own first.
	o.mustEnd(s, append(whatToDo, "no space left on device", "snapshot")...)
	o.mustAccept(o.c.others(s)...)
	d.clean()
	s.start()
}

// tracer is strace at work on a running machine.
type tracer struct {
	o    *ordeal
	proc *process
	out  string // file with its output
}

// tamper has strace inject faults or delays into the syncs of a running machine.
func (o *ordeal) tamper(s *server, how string) *tracer {
	o.t.Helper()
	tr := &tracer{o: o, out: filepath.Join(s.dir, "strace")}
	tr.proc = launch(o.t, exec.Command("strace", "-f", "-y", "-o", tr.out, "-e", "trace=fdatasync,fsync",
		"-e", "inject=fdatasync,fsync:"+how, "-p", strconv.Itoa(s.proc.cmd.Process.Pid)))
	waitUntil(o.t, "strace is attached to "+s.name, func() bool {
		select {
		case <-tr.proc.exited:
			o.t.Fatalf("strace has ended:\n%s", tr.proc.stderr())
		default:
		}
		return strings.Contains(tr.proc.stderr(), "attached")
	})
	return tr
}

// waitFor returns when a text is in the output of strace the given number of times.
func (tr *tracer) waitFor(what string, times int) {
	tr.o.t.Helper()
	waitUntil(tr.o.t, what+" in what strace saw", func() bool {
		return strings.Count(string(readAll(tr.o.t, tr.out)), what) >= times
	})
}

// end detaches strace and returns its output.
func (tr *tracer) end() string {
	tr.o.t.Helper()
	tr.proc.signal(syscall.SIGINT)
	tr.proc.waitExit(waitLimit)
	return string(readAll(tr.o.t, tr.out))
}

// failSync makes a sync of a follower and of the leader fail. The machine must
// end before it acknowledges anything more, without a retry of the sync.
func (o *ordeal) failSync() {
	for _, role := range o.roles() {
		s := o.inRole(role)
		at := 1 + o.rng.IntN(40)
		tr := o.tamper(s, fmt.Sprintf("error=EIO:when=%d", at))
		o.mustEnd(s, append(whatToDo, "input/output error")...)
		seen := tr.end()
		if file := syncedAgain(seen); file != "" {
			o.t.Errorf("%s has synced %s again after that had failed:\n%s", s.name, file, seen)
		}
		o.mustAccept(o.c.others(s)...)
		s.start()
		o.progress()
	}
}

// syncLine is a line of strace about a sync: thread, file and result.
var syncLine = regexp.MustCompile(`^\d+ +f(?:data)?sync\(\d+<([^>]*)>\) += (.*)`)

// syncedAgain returns a file that was synced after its sync had failed.
func syncedAgain(seen string) string {
	failed := map[string]bool{}
	for line := range strings.Lines(seen) {
		m := syncLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if failed[m[1]] {
			return m[1]
		}
		failed[m[1]] = strings.HasSuffix(strings.TrimSpace(m[2]), "(INJECTED)")
	}
	return ""
}

// slowDisk makes every sync of a machine slow: of a follower, which the quorum
// does not need; of the leader, by less and by more than an election takes.
func (o *ordeal) slowDisk() {
	type slowness struct {
		role  string
		delay time.Duration
	}
	for _, slow := range variants(o, 2, []slowness{
		{"follower", 300 * time.Millisecond},
		{"leader", 60 * time.Millisecond},
		{"leader", 500 * time.Millisecond},
	}) {
		s := o.inRole(slow.role)
		tr := o.tamper(s, fmt.Sprintf("delay_enter=%d", slow.delay.Microseconds()))
		// A slow leader may hand over, so only the progress of clients counts.
		o.progress()
		if slow.role == "follower" {
			o.mustAccept(o.c.others(s)...)
		}
		tr.waitFor("(DELAYED)", 3)
		tr.end()
		o.mustRun()
		o.mustAccept(o.c.members...)
	}
}
