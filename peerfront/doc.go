// Package peerfront is the HTTP API between machines: to found a cluster together, to join one, to open
// a stream or send a snapshot (which package transport serves), to ask where a member is, and for the
// hash of the state. It has both ends of /founders, /assigned and /join.
//
// It owns authorization for that: whose certificate has to name which host, which clients are
// on the host of a member, and how many requests are served at a time.
//
// It promises that a refused machine learns why, and of the cluster no more than the names and the peer
// URLs of its members, and that the members still reach each other however many requests there are.
//
// It must never decide who is a member: the leader does, when it proposes a conf change.
package peerfront
