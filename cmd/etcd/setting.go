package main

import (
	"flag"
	"slices"
	"strings"
)

// setting is one thing that can be set, by whichever of its names.
type setting struct {
	today []string // flags of etcd 2 and 3
	ours  []string // flags of 2013, and those that only this program has

	group group
	usage string // with what the value is in backquotes
	value flag.Value

	// standsFor is the key of the setting of 2013 in whose place this one is.
	standsFor string
	// because says why nothing follows from this setting.
	because string
	// instead says why this setting is refused, and what to do.
	instead string
}

// group is a heading of the help text.
type group int

const (
	groupMachine group = iota
	groupAddresses
	groupBootstrap
	groupCluster
	groupTLS
	groupData
	groupRequests
	groupWatching
	groupLogs
	groupMoot
	groupRefused
)

// key is the name by which package server and this one know a setting.
func (s *setting) key() string {
	if len(s.ours) > 0 {
		return s.ours[0]
	}
	return s.today[0]
}

// title is the name by which the help lists a setting.
func (s *setting) title() string { return s.names()[0] }

// names returns all names with their dashes. Flags may have one or two; this is how they are
// written in their documentation.
func (s *setting) names() []string {
	var names []string
	for _, name := range s.today {
		names = append(names, "--"+name)
	}
	for _, name := range s.ours {
		names = append(names, "-"+name)
	}
	return names
}

// experimental is the prefix with which etcd 3 had some flags first. With it they mean the same.
const experimental = "experimental-"

// spellings returns the names of today with and without the prefix.
func (s *setting) spellings() []string {
	var all []string
	for _, name := range s.today {
		all = append(all, name)
		if !strings.HasPrefix(name, experimental) {
			all = append(all, experimental+name)
		}
	}
	return all
}

// variables returns the environment variables of a setting, the first of which is in the help.
// Variables are in upper case, which would not tell -c from -C, so those for joining have names of
// their own. -version has none: images declare ETCD_VERSION.
func (s *setting) variables() []string {
	switch s.key() {
	case "C":
		return []string{"ETCD_JOIN"}
	case "CF":
		return []string{"ETCD_JOIN_FILE"}
	case "version":
		return nil
	}
	var names []string
	for _, name := range slices.Concat(s.spellings(), s.ours) {
		names = append(names, variable(name))
	}
	return names
}

// isOurs reports whether it was by a name of 2013, or one that only this program has, that a setting was
// given: as a flag, a variable, or in a file.
func (s *setting) isOurs(by string) bool {
	return len(s.today) == 0 || slices.ContainsFunc(s.ours, func(name string) bool {
		return by == "-"+name || by == name || by == variable(name)
	})
}

func variable(name string) string {
	return "ETCD_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func isBool(v flag.Value) bool {
	b, ok := v.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}
