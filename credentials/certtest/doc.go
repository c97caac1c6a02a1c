// Package certtest makes certificate authorities and certificates for tests and
// benchmarks.
//
// It owns their defaults, which every machine accepts: ECDSA keys, valid now and for a
// year, for 127.0.0.1 and localhost, for servers and clients. It writes no files, and
// must never be used for anything that is to be kept secret.
package certtest
