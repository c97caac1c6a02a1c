package main

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"

	"etcd/server"
)

func main() {
	ignoreWriteSignals()
	stderr := newLogWriter(os.Stderr, maxLogBacklog)
	code := execute(os.Args[1:], stderr)
	logOutputs{stderr}.exit(code)
}

// execute carries out the command line and returns the exit code.
func execute(args []string, stderr *logWriter) int {
	c, err := parseConfig(args, os.Environ(), os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(errUsage)):
		stderr.lastWords(oneLine(err) + " (see etcd -help)")
		return 2
	case err != nil:
		stderr.lastWords(oneLine(err))
		return 1
	case c.version:
		printVersion(os.Stdout)
		return 0
	}
	outputs, err := openLog(c.logOutputs, stderr)
	if err == nil {
		defer outputs.flush(flushTimeout)
		err = run(c, outputs)
	}
	if err != nil {
		if !slices.Contains(outputs, stderr) { // where somebody looks if there is no log
			outputs = append(outputs, stderr)
		}
		outputs.lastWords(oneLine(c.inWordsGiven(err)))
		return 1
	}
	return 0
}

// oneLine renders joined errors in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// run runs a machine until a signal stops it.
func run(c *config, outputs logOutputs) error {
	log := newLog(c, outputs)
	stopping := stopSignals(log, outputs.exit)
	c.report(log)
	machine := c.machine
	machine.Log, machine.LostLogLines, machine.Exit = log, outputs.lostLines, outputs.exit
	machine.Ready = func() { notifyReady(os.Getenv("NOTIFY_SOCKET"), log) }
	return server.Run(stopping, machine)
}
