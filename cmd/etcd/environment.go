package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

// envNames returns the environment variables of a flag, the first of which is in the help.
// Variables are in upper case, which would not tell -c from -C, so those for joining have
// names of their own; the names that later versions of etcd use for the same thing work, too.
// Some flags have none: images declare ETCD_VERSION.
func envNames(flagName string) []string {
	switch flagName {
	case "C":
		return []string{"ETCD_JOIN"}
	case "CF":
		return []string{"ETCD_JOIN_FILE"}
	case "n":
		return []string{"ETCD_N", "ETCD_NAME"}
	case "d":
		return []string{"ETCD_D", "ETCD_DATA_DIR"}
	case "version":
		return nil
	}
	return []string{"ETCD_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))}
}

// etcdFlags maps flags of later versions of etcd to the flags of this program that do the
// same.
var etcdFlags = map[string]string{
	"name":                        "n",
	"data-dir":                    "d",
	"listen-client-urls":          "cl",
	"advertise-client-urls":       "c",
	"listen-peer-urls":            "sl",
	"initial-advertise-peer-urls": "s",
	"initial-cluster":             "C",
	"initial-cluster-state":       "C",
	"snapshot-count":              "snapshot-count",
	"heartbeat-interval":          "heartbeat",
	"election-timeout":            "election",
	"cert-file":                   "clientCert",
	"key-file":                    "clientKey",
	"trusted-ca-file":             "clientCAFile",
	"peer-cert-file":              "serverCert",
	"peer-key-file":               "serverKey",
	"peer-trusted-ca-file":        "serverCAFile",
	"client-crl-file":             "clientCRLFile",
	"peer-crl-file":               "serverCRLFile",
	"peer-cert-allowed-cn":        "serverAllowedCN",
	"peer-cert-allowed-hostname":  "serverAllowedHostname",
	"listen-metrics-urls":         "metrics",
	"enable-pprof":                "pprof",
	"addr":                        "c",
	"peer-addr":                   "s",
	"peers":                       "C",
	"peers-file":                  "CF",
}

var badValue = regexp.MustCompile(`for (?:flag )?-(\S+): parse error$`)

// withHint adds what the errors of package flag leave out: which flag was probably meant, or
// what kind of value it takes.
func withHint(fs *flag.FlagSet, err error) error {
	if _, name, found := strings.Cut(err.Error(), "flag provided but not defined: -"); found {
		if here := etcdFlags[name]; here != "" {
			return fmt.Errorf("there is no flag -%s; here it is -%s", name, here)
		}
		return fmt.Errorf("there is no flag -%s", name)
	}
	if m := badValue.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s: want %s", strings.TrimSuffix(err.Error(), ": parse error"), valueKind(fs.Lookup(m[1])))
	}
	return err
}

// valueKind describes the type of a flag's value, for people.
func valueKind(f *flag.Flag) string {
	if f == nil {
		return "another value"
	}
	getter, _ := f.Value.(flag.Getter)
	if getter == nil {
		return "another value"
	}
	switch getter.Get().(type) {
	case bool:
		return "true or false"
	case uint, uint64:
		return "a whole number from 0 on"
	}
	return "a whole number"
}

// readEnvironment sets the flags that are not on the command line from variables that are set
// and not empty. Unknown variables with our prefix are remembered and do no harm: container
// platforms set some for every service called etcd.
func (c *config) readEnvironment(fs *flag.FlagSet, environ []string) error {
	values := make(map[string]string)
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "ETCD_") && value != "" {
			values[name] = value
		}
	}
	var err error
	fs.VisitAll(func(f *flag.Flag) {
		set := "" // the variable that has set it
		for _, name := range envNames(f.Name) {
			value, ok := values[name]
			delete(values, name)
			switch {
			case !ok || err != nil || set == "" && c.given[f.Name]:
			case set != "" && value != f.Value.String():
				err = errUsage{fmt.Errorf("%s and %s both set -%s, and differ; unset one of them", set, name, f.Name)}
			default:
				if setErr := fs.Set(f.Name, value); setErr != nil {
					if setErr.Error() == "parse error" {
						setErr = errors.New("want " + valueKind(f))
					}
					err = errUsage{fmt.Errorf("%s=%q: %w", name, value, setErr)}
				}
				set = name
				c.given[f.Name] = true
			}
		}
	})
	for name := range values {
		c.unknown = append(c.unknown, name)
	}
	slices.Sort(c.unknown)
	return err
}

// warnUnknown warns about each variable with our prefix that sets no flag.
func (c *config) warnUnknown(log *slog.Logger) {
	for _, name := range c.unknown {
		args := []any{"variable", name}
		flagName := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "ETCD_"), "_", "-"))
		if here := etcdFlags[flagName]; here != "" {
			args = append(args, "instead", envNames(here)[0])
		}
		log.Warn("this environment variable sets nothing here and is ignored; etcd -help lists those that do", args...)
	}
}
