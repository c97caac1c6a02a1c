//go:build !linux

package e2e

import (
	"errors"
	"syscall"
	"testing"
)

// endsWithTest is not possible here: a process stays if the test binary is killed.
func endsWithTest() *syscall.SysProcAttr { return nil }

// Without a tmpfs, cases that need one are left out.
func canMount() bool                  { return false }
func mountTmpfs(string, string) error { return errors.ErrUnsupported }
func unmount(string) error            { return errors.ErrUnsupported }
func detach(string)                   {}

// inMemory returns an empty data directory, which here is on a disk.
func inMemory(t testing.TB) string { return t.TempDir() }
