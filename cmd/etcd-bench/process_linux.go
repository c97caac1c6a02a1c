package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killWithParent makes a server end with this process, however that ends.
func killWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// processCPU returns the CPU time that a process has used so far, threads that have ended
// included. The files in /proc say the same in ticks of 10 ms, too coarse for a single event.
func processCPU(pid int) (time.Duration, error) {
	const schedulerClock = 2 // of all the clocks of a process, the one in nanoseconds
	var used unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|schedulerClock), &used)
	return time.Duration(used.Nano()), err
}
