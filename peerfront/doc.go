// Package peerfront is what machines ask each other over HTTP: to be let into the cluster,
// for a stream or a snapshot (which package transport serves), where a member is, and for
// the hash of the state. It has both sides of /join.
//
// It owns who may ask what of that: whose certificate has to name which host, who is on the
// host of a member, and how many may ask at a time.
//
// It promises that whoever is refused learns why and nothing about the cluster, and that
// however many ask, the members still reach each other.
//
// It must never decide who is a member: the leader does, when it takes that into its log.
package peerfront
