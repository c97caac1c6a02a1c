//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

// killWithParent does nothing here: a server outlives this process if it is killed.
func killWithParent() *syscall.SysProcAttr { return nil }

// processCPU is not known here.
func processCPU(int) (time.Duration, error) {
	return 0, errors.New("CPU time of servers is measured on Linux only")
}
