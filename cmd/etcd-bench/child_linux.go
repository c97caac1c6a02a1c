package main

import "syscall"

// killWithParent makes a server end with this process, however that ends.
func killWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
