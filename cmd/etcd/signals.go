package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// repeatWindow is how long after a signal to stop further ones count as the same: timeout(1)
// signals the process, and then its process group.
const repeatWindow = time.Second

// stopSignal is the cause with which the context of stopSignals ends.
type stopSignal struct{ os.Signal }

func (s stopSignal) Error() string { return "signal: " + s.String() }

// stopSignals returns a context that ends with the first signal to stop. A later one ends the
// process at once.
func stopSignals(log *slog.Logger, exit func(code int)) context.Context {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup wants it ignored
		signal.Notify(signals, syscall.SIGHUP)
	}
	stopping, stop := context.WithCancelCause(context.Background())
	go handleSignals(signals, hasTerminal(), stop, log, exit)
	return stopping
}

// handleSignals handles signals until the channel is closed.
func handleSignals(signals <-chan os.Signal, terminal bool, stop context.CancelCauseFunc, log *slog.Logger, exit func(code int)) {
	var stoppedAt time.Time
	for sig := range signals {
		switch {
		case sig == syscall.SIGHUP && !terminal:
			log.Info("SIGHUP changes nothing: a log file is appended to (rotate it with copytruncate), and certificates are reloaded automatically; SIGTERM stops this machine")
		case stoppedAt.IsZero():
			stoppedAt = time.Now()
			log.Info("stopping: draining the requests in flight", "signal", sig.String())
			stop(stopSignal{sig})
		case sig == syscall.SIGHUP, time.Since(stoppedAt) < repeatWindow:
		default:
			log.Warn("stopped at once by a second signal", "signal", sig.String())
			exit(1)
		}
	}
}
