package endpoint

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxName = 255 // bytes; it is part of the name of a directory by default

var (
	errNoName      = errors.New("it is empty")
	errNameTooLong = errors.New("it is longer than " + strconv.Itoa(maxName) + " bytes")
	errDots        = errors.New(`it is "." or ".."`)
	errNotUTF8     = errors.New("it is not UTF-8")
	errSeparator   = errors.New("it has a slash or a comma")
	errUnprintable = errors.New("it has a character that cannot be seen, or that changes how others are shown")
)

// CheckName returns why no machine may have a name. A name is also a component of the path
// of a key, and is shown to people.
func CheckName(name string) error {
	switch {
	case name == "":
		return errNoName
	case len(name) > maxName:
		return errNameTooLong
	case name == "." || name == "..":
		return errDots
	case !utf8.ValidString(name):
		return errNotUTF8
	case strings.ContainsAny(name, "/,"):
		return errSeparator
	}
	for _, r := range name {
		if !unicode.IsPrint(r) { // controls, separators of lines, marks of direction
			return errUnprintable
		}
	}
	return nil
}

// CheckListed is CheckMember for one that a cluster lists: as long as it has not told its name or its
// client URL, they are empty.
func CheckListed(name, peerURL, clientURL string) error {
	const any, anyURL = "any", "http://any:1"
	return CheckMember(cmp.Or(name, any), peerURL, cmp.Or(clientURL, anyURL))
}

// CheckMember returns what is wrong with what a machine says about itself, and in which
// field, by its name in a request to join.
func CheckMember(name, peerURL, clientURL string) error {
	if err := CheckName(name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := CheckURL(peerURL); err != nil {
		return fmt.Errorf("peerUrl: %w", err)
	}
	if err := CheckURL(clientURL); err != nil {
		return fmt.Errorf("clientUrl: %w", err)
	}
	return nil
}
