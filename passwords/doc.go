// Package passwords hashes passwords with bcrypt, and verifies them off the hot path.
//
// It owns how hashes are made, the credentials that were verified not long ago, and the bounds of
// all this: a comparison takes tens of milliseconds of a processor, so few run at once, few wait,
// and an address that guesses is slowed down. It promises that nothing it keeps tells a password,
// that what it keeps is worth nothing once the hash has changed, and that a user who is not there
// takes as long as a wrong password.
//
// It must never know who the users are, what they may do, or HTTP.
package passwords
