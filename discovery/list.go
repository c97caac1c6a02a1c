package discovery

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"etcd/endpoint"
)

// Member is a machine as it will be in the list.
type Member struct {
	ID       uint64 // under which a discovery service knows it; 0 in DNS
	Name     string
	PeerURLs []string
}

// value returns a member as the list has it: NAME=URL, once for each URL.
func (m Member) value() string {
	pairs := make([]string, len(m.PeerURLs))
	for i, url := range m.PeerURLs {
		pairs[i] = m.Name + "=" + url
	}
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// check returns why a list could not have this machine.
func (m Member) check() error {
	if strings.Contains(m.Name, "=") {
		return fmt.Errorf("the name of this machine, %s, cannot be in a list of NAME=URL: choose one without an equals sign (-name)", quote(m.Name))
	}
	if _, err := parseMember(m.value()); err != nil {
		return fmt.Errorf("this machine would be listed as %s, and %w: see -name and -initial-advertise-peer-urls", quote(m.value()), err)
	}
	return nil
}

// parseMember is the opposite of value, of which it accepts any order.
func parseMember(value string) (Member, error) {
	var m Member
	for pair := range strings.SplitSeq(value, ",") {
		name, url, ok := strings.Cut(pair, "=")
		if !ok {
			return Member{}, errors.New("that is not NAME=URL")
		}
		if err := endpoint.CheckName(name); err != nil {
			return Member{}, fmt.Errorf("the name is not valid: %w", err)
		}
		if err := endpoint.CheckURL(url); err != nil {
			return Member{}, fmt.Errorf("the URL is not valid: %w", err)
		}
		switch {
		case m.Name != "" && m.Name != name:
			return Member{}, errors.New("that is more than one machine")
		case slices.Contains(m.PeerURLs, url):
			return Member{}, errors.New("it has the same URL twice")
		}
		m.Name, m.PeerURLs = name, append(m.PeerURLs, url)
	}
	return m, nil
}

// registration is what a machine has left with a token: its ID in hexadecimal and a list of
// itself. created tells which was first.
type registration struct {
	id, value string
	created   uint64
}

func registrationOf(m Member) registration {
	return registration{id: strconv.FormatUint(m.ID, 16), value: m.value()}
}

func byCreation(a, b registration) int {
	return cmp.Or(cmp.Compare(a.created, b.created), strings.Compare(a.id, b.id))
}

// together returns the list that registrations are, or why they cannot be one cluster.
func together(registered []registration) (string, error) {
	values := make([]string, len(registered))
	names, urls := map[string]string{}, map[string]string{} // whose they are
	for i, r := range registered {
		m, err := parseMember(r.value)
		if err != nil {
			return "", fmt.Errorf("machine %s has registered as %s, and %w", quote(r.id), quote(r.value), err)
		}
		if other, taken := names[m.Name]; taken {
			return "", fmt.Errorf("the machines %s and %s have the same name", other, r.value)
		}
		names[m.Name] = r.value
		for _, url := range m.PeerURLs {
			if other, taken := urls[url]; taken {
				return "", fmt.Errorf("the machines %s and %s have the same URL", other, r.value)
			}
			urls[url] = r.value
		}
		values[i] = r.value
	}
	return strings.Join(values, ","), nil
}

const maxQuoted = 200 // bytes; a name and a URL have fewer, as a rule

// quote makes what others have written fit to be shown anywhere.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "..."
	}
	return strconv.Quote(s)
}
