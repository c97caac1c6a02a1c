package main

import (
	"errors"
	"regexp"
	"strings"
)

// flagWord is a flag within a sentence.
var flagWord = regexp.MustCompile(`(^|[\s(])-[A-Za-z][A-Za-z-]*`)

// inWordsGiven returns an error that calls the settings as the operator does. The other packages
// know each by one name, that of 2013 if it has one; whoever has given --listen-client-urls should
// not have to know what -cl is.
func (c *config) inWordsGiven(err error) error {
	words := make(map[string]string)
	modern := false
	for _, g := range c.given {
		modern = modern || len(g.ours) > 0 && !g.isOurs(g.by) || g.standsFor != ""
	}
	if modern {
		for _, s := range c.settings {
			words["-"+s.key()] = s.title()
		}
	}
	for _, g := range c.given {
		name := g.by
		if !strings.HasPrefix(name, "-") { // a variable, or a line of a file
			name = g.title()
			if g.isOurs(g.by) {
				name = "-" + g.key()
			}
		}
		words["-"+g.key()] = name
		if g.standsFor != "" && !c.isGiven(g.standsFor) {
			words["-"+g.standsFor] = name
		}
	}
	said := flagWord.ReplaceAllStringFunc(err.Error(), func(found string) string {
		at := strings.Index(found, "-")
		if word := words[found[at:]]; word != "" {
			return found[:at] + word
		}
		return found
	})
	if said == err.Error() {
		return err
	}
	if errors.As(err, new(errUsage)) {
		return errUsage{errors.New(said)}
	}
	return errors.New(said)
}

// nearest returns the flag that was probably meant, or nothing.
func (c *config) nearest(name string) string {
	best, near := 1+len(name)/4, ""
	for _, s := range c.settings {
		if s.instead != "" {
			continue
		}
		for _, known := range s.names() {
			bare := strings.TrimLeft(known, "-")
			if len(bare) < 3 { // everything short is near
				continue
			}
			d := distance(name, bare)
			if len(name) > 3 && strings.HasSuffix(bare, "-"+name) {
				d = 1
			}
			if d <= best && (near == "" || d < best) {
				best, near = d, known
			}
		}
	}
	return near
}

// distance is how many bytes have to be added, removed or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			changed := diagonal
			if a[i] != b[j] {
				changed++
			}
			diagonal = row[j+1]
			row[j+1] = min(changed, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
