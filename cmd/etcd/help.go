package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

func (c *config) printHelp(out io.Writer) {
	fmt.Fprint(out, `etcd is a highly available key-value store for shared configuration and service
discovery. Without flags it starts a machine of its own on 127.0.0.1:4001:

  etcd
  curl http://127.0.0.1:4001/v1/keys/message -d value="Hello world"

It takes the flags of 2013 and those of etcd 2 and 3; names in one line are one
flag. Flags may have one or two dashes. Each may be given in the environment
instead, as ETCD_ and one of its names in capitals, such as ETCD_DATA_DIR or
ETCD_D; -C and -CF are ETCD_JOIN and ETCD_JOIN_FILE. --config-file names a file
that has all of them. docs/flags.md says what happens if they meet.
`)
	for group := range groupMoot {
		fmt.Fprintf(out, "\n%s:\n", groupTitles[group])
		for _, s := range c.settings {
			if s.group == group {
				s.printHelp(out)
			}
		}
	}
	fmt.Fprint(out, "  --help, or -h alone\n        print this text\n")
	fmt.Fprint(out, "\nFlags of etcd 2 and 3 that are accepted, and from which nothing follows:\n")
	for i, s := range c.settings {
		if s.group != groupMoot {
			continue
		}
		fmt.Fprintf(out, "  %s\n", s.title())
		if i+1 == len(c.settings) || c.settings[i+1].because != s.because {
			fmt.Fprintf(out, "        %s\n", s.because)
		}
	}
	fmt.Fprint(out, "\nOthers are refused, with what to do instead; see docs/flags.md.\n")
}

func (s *setting) printHelp(out io.Writer) {
	value, usage := flag.UnquoteUsage(&flag.Flag{Usage: s.usage, Value: s.value})
	line := strings.Join(s.names(), ", ")
	if value != "" && !isBool(s.value) {
		line += " " + value
	}
	if variables := s.variables(); len(variables) > 0 {
		line += " (" + variables[0] + ")"
	}
	fmt.Fprintf(out, "  %s\n        %s", line, usage)
	if d := s.value.String(); d != "" && d != "false" && d != "0" {
		fmt.Fprintf(out, " (default %s)", d)
	}
	fmt.Fprintln(out)
}
