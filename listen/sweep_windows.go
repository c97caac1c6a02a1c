package listen

// sweep only closes the listener: a socket on which the runtime of Go waits cannot be asked
// for connections without waiting here. Connections of the last milliseconds that are not
// accepted yet are reset.
func (l *listener) sweep() { _ = l.Close() } // accepting ends either way
