//go:build !unix

package listen

import "net"

// descriptor is what makes calls that do not wait. There are none on this system.
type descriptor struct{}

func newDescriptor(net.Conn) *descriptor { return nil }

func (*descriptor) tryRead([]byte) (int, error)  { return 0, errWouldBlock }
func (*descriptor) tryWrite([]byte) (int, error) { return 0, errWouldBlock }
