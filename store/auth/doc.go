// Package auth is the users and roles of the v2 API: who may read and write which keys.
//
// It owns what users, roles and patterns mean, how commands change them, and why they are
// refused. It promises that a State never changes once handed out, so it may be read in any
// goroutine, and that equal commands give equal states.
//
// It must never see a password, only hashes; it does not know how they are made. It must never
// know HTTP, a clock or the tree of keys.
package auth
