//go:build !linux

package listen

import "time"

// LimitSilence does nothing: this system has limits of its own.
func (c *Conn) LimitSilence(time.Duration) error { return nil }
