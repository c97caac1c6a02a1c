package auth

import (
	"slices"
	"strings"
)

// IsRoot reports whether a user may do everything.
func (s *State) IsRoot(user string) bool {
	u := s.User(user)
	return u != nil && slices.Contains(u.Roles, Root)
}

// MayRead reports whether a user, or "" for whoever names none, may read a clean key, with
// everything below it if deep is set.
func (s *State) MayRead(user, key string, deep bool) bool {
	return s.may(user, key, deep, func(r *Role) []string { return r.Read })
}

// MayWrite is MayRead for changing the key.
func (s *State) MayWrite(user, key string, deep bool) bool {
	return s.may(user, key, deep, func(r *Role) []string { return r.Write })
}

func (s *State) may(user, key string, deep bool, patterns func(*Role) []string) bool {
	roles := []string{Guest}
	if user != "" {
		u := s.User(user)
		if u == nil {
			return false
		}
		roles = u.Roles
	}
	itself, below := false, !deep
	for _, name := range roles {
		if name == Root && user != "" {
			return true
		}
		role := s.Role(name)
		if role == nil {
			continue
		}
		for _, pattern := range patterns(role) {
			itself = itself || matches(pattern, key)
			below = below || covers(pattern, key)
			if itself && below {
				return true
			}
		}
	}
	return false
}

// matches reports whether a pattern is of a key: it is equal to it, or ends in a star and the key
// begins with the rest.
func matches(pattern, key string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(key, prefix)
	}
	return pattern == key
}

// covers reports whether a pattern is of everything below a key.
func covers(pattern, key string) bool {
	prefix, ok := strings.CutSuffix(pattern, "*")
	return ok && strings.HasPrefix(strings.TrimSuffix(key, "/")+"/", prefix)
}

// GuestMayDoEverything reports whether whoever names no user may read and write all keys.
func (s *State) GuestMayDoEverything() bool {
	return s.MayRead("", "/", true) && s.MayWrite("", "/", true)
}
