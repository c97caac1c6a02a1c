// Package peerfront is the HTTP API between machines: to join the cluster, to open a stream or
// send a snapshot (which package transport serves), to ask where a member is, and for the hash
// of the state. It has both ends of /join.
//
// It owns authorization for that: whose certificate has to name which host, which clients are
// on the host of a member, and how many requests are served at a time.
//
// It promises that a refused machine learns why and nothing about the cluster, and that the
// members still reach each other however many requests there are.
//
// It must never decide who is a member: the leader does, when it proposes a conf change.
package peerfront
