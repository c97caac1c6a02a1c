// Package actors is the running machine: it wraps the cores (raftnode, wal, store,
// watch, expiry) in actors and lets them talk.
//
// It owns the message protocol (messages.go lists every message), the order in
// which actors are spawned and stopped, their supervision, and the mailboxes that
// count what passes through them.
//
// An actor here only receives, calls its core, and sends. No rule about keys, logs
// or votes belongs in this package, and no actor waits for another one.
//
// Batching: the first message after a pause makes an actor send itself a flush
// token. Everything that is queued already is handled before the token comes up;
// then one Ready, or one write and fdatasync, serves all of it. Group commit falls
// out of the load, without timers.
//
// Supervision: a panic in any of the actors started by [Start] means that an
// invariant is broken, and an error of the log or of a snapshot means that
// durability is. Both end the process with a message that says what to do. Nothing
// is ever restarted with empty state.
package actors
