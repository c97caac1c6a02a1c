// Package version describes which versions of something a program understands.
//
// It owns [Range] and its form in handshakes and requests, and [Understood], all that one
// machine tells another of its program. The numbers themselves are with what they count: the
// protocol between machines in package transport, commands and snapshots in package store.
//
// It promises that what it writes it can read, and that it reads nothing else.
//
// It must never decide what follows from a version, or know whose it is.
package version
