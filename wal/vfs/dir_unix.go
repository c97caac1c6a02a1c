//go:build unix && !linux

package vfs

import "math"

func (f osFile) Allocate(size int64) error { return f.extend(size) }

func (d *dir) Space() (free, total int64, err error) { return math.MaxInt64, math.MaxInt64, nil }
