package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What settings can be set to. An error says what is wanted; which flag, variable or line of a file
// it was, is added by config.set.

type text struct{ to *string }

func (v text) String() string         { return *v.to }
func (v text) Set(given string) error { *v.to = given; return nil }

// boolean may be a flag without a value.
type boolean struct{ to *bool }

func (v boolean) String() string   { return strconv.FormatBool(*v.to) }
func (v boolean) IsBoolFlag() bool { return true }

func (v boolean) Set(given string) error {
	b, err := strconv.ParseBool(given)
	if err != nil {
		return errors.New("want true or false")
	}
	*v.to = b
	return nil
}

type signed[T int | int64] struct{ to *T }

func (v signed[T]) String() string { return strconv.FormatInt(int64(*v.to), 10) }

func (v signed[T]) Set(given string) error {
	n, err := strconv.ParseInt(given, 0, 64)
	if err != nil || int64(T(n)) != n {
		return errors.New("want a whole number")
	}
	*v.to = T(n)
	return nil
}

// within is a number between two others, both included.
type within struct {
	to        *int
	low, high int
}

func (v within) String() string { return strconv.Itoa(*v.to) }

func (v within) Set(given string) error {
	n, err := strconv.Atoi(given)
	if err != nil || n < v.low || n > v.high {
		return fmt.Errorf("want a number from %d to %d", v.low, v.high)
	}
	*v.to = n
	return nil
}

type unsigned[T uint | uint32 | uint64] struct{ to *T }

func (v unsigned[T]) String() string { return strconv.FormatUint(uint64(*v.to), 10) }

func (v unsigned[T]) Set(given string) error {
	n, err := strconv.ParseUint(given, 0, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return errors.New("want a whole number from 0 on")
	case err != nil || uint64(T(n)) != n:
		return fmt.Errorf("want a whole number up to %d", ^T(0))
	}
	*v.to = T(n)
	return nil
}

type duration struct{ to *time.Duration }

func (v duration) String() string { return v.to.String() }

// Set accepts what time.ParseDuration does. The usual mistake is a number without a unit.
func (v duration) Set(given string) error {
	d, err := time.ParseDuration(given)
	if err != nil {
		if _, notNumber := strconv.ParseFloat(given, 64); notNumber == nil {
			return fmt.Errorf("a time has a unit: write %sms or %[1]ss", given)
		}
		return errors.New("want a time such as 100ms, 5s, or 1m30s")
	}
	*v.to = d
	return nil
}

// milliseconds is a time whose bare number is one of milliseconds, as etcd 2 and 3 write it.
type milliseconds struct{ to *time.Duration }

func (v milliseconds) String() string { return v.to.String() }

func (v milliseconds) Set(given string) error {
	n, err := strconv.ParseUint(given, 10, 32)
	if err != nil {
		return duration(v).Set(given)
	}
	*v.to = time.Duration(n) * time.Millisecond
	return nil
}

// list is comma separated. An empty one is as if it was not given.
type list struct{ to *[]string }

func (v list) String() string { return strings.Join(*v.to, ",") }

func (v list) Set(given string) error {
	*v.to = splitList(given)
	if given != "" && len(*v.to) == 0 {
		return errors.New("this names nothing: name something, or leave it out")
	}
	return nil
}

func splitList(given string) []string {
	var parts []string
	for part := range strings.SplitSeq(given, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// choice is one of some words.
type choice struct {
	to *string
	of []string
}

func (v choice) String() string { return *v.to }

func (v choice) Set(given string) error {
	if !slices.Contains(v.of, given) {
		last := len(v.of) - 1
		return fmt.Errorf("want %s or %s", strings.Join(v.of[:last], ", "), v.of[last])
	}
	*v.to = given
	return nil
}

// checked remembers what was given, for settings from which nothing follows. A mistake in one of
// them is a mistake all the same.
type checked struct {
	given string
	check func(given string) error
	bare  bool // may be a flag without a value
	time  bool // a bare number in a file is one of nanoseconds
}

func (v *checked) String() string   { return v.given }
func (v *checked) IsBoolFlag() bool { return v.bare }

func (v *checked) Set(given string) error {
	v.given = given
	return v.check(given)
}

// isDuration reports whether a setting is a time with a unit.
func isDuration(s *setting) bool {
	switch v := s.value.(type) {
	case duration:
		return true
	case *checked:
		return v.time
	}
	return false
}
