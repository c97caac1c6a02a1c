package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"etcd/server"
)

// config is what was given: by the command line and the environment, or by a file.
type config struct {
	machine server.Config // set by settings directly, and completed by check

	// What check has to parse for the machine's configuration.
	clientAddr, peerAddr           string
	clientListen, clientListenHTTP []string
	clusterState                   string
	join, joinFile                 string
	snapshot                       bool
	skipEntry                      []string
	reads                          string

	verbose, veryVerbose bool
	logLevel, logFormat  string
	logOutputs           []string
	file                 string
	version              bool

	settings []*setting
	given    []given
	ignored  []string // given beside a file
	unknown  []string // environment variables with our prefix that set nothing
}

// given is a setting as it was given: on the command line, by a variable, or in a file.
type given struct {
	*setting
	by    string // the name, with its dashes if it is a flag
	value string // as the setting shows it, so that 100 and 100ms can be the same
}

// errUsage is a command line, an environment or a file that cannot be run.
type errUsage struct{ error }

// parseConfig reads the command line and the environment, as NAME=value each, and the file that
// they name, if they do. It prints help to out if that is asked for, and returns flag.ErrHelp.
func parseConfig(args, environ []string, out io.Writer) (*config, error) {
	c := newConfig()
	if err := c.readCommandLine(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			newConfig().printHelp(out)
			return nil, err
		}
		return nil, errUsage{err}
	}
	if c.version {
		return c, nil
	}
	if err := c.readEnvironment(environ); err != nil {
		return nil, errUsage{err}
	}
	if c.file != "" {
		of := newConfig()
		for _, g := range c.given {
			if g.key() != "config-file" {
				of.ignored = append(of.ignored, g.by)
			}
		}
		of.ignored = append(of.ignored, c.ignored...)
		of.unknown = c.unknown
		if err := of.readFile(c.file); err != nil {
			return nil, err
		}
		c = of
	}
	if err := c.check(); err != nil {
		return nil, c.inWordsGiven(err)
	}
	return c, nil
}

// set sets a setting. by is how it was given.
func (c *config) set(s *setting, by, value string) error {
	if s.instead != "" {
		return fmt.Errorf("%s: %s", by, s.instead)
	}
	if err := s.value.Set(value); err != nil {
		return fmt.Errorf("%s %q: %w", by, value, err)
	}
	g := given{s, by, s.value.String()}
	if at := slices.IndexFunc(c.given, func(other given) bool { return other.setting == s && other.by == by }); at >= 0 {
		c.given = slices.Delete(c.given, at, at+1) // the last one counts
	}
	c.given = append(c.given, g)
	return nil
}

// isGiven reports whether something was given for a setting.
func (c *config) isGiven(key string) bool { return c.givenBy(key) != "" }

// givenBy returns the name by which a setting was given.
func (c *config) givenBy(key string) string {
	for _, g := range c.given {
		if g.key() == key {
			return g.by
		}
	}
	return ""
}

// checkTwice refuses a setting that was given different values by two of its names.
func (c *config) checkTwice() error {
	for i, g := range c.given {
		for _, other := range c.given[:i] {
			if g.setting == other.setting && g.value != other.value {
				return fmt.Errorf("%s and %s are the same setting, and differ: leave one of them out", other.by, g.by)
			}
		}
	}
	return nil
}

// argument is a flag of package flag: one of the names of a setting.
type argument struct {
	*setting
	config *config
	by     string
	wrong  *error // what is wrong, without the words that package flag adds
}

func (a argument) String() string { return "" }

func (a argument) IsBoolFlag() bool { return isBool(a.value) }

func (a argument) Set(value string) error {
	*a.wrong = a.config.set(a.setting, a.by, value)
	return *a.wrong
}

func (c *config) readCommandLine(args []string) error {
	fs := flag.NewFlagSet("etcd", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned and printed once
	fs.Usage = func() {}
	var wrong error
	for _, s := range c.settings {
		for _, name := range s.spellings() {
			fs.Var(argument{s, c, "--" + name, &wrong}, name, "")
		}
		for _, name := range s.ours {
			fs.Var(argument{s, c, "-" + name, &wrong}, name, "")
		}
	}
	if err := fs.Parse(args); err != nil {
		if wrong != nil {
			return wrong
		}
		return c.withHint(err)
	}
	if fs.NArg() > 0 && !c.version {
		return c.unexpected(fs.Arg(0), args[:len(args)-fs.NArg()])
	}
	return c.checkTwice()
}

// withHint says in other words what package flag has found wrong: -h without a host asks for
// help, and a flag that is not known is often almost one that is.
func (c *config) withHint(err error) error {
	if _, name, found := strings.Cut(err.Error(), "flag needs an argument: -"); found {
		if name == "h" {
			return flag.ErrHelp
		}
		return fmt.Errorf("-%s needs a value", name)
	}
	if _, name, found := strings.Cut(err.Error(), "flag provided but not defined: -"); found {
		if near := c.nearest(name); near != "" {
			return fmt.Errorf("there is no flag -%s; is it %s?", name, near)
		}
		return fmt.Errorf("there is no flag -%s", name)
	}
	return err
}

// unexpected explains an argument that is no flag.
func (c *config) unexpected(arg string, before []string) error {
	switch arg {
	case "gateway", "grpc-proxy":
		return fmt.Errorf("etcd %s: this program has no proxy: name the machines of the cluster to clients, or put a load balancer before them", arg)
	case "true", "false":
		if len(before) > 0 {
			return fmt.Errorf("unexpected argument %q: write %s=%s", arg, before[len(before)-1], arg)
		}
	}
	return fmt.Errorf("unexpected argument %q", arg)
}

// report logs what was given in vain.
func (c *config) report(log *slog.Logger) {
	if len(c.ignored) > 0 {
		log.Warn("all settings are taken from the file (--config-file): these flags and variables are ignored", "ignored", strings.Join(c.ignored, " "))
	}
	for _, name := range c.unknown {
		log.Warn("this environment variable sets nothing here and is ignored; etcd -help lists those that do", "variable", name)
	}
	for _, g := range c.given {
		if g.because != "" {
			log.Info("this setting is accepted, and nothing follows from it", "setting", g.by, "because", g.because)
		}
	}
}
