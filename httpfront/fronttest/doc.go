// Package fronttest serves a port of a machine of its own on the loopback interface, for the
// tests of what is built on package httpfront, and speaks HTTP to it byte for byte.
//
// It owns the machine, the server and the raw client of those tests. It promises that all of
// them are stopped at the end of a test, and that whatever the server has logged by then
// fails it.
//
// It must never be used by anything but tests.
package fronttest
