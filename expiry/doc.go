// Package expiry is the core of the TTL reaper: when to look for keys whose deadline
// has passed.
//
// It owns one decision, made from three facts it is told: whether this machine
// leads, the earliest deadline, and the time. It never expires anything
// itself: expiry is a command that goes through the log, so that every machine
// removes the same key at the same index.
//
// It promises never to be early: it asks only when a deadline has passed on the
// clock it is given, and only while this machine leads. And it never has the same key in
// flight twice: there is one round at a time, and the next begins when every command of
// the last one is answered, whether it succeeded or not.
package expiry
