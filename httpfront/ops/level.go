package ops

import (
	"fmt"
	"log/slog"
)

// levels are those that users know.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// ParseLevel reads a log level.
func ParseLevel(name string) (slog.Level, error) {
	level, ok := levels[name]
	if !ok {
		return 0, fmt.Errorf("%.20q is no log level: want debug, info, warn or error", name)
	}
	return level, nil
}
