//go:build !linux

package main

import "syscall"

// endsWithUs does nothing here: a server outlives this process if it is killed.
func endsWithUs() *syscall.SysProcAttr { return nil }
