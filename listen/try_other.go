//go:build !unix

package listen

import "net"

// tryRead reads nothing: this system cannot do so without waiting.
func tryRead(net.Conn, []byte) (int, error) { return 0, errWouldBlock }

// tryWrite writes nothing: this system cannot do so without waiting.
func tryWrite(net.Conn, []byte) (int, error) { return 0, errWouldBlock }
