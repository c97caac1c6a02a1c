// Package endpoint says what a machine may be called and at which addresses it may be
// reached, and which addresses are one host.
//
// It owns these rules for every name, host, address and URL, wherever it comes from: the
// command line, a machine that wants to join, another member, the disk. What it has let
// through is in no need of escaping: it stands as it is in a request line, a header, a list
// that is separated by commas, a terminal, and package net/url reads it as it was meant.
//
// It promises that its errors say what is wrong and never repeat the input, so that they can
// go wherever the input must not.
//
// It must never look a name up, or know what is done with an address.
package endpoint
