package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"etcd/server"
)

func main() {
	ignoreWriteSignals()
	stderr := newLogWriter(os.Stderr, maxLogBacklog)
	stderr.exit(execute(os.Args[1:], stderr))
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
	case err == nil && c.version:
		fmt.Println("etcd " + server.Version)
		return 0
	}
	if err == nil {
		err = run(c, stderr)
	}
	if err != nil {
		stderr.lastWords(oneLine(err))
		return 1
	}
	return 0
}

// oneLine renders joined errors in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// run runs a machine until a signal stops it.
func run(c *config, stderr *logWriter) error {
	log := newLog(c, stderr)
	stopping := stopSignals(log, stderr.exit)
	c.warnUnknown(log)
	machine := c.machine
	machine.Log, machine.LostLogLines, machine.Exit = log, stderr.lostLines, stderr.exit
	return server.Run(stopping, machine)
}
