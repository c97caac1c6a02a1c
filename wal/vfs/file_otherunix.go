//go:build unix && !linux && !darwin

package vfs

import "math"

// Allocate reserves nothing: a later write to the log may find no space.
func (f osFile) Allocate(size int64) error { return f.extend(size) }

// Space is unknown here.
func (d *dir) Space() (free, total int64, err error) { return math.MaxInt64, math.MaxInt64, nil }
