package e2e

import (
	"bytes"
	"debug/elf"
	encoding "encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process reads the wall clock through the vDSO, code that the kernel maps
// into it. No namespace shifts that clock, and no interposed library reaches a
// Go program. So a shiftedClock replaces the code in one process, before its
// first instruction runs, by code that asks the kernel and adds an offset, which
// can be changed at any time: to this process it is what a step of the machine's
// clock is to all.
type shiftedClock struct {
	mu     sync.Mutex
	offset time.Duration // whole seconds
	memory *os.File      // of the process
	at     int64         // where its offset is
}

// clockCode is clock_gettime(clock, *timespec) with an offset for clock 0, the
// wall clock.
var clockCode = []byte{
	0xb8, 0xe4, 0x00, 0x00, 0x00, // mov eax, 228 (clock_gettime)
	0x0f, 0x05, // syscall
	0x85, 0xff, // test edi, edi
	0x75, 0x0a, // jne to the ret
	0x48, 0x8b, 0x15, 0x06, 0x00, 0x00, 0x00, // mov rdx, [rip+6]: the offset
	0x48, 0x01, 0x16, // add [rsi], rdx
	0xc3,       // ret
	0x90, 0x90, // up to a multiple of 8
}

// shiftClock gives a server a wall clock of its own from its next start on.
func shiftClock(s *server) *shiftedClock {
	c := &shiftedClock{}
	s.begin = c.begin
	s.t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.memory != nil {
			c.memory.Close()
		}
	})
	return c
}

// set shifts the clock, at once if the process runs.
func (c *shiftedClock) set(t testing.TB, offset time.Duration) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset.Truncate(time.Second)
	if c.memory == nil {
		return
	}
	if err := c.write(); err != nil {
		t.Fatalf("set the clock of a process: %v", err)
	}
}

func (c *shiftedClock) write() error {
	var b [8]byte
	encoding.LittleEndian.PutUint64(b[:], uint64(int64(c.offset/time.Second)))
	_, err := c.memory.WriteAt(b[:], c.at)
	return err
}

// begin starts a command and puts the clock into it.
func (c *shiftedClock) begin(cmd *exec.Cmd) error {
	// The thread that starts a process is the one that traces it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("wait for the process to stop: status %#x, %w", status, err)
	}
	err := c.install(pid)
	return errors.Join(err, syscall.PtraceDetach(pid))
}

// install replaces the clock of a stopped process.
func (c *shiftedClock) install(pid int) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	var from, to int64
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "[vdso]") {
			if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil {
				return fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	image := make([]byte, to-from)
	if _, err := memory.ReadAt(image, from); err != nil {
		return errors.Join(fmt.Errorf("read the vDSO: %w", err), memory.Close())
	}
	entry, err := clockEntry(image)
	if err == nil {
		_, err = memory.WriteAt(clockCode, from+entry)
	}
	if err != nil {
		return errors.Join(err, memory.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory != nil {
		c.memory.Close() // of the previous process
	}
	c.memory, c.at = memory, from+entry+int64(len(clockCode))
	return c.write()
}

// clockEntry returns where in the vDSO clock_gettime is.
func clockEntry(image []byte) (int64, error) {
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, fmt.Errorf("the vDSO: %w", err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" && s.Size >= uint64(len(clockCode)+8) {
			return int64(s.Value), nil
		}
	}
	return 0, errors.New("the vDSO has no clock_gettime")
}

// canShiftClocks reports whether the clock of a process can be replaced here.
func canShiftClocks() bool {
	c := &shiftedClock{}
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := c.begin(cmd)
	if cmd.Process != nil {
		if err != nil {
			cmd.Process.Kill()
		}
		cmd.Wait()
	}
	if c.memory != nil {
		c.memory.Close()
	}
	return err == nil
}
