package mvcc

// Outcome is what a command did, or what a transaction has read.
type Outcome struct {
	// Revision is that of the keyspace after the command; of one that has changed something its own.
	Revision int64
	// Err is why the command did nothing: one of the errors of this package.
	Err error
	// Puts and Deletions are how many keys it has written and deleted.
	Puts, Deletions int
	Step
}

// Step is what one operation did: of one kind, as it was of one.
type Step struct {
	// Prev is what a put has replaced, nil if there was nothing.
	Prev *Version
	// Deleted is what a deletion has removed, in the order of the keys.
	Deleted []*Version
	// Found is what a range has found.
	Found Found
	// Txn is what a transaction did.
	Txn *TxnResult
}

// TxnResult is what a transaction did.
type TxnResult struct {
	Succeeded bool   // all of its comparisons held
	Steps     []Step // of the list of operations that was carried out
}

// Found is what a range has found.
type Found struct {
	Versions []*Version
	// Count is how many keys are in the range, whatever was filtered or cut off.
	Count int64
	// More says that the limit has cut some off.
	More bool
}
