// Package mvccmodel is the keyspace of the v3 API as simple as it can be: a list of everything that was ever
// written, in which every question is answered by looking at all of it. Tests compare [etcd/store/mvcc] with it.
//
// It shares nothing with what it judges but the messages, and forgets nothing: compaction is a number that the
// answers respect. A copy of a [Model] is the keyspace at that moment.
package mvccmodel
