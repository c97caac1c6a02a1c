package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"etcd/server"
)

// reader is the destination of a log. It takes room bytes, and is stuck while blocked is open.
type reader struct {
	bytes.Buffer
	room    int
	blocked chan struct{}
}

func (r *reader) Write(b []byte) (int, error) {
	if r.blocked != nil {
		<-r.blocked
	}
	n := min(len(b), r.room)
	r.room -= n
	r.Buffer.Write(b[:n])
	if n < len(b) {
		return n, errors.New("no room")
	}
	return n, nil
}

// TestLogReaderStuck checks that a log that nobody reads blocks no caller, that its backlog is
// bounded, and that the reader is told how many lines are missing.
func TestLogReaderStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &reader{room: 1 << 20, blocked: make(chan struct{})}
		w := newLogWriter(out, 30)
		fmt.Fprintln(w, "line 0")
		synctest.Wait() // it is being written
		for i := 1; i < 10; i++ {
			fmt.Fprintln(w, "line", i)
		}
		began := time.Now()
		w.flush(time.Second)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("flush waited %s", waited)
		}
		if n := w.lostLines(); n != 5 {
			t.Errorf("%d lines are lost, want 5: seven bytes each, 30 of them wait", n)
		}
		close(out.blocked)
		w.flush(time.Second)
		got := out.String()
		if !strings.HasPrefix(got, "line 0\nline 1\nline 2\nline 3\nline 4\n") || !strings.HasSuffix(got, "lines=5\n") || strings.Count(got, "\n") != 6 {
			t.Errorf("the reader gets\n%s", got)
		}
		fmt.Fprintln(w, "line 10")
		w.flush(time.Second)
		if got = strings.TrimPrefix(out.String(), got); got != "line 10\n" {
			t.Errorf("then the reader gets\n%s", got)
		}
	})
}

// TestLogFails checks that lost lines are counted, each once, and that the next line does not
// continue a torn one.
func TestLogFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &reader{room: 11}
		w := newLogWriter(out, 1<<20)
		write := func(line string) {
			fmt.Fprintln(w, line)
			w.flush(time.Second)
		}
		write("line 1")
		write("line 2")
		write("line 3")
		if n := w.lostLines(); n != 2 {
			t.Errorf("%d lines are lost, want 2", n)
		}
		out.room = 1 << 20
		write("line 4")
		want := "line 1\nline\nline 4\n" + string(lostLine(2, false))
		if got := out.String(); got != want {
			t.Errorf("the reader gets\n%swant\n%s", got, want)
		}
		if n := w.lostLines(); n != 2 {
			t.Errorf("%d lines are lost in all, want 2", n)
		}
	})
}

// TestLogShowsEverything checks that text from a stranger is escaped in the log, so that a
// terminal does not obey it and it cannot pass for a line of its own, whichever way it gets
// there.
func TestLogShowsEverything(t *testing.T) {
	const evil = "a\x1b[2J\r\ntime=0 level=ERROR msg=forged\u202e\u009b2J\u2028\U000e0001\x00\xff\x7f"
	for format, lastWords := range map[string]string{
		"text": `etcd: a\x1b[2J\r; time=0 level=ERROR msg=forged\u202e\u009b2J\u2028\U000e0001\x00\xff\x7f; b` + "\n",
		"json": `"etcd: a\u001b[2J\r; time=0 level=ERROR msg=forged\u202e\u009b2J\u2028\udb40\udc01\u0000\ufffd\u007f; b"}` + "\n",
	} {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			w := newLogWriter(&out, 1<<20)
			log := newLog(&config{logFormat: format, machine: server.Defaults()}, logOutputs{w})
			was := slog.Default()
			defer slog.SetDefault(was)
			log.Info(evil, evil, evil, "bytes", []byte(evil), "error", errors.New(evil), slog.Group(evil, evil, evil), "any", struct{ A string }{evil})
			log.With(evil, evil).WithGroup(evil).Info("m", "a", evil)
			stdlog.Print(evil)
			const lines = 3
			w.flush(time.Second)
			w.lastWords(oneLine(errors.Join(errors.New(evil), errors.New("b"))))
			w.flush(time.Second)
			got := out.String()
			if n := strings.Count(got, "\n"); n != lines+1 || !strings.HasSuffix(got, "\n") {
				t.Errorf("%d lines, want %d:\n%q", n, lines+1, got)
			}
			if at := strings.IndexFunc(strings.ReplaceAll(got, "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }); at >= 0 {
				t.Errorf("raw at %d:\n%q", at, got)
			}
			if !strings.HasSuffix(got, lastWords) {
				t.Errorf("the last words are\n%swant\n%s", got[strings.LastIndex(strings.TrimSuffix(got, "\n"), "\n")+1:], lastWords)
			}
			for line := range strings.Lines(got) {
				if format == "json" && !json.Valid([]byte(line)) {
					t.Errorf("no JSON: %s", line)
				}
			}
		})
	}
}
