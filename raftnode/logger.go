package raftnode

import (
	"fmt"
	"log/slog"
	"strings"
)

// logger passes Raft's own log lines on. What Raft reports at level Info is
// routine to an operator and goes to Debug. A Panic or Fatal of Raft means that
// an invariant is broken: it panics, and the driver of the node ends the process.
type logger struct{ log *slog.Logger }

func (l logger) Debug(v ...any)            { l.log.Debug(fmt.Sprint(v...)) }
func (l logger) Debugf(f string, v ...any) { l.log.Debug(sprintf(f, v)) }
func (l logger) Info(v ...any)             { l.log.Debug(fmt.Sprint(v...)) }
func (l logger) Infof(f string, v ...any)  { l.log.Debug(sprintf(f, v)) }
func (l logger) Warning(v ...any)          { l.log.Warn(fmt.Sprint(v...)) }
func (l logger) Warningf(f string, v ...any) {
	l.log.Warn(sprintf(f, v))
}
func (l logger) Error(v ...any)            { l.log.Error(fmt.Sprint(v...)) }
func (l logger) Errorf(f string, v ...any) { l.log.Error(sprintf(f, v)) }
func (l logger) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (l logger) Fatalf(f string, v ...any) { panic(sprintf(f, v)) }
func (l logger) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (l logger) Panicf(f string, v ...any) { panic(sprintf(f, v)) }

// sprintf writes the IDs of members, for which Raft has %x, with all their digits: as they
// are everywhere else.
func sprintf(f string, v []any) string {
	return fmt.Sprintf(strings.ReplaceAll(f, "%x", "%016x"), v...)
}
