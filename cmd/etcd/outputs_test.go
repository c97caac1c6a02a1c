package main

import (
	"bytes"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etcd/server"
)

// TestLogOutputs checks where lines go: to a file, which is appended to and is its owner's alone, and
// to standard error under all its names, once.
func TestLogOutputs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.log")
	var stderr bytes.Buffer
	for range 2 {
		w := newLogWriter(&stderr, maxLogBacklog)
		outputs, err := openLog([]string{"default", path, "stderr", "systemd/journal"}, w)
		if err != nil || len(outputs) != 2 || !slices.Contains(outputs, w) {
			t.Fatalf("%d outputs, %v", len(outputs), err)
		}
		was := slog.Default()
		newLog(&config{logFormat: "json", machine: server.Defaults()}, outputs).Info("line")
		slog.SetDefault(was)
		outputs.lastWords("the end")
		outputs.flush(time.Minute)
		for _, w := range outputs {
			if file, ok := w.out.(*os.File); ok {
				if err := file.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, lines := range []string{string(got), stderr.String()} {
		if strings.Count(lines, `"msg":"line"`) != 2 || strings.Count(lines, `"msg":"etcd: the end"`) != 2 || strings.Count(lines, "\n") != 4 {
			t.Errorf("an output has\n%s", lines)
		}
	}
	if info, err := os.Stat(path); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

// TestNoLogOutput checks that standard error is the log if nothing is said, and the errors of files.
func TestNoLogOutput(t *testing.T) {
	stderr := newLogWriter(new(bytes.Buffer), maxLogBacklog)
	if outputs, err := openLog(nil, stderr); err != nil || !slices.Equal(outputs, logOutputs{stderr}) {
		t.Errorf("%d outputs, %v", len(outputs), err)
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "no", "such")} {
		if _, err := openLog([]string{path}, stderr); err == nil || !strings.Contains(err.Error(), "-log-outputs "+path) || !strings.Contains(err.Error(), "files that can be written") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if outputs, err := openLog([]string{os.DevNull, "stdout"}, stderr); err != nil || len(outputs) != 2 || slices.Contains(outputs, stderr) {
		t.Errorf("%d outputs, %v", len(outputs), err)
	}
}

// TestStuckOutput checks that a destination which nobody reads costs the other one nothing.
func TestStuckOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := &reader{room: 1 << 20, blocked: make(chan struct{})}
		read := &reader{room: 1 << 20}
		outputs := logOutputs{newLogWriter(stuck, 20), newLogWriter(read, 1<<20)}
		for range 10 {
			if n, err := outputs.Write([]byte("line\n")); n != 5 || err != nil {
				t.Errorf("a write returns %d, %v", n, err)
			}
			synctest.Wait()
		}
		began := time.Now()
		outputs.flush(time.Second)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("flush waits %s", waited)
		}
		if got := read.String(); got != strings.Repeat("line\n", 10) {
			t.Errorf("the other one gets\n%s", got)
		}
		if n := outputs.lostLines(); n != 5 {
			t.Errorf("%d lines are lost, want 5: one is being written, and four wait", n)
		}
		close(stuck.blocked)
		synctest.Wait()
	})
}

// TestPipeIsNoLog checks that the start does not wait for the reader of a pipe.
func TestPipeIsNoLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if !makePipe(path) {
		t.Skip("this system has no named pipes")
	}
	if _, err := openLog([]string{path}, newLogWriter(new(bytes.Buffer), 1)); err == nil || !strings.Contains(err.Error(), "this is a pipe") {
		t.Errorf("%v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode()&fs.ModeNamedPipe == 0 {
		t.Errorf("%v, %v", info, err)
	}
}
