package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// forTests are variables that test frameworks of etcd set for every server, and that say nothing
// to this one.
var forTests = []string{"ETCD_VERIFY", "ETCD_UNSUPPORTED_ARCH"}

// readEnvironment sets what variables that are set and not empty say. With a flag of 2013 for the
// same setting the flag counts. With one of today it is an error, as in etcd 3: whoever has both
// has often forgotten one. Unknown variables with our prefix are remembered and do no harm:
// container platforms set some for every service called etcd.
func (c *config) readEnvironment(environ []string) error {
	values := make(map[string]string)
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "ETCD_") && value != "" && !slices.Contains(forTests, name) {
			values[name] = value
		}
	}
	if c.file == "" {
		c.file = values[variable("config-file")]
		delete(values, variable("config-file"))
	}
	flags := make(map[*setting][]string)
	for _, g := range c.given {
		flags[g.setting] = append(flags[g.setting], g.by)
	}
	for _, s := range c.settings {
		for _, name := range s.variables() {
			value, ok := values[name]
			delete(values, name)
			if !ok {
				continue
			}
			if c.file != "" {
				c.ignored = append(c.ignored, name)
				continue
			}
			for _, flag := range flags[s] {
				if !s.isOurs(flag) {
					return fmt.Errorf("%s and %s set the same: unset the variable, or leave the flag out", flag, name)
				}
			}
			if len(flags[s]) > 0 {
				continue
			}
			if err := c.set(s, name, value); err != nil {
				return err
			}
		}
	}
	c.unknown = slices.Sorted(maps.Keys(values))
	return c.checkTwice()
}
