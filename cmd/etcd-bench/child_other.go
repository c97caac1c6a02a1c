//go:build !linux

package main

import "syscall"

// endsWithUs cannot be had here: a server stays if this process is killed.
func endsWithUs() *syscall.SysProcAttr { return nil }
