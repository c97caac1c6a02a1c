package auth

import (
	"maps"
	"slices"

	"etcd/store/storepb"
)

// values returns a list of a command; nil if it is absent.
func values(list *storepb.Strings) []string {
	if list == nil {
		return nil
	}
	return append([]string{}, list.GetValues()...)
}

// list is the reverse of values.
func list(values []string) *storepb.Strings {
	if values == nil {
		return nil
	}
	return &storepb.Strings{Values: values}
}

// same reports whether two lists look the same: an absent one is not like an empty one.
func same(a, b []string) bool { return slices.Equal(a, b) && (a == nil) == (b == nil) }

// stringSet is a set of roles or patterns.
type stringSet map[string]struct{}

func set(values []string) stringSet {
	s := make(stringSet, len(values))
	for _, v := range values {
		s[v] = struct{}{}
	}
	return s
}

// add adds values until one that is there already, and reports whether there was one.
func (s stringSet) add(values []string) (found bool, which string) {
	for _, v := range values {
		if _, ok := s[v]; ok {
			return true, v
		}
		s[v] = struct{}{}
	}
	return false, ""
}

// remove removes a value, and reports whether it was there.
func (s stringSet) remove(value string) bool {
	_, ok := s[value]
	delete(s, value)
	return ok
}

// sorted returns all values, never nil.
func (s stringSet) sorted() []string {
	all := slices.AppendSeq(make([]string, 0, len(s)), maps.Keys(s))
	slices.Sort(all)
	return all
}
