package discovery

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"etcd/bootstrap"
)

// Member is a machine as it will be in the list.
type Member struct {
	ID      uint64 // under which a discovery service knows it; not needed in DNS
	Name    string
	PeerURL string
}

// value returns a member as the list has it.
func (m Member) value() string { return m.Name + "=" + m.PeerURL }

// check returns why a list could not have this machine.
func (m Member) check() error {
	c, err := bootstrap.Parse(m.value(), "")
	switch listed, _ := c.Named(m.Name); {
	case strings.Contains(m.Name, "="):
		err = errors.New("a name that has an equals sign cannot be told from the URL")
	case err == nil && listed.PeerURL != m.PeerURL: // spaces or commas
		err = errors.New("that is read as " + c.String())
	}
	if err != nil {
		return fmt.Errorf("this machine would be listed as %s, and %w: see -name and -initial-advertise-peer-urls", quote(m.value()), err)
	}
	return nil
}

// single returns why a value is not a list of one machine.
func single(value string) error {
	if len(value) > maxValue {
		return fmt.Errorf("that is longer than %d bytes", maxValue)
	}
	c, err := bootstrap.Parse(value, "")
	if err == nil && len(c.Members) != 1 {
		err = errors.New("that is more than one machine")
	}
	return err
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
	if len(registered) == 0 {
		return "", nil
	}
	values := make([]string, len(registered))
	for i, r := range registered {
		if err := single(r.value); err != nil {
			return "", fmt.Errorf("machine %s has registered as %s, and %w", quote(r.id), quote(r.value), err)
		}
		values[i] = r.value
	}
	list := strings.Join(values, ",")
	if _, err := bootstrap.Parse(list, ""); err != nil {
		return "", fmt.Errorf("those who have registered cannot be one cluster: %w", err)
	}
	return list, nil
}

const (
	maxValue  = 600 // bytes; the longest name and the longest URL have fewer
	maxQuoted = 200 // bytes of what others have written
)

// quote makes what others have written fit to be shown anywhere.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "..."
	}
	return strconv.Quote(s)
}
