// Package v1 is the API of 2013, as docs/api-v1.md describes it.
//
// It owns the parameters of that API, the requests to the machine that it makes of them, and
// the format of the answers, byte for byte as then; and those of its streams, which are new.
//
// It promises that a parameter value which it does not understand is an error and never
// ignored, and that nothing is done after an error.
//
// It must never hold state, or know how a request arrives or how an answer is sent; that is
// up to package httpfront.
package v1
