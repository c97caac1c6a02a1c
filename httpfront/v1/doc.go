// Package v1 is the API of 2013, as docs/api-v1.md describes it.
//
// It owns what a request of that API may say, what it asks of the machine, and how the
// answer is worded, byte for byte as then.
//
// It promises that a parameter which it does not understand is an error and never left
// out, and that nothing is done after an error.
//
// It must never hold state, or know how a request has come or how an answer leaves; that
// is package httpfront's.
package v1
