// Package fronttest serves a port of a machine of its own on the loopback interface, for the
// tests of package httpfront and of the APIs on top of it, and speaks HTTP to it byte for byte.
//
// It owns the machine, the server and the raw client of those tests. It promises that all of
// them are stopped at the end of a test, and that the test fails if the server has logged
// anything that it did not take.
//
// It must never be used by anything but tests.
package fronttest
