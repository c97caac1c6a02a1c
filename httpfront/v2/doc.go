// Package v2 is the API of etcd 2.x, as docs/api-v2.md describes it: the one that etcd 3.4 served
// with --enable-v2.
//
// It owns the parameters of that API, the requests to the machine that it makes of them, the format of
// the answers and their headers; members and statistics as that API has them. Keys are those of v1: the
// same tree, read and written by another codec.
//
// It promises that a parameter value which it does not understand is an error and never
// ignored, that nothing is done after an error, and that the errors come in the order in which etcd
// has them: the request, then the rights, then the store.
//
// It must never hold state, or know how a request arrives or how an answer is sent; that is
// up to package httpfront.
package v2
