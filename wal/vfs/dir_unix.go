//go:build unix && !linux

package vfs

func (f osFile) Allocate(size int64) error { return f.extend(size) }
