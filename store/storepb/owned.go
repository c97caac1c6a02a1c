package storepb

import "unsafe"

// Owned returns the bytes of a message just decoded as a string. They are a
// copy that nothing else refers to, and values can be large, so they are not
// copied again.
func Owned(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
