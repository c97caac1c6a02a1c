package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// maxLogBacklog bounds the backlog of log lines, in bytes.
	maxLogBacklog = 1 << 20
	// flushTimeout bounds how long the exit of the process waits for its last log lines.
	flushTimeout = 500 * time.Millisecond
)

// logWriter writes lines so that no caller ever blocks or fails because of their destination:
// a pipe that nobody reads, a full disk, a stopped terminal. A line that cannot be written is
// dropped and counted, and when lines can be written again, one of them tells how many were
// lost. Its methods may be called from any goroutine.
type logWriter struct {
	out   io.Writer
	limit int  // of pending, in bytes
	json  bool // lines are JSON; set before the first one

	mu         sync.Mutex
	backlog    []byte        // whole lines
	unreported uint64        // lost lines that no line has reported yet
	lost       uint64        // lost lines since the start
	partial    bool          // the last line was written in part
	idle       chan struct{} // nil while nothing is written; closed when the backlog is drained
}

func newLogWriter(out io.Writer, limit int) *logWriter { return &logWriter{out: out, limit: limit} }

// Write takes one whole line. It never fails and never blocks.
func (w *logWriter) Write(p []byte) (int, error) {
	line := escaped(p, w.json)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.backlog)+len(line) > w.limit {
		w.countLost(line)
		return len(p), nil
	}
	w.backlog = append(w.backlog, line...)
	if w.idle == nil {
		w.idle = make(chan struct{})
		go w.drain(w.idle)
	}
	return len(p), nil
}

// escaped escapes control characters and line breaks within a line. Its text may be from a
// stranger, and slog quotes most of it, but not all: the last words of a process do not go
// through slog. In JSON the escapes are those of JSON.
func escaped(line []byte, json bool) []byte {
	text, ended := bytes.CutSuffix(line, []byte{'\n'})
	out := make([]byte, 0, len(line))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			out = append(out, text[:size]...)
		} else if json {
			for _, unit := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		} else {
			quoted := strconv.AppendQuote(nil, string(text[:size]))
			out = append(out, quoted[1:len(quoted)-1]...)
		}
		text = text[size:]
	}
	if ended {
		out = append(out, '\n')
	}
	return out
}

// countLost counts dropped lines. w.mu is held.
func (w *logWriter) countLost(lines []byte) {
	n := uint64(bytes.Count(lines, []byte{'\n'}))
	w.lost += n
	w.unreported += n
}

// drain writes pending lines until there are none.
func (w *logWriter) drain(idle chan<- struct{}) {
	defer close(idle)
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.backlog) > 0 {
		lines, unreported, partial := w.backlog, w.unreported, w.partial
		w.backlog = nil
		w.mu.Unlock()
		n, err := w.write(lines, unreported, partial)
		w.mu.Lock()
		if err == nil {
			w.unreported -= unreported
		}
		if n > 0 {
			w.partial = lines[n-1] != '\n'
		}
		w.countLost(lines[n:])
	}
	w.idle = nil
}

// write writes lines, after ending a torn one, and before the line that reports lost ones. It
// returns how many bytes of lines were written.
func (w *logWriter) write(lines []byte, unreported uint64, partial bool) (int, error) {
	if partial {
		if _, err := w.out.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
	}
	n, err := w.out.Write(lines)
	if err == nil && unreported > 0 {
		_, err = w.out.Write(lostLine(unreported, w.json))
	}
	return n, err
}

// lostLine returns the line that reports lost ones.
func lostLine(n uint64, json bool) []byte {
	var line bytes.Buffer
	slog.New(newHandler(&line, json, nil)).Warn("log lines are missing before this one: they could not be written", "lines", n)
	return line.Bytes()
}

// flush waits until the backlog is written, at most for d.
func (w *logWriter) flush(d time.Duration) {
	w.mu.Lock()
	idle := w.idle
	w.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(d):
	}
}

// lostLines returns how many lines could not be written since the start.
func (w *logWriter) lostLines() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// newLog returns the log of this process. What libraries log on their own goes there as well.
func newLog(c *config, to logOutputs) *slog.Logger {
	json := c.logFormat == "json"
	for _, w := range to {
		w.json = json
	}
	log := slog.New(newHandler(to, json, &slog.HandlerOptions{Level: c.machine.LogLevel, AddSource: c.veryVerbose}))
	slog.SetDefault(log)
	return log
}

func newHandler(to io.Writer, json bool, opts *slog.HandlerOptions) slog.Handler {
	if json {
		return slog.NewJSONHandler(to, opts)
	}
	return slog.NewTextHandler(to, opts)
}

// lastWords says why the process ends.
func (w *logWriter) lastWords(why string) {
	if w.json {
		slog.New(newHandler(w, true, nil)).Error("etcd: " + why)
		return
	}
	fmt.Fprintf(w, "etcd: %s\n", why)
}
