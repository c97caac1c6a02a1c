// Package history judges what clients have seen, for tests: whether there is an order
// of all operations that agrees with their answers and with the time at which they
// were sent and answered.
//
// It owns a model of one key as the v1 and v2 APIs describe it, one of the whole keyspace of v3, with transactions
// and revisions, both independent of the store, and the search for an order (Porcupine).
//
// It promises to find every violation in what it is given, but leaves operations out
// that cannot matter, so that the search ends.
//
// It must never be part of the server.
package history
