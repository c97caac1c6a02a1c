package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// logOutputs are the destinations of the log, each with a backlog of its own: one that is stuck
// costs the others nothing.
type logOutputs []*logWriter

// openLog opens what --log-outputs names; stderr is what it is without a name.
func openLog(outputs []string, stderr *logWriter) (logOutputs, error) {
	var all logOutputs
	add := func(w *logWriter) {
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	stdout := newLogWriter(os.Stdout, maxLogBacklog)
	for _, output := range outputs {
		switch output {
		case "default", "stderr", "systemd/journal": // systemd takes it to the journal
			add(stderr)
		case "stdout":
			add(stdout)
		default:
			file, err := openLogFile(output)
			if err != nil {
				return nil, err
			}
			add(newLogWriter(file, maxLogBacklog))
		}
	}
	if len(all) == 0 {
		add(stderr)
	}
	return all, nil
}

// openLogFile opens a file to append to. It is the operator's alone: lines have names of keys and
// addresses of clients.
func openLogFile(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		return nil, fmt.Errorf("-log-outputs %s: this is a pipe, which would have to be opened by its reader first; log to stderr or stdout and pipe that", path)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("-log-outputs %s: %w; want stderr, stdout or files that can be written, comma separated", path, err)
	}
	return file, nil
}

// Write takes one whole line. It never fails and never blocks.
func (o logOutputs) Write(p []byte) (int, error) {
	for _, w := range o {
		_, _ = w.Write(p) // never fails
	}
	return len(p), nil
}

// flush waits until all backlogs are written, at most for d.
func (o logOutputs) flush(d time.Duration) {
	end := time.Now().Add(d)
	for _, w := range o {
		w.flush(time.Until(end))
	}
}

// lostLines returns how many lines could not be written since the start.
func (o logOutputs) lostLines() uint64 {
	var n uint64
	for _, w := range o {
		n += w.lostLines()
	}
	return n
}

// lastWords says why the process ends.
func (o logOutputs) lastWords(why string) {
	for _, w := range o {
		w.lastWords(why)
	}
}

// exit ends the process once its last lines are written, or after flushTimeout.
func (o logOutputs) exit(code int) {
	o.flush(flushTimeout)
	os.Exit(code)
}
