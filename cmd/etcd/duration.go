package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"time"
)

// duration is a flag.Value for durations.
type duration time.Duration

func durationVar(fs *flag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	fs.Var((*duration)(to), name, usage)
}

func (d *duration) String() string { return time.Duration(*d).String() }

// Set accepts what time.ParseDuration does. The usual mistake is a number without a unit.
func (d *duration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		if _, notNumber := strconv.ParseFloat(s, 64); notNumber == nil {
			return fmt.Errorf("a time has a unit: write %sms or %[1]ss", s)
		}
		return errors.New("want a time such as 100ms, 5s, or 1m30s")
	}
	*d = duration(v)
	return nil
}
