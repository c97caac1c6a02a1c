//go:build !linux

package main

import "syscall"

// killWithParent does nothing here: a server outlives this process if it is killed.
func killWithParent() *syscall.SysProcAttr { return nil }
