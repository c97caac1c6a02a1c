package transport

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// What the input of FuzzReceiver is used as.
const (
	asRequest = iota // the whole request
	asHeaders        // headers of a handshake
	afterStream
	framesAfterStream
	afterSnapshot
	framesAfterSnapshot
	fuzzedWays
)

// Whatever is sent on a connection, from the first byte of the handshake or after a valid
// handshake: only frames of known kinds are delivered, the connection ends, and the next
// machine is served.
func FuzzReceiver(f *testing.F) {
	hello := requestOf(http.MethodGet, StreamPath, Control, nil)
	for way, inputs := range map[byte][]string{
		asRequest: {string(hello), "GET /raft/stream HTTP/1.1\r\n\r\n", "POST /raft/snapshot HTTP/1.0\r\nHost: x\r\n\r\n"},
		asHeaders: {"\x01a:7001\x00", "X-Etcd-From: 0\r\n", "X-Etcd-Reach: \x1b[2J\r\nX-Etcd-Nonce: -1\r\n"},
		afterStream: {
			string(AppendFrame(nil, Frame{KindRaft, []byte("message")})),
			string(AppendFrame(AppendFrame(nil, Frame{Kind: kindPing}), Frame{KindForward, []byte("proposal")})),
			"\xff\xff\xff\xff\x01\x00\x00\x00\x00\x00\x00\x00",
		},
		framesAfterStream: {"\x01\x03abc\x02\x00\x06\x02{}", "\x10\x00\x20\x01a\x63\x00"},
		afterSnapshot:     {string(AppendFrame(nil, Frame{kindSnapshotMessage, []byte("\x03\x00\x00\x00\x00\x00\x00\x00message")}))},
		framesAfterSnapshot: {
			"\x20\x0b\x03\x00\x00\x00\x00\x00\x00\x00abc\x21\x03def\x22\x0c\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x20\x00\x22\x00", "\x21\x00",
		},
	} {
		for _, input := range inputs {
			f.Add(way, []byte(input))
		}
	}
	m := startMachine(f, machineConfig{
		deliver: func(_ uint64, frame Frame) {
			if frame.Kind < KindRaft || frame.Kind > KindRefusal {
				panic(fmt.Sprintf("a frame of kind %d was delivered", frame.Kind))
			}
		},
		receive: func(_ uint64, _ []byte, _ int64, body io.Reader) error {
			_, err := io.Copy(io.Discard, body)
			return err
		},
	})
	healthy := append(requestOf(http.MethodGet, StreamPath, Bulk, nil), AppendFrame(nil, Frame{Kind: kindPing})...)
	f.Fuzz(func(t *testing.T, way byte, input []byte) {
		exchange(t, m.addr, fuzzed(way, input))
		if answer := exchange(t, m.addr, healthy); !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) {
			t.Fatalf("the next machine is answered %.200q", answer)
		}
	})
}

// fuzzed returns what is sent.
func fuzzed(way byte, input []byte) []byte {
	switch way % fuzzedWays {
	case asHeaders:
		return requestOf(http.MethodGet, StreamPath, Control, input)
	case afterStream:
		return append(requestOf(http.MethodGet, StreamPath, Control, nil), input...)
	case framesAfterStream:
		return append(requestOf(http.MethodGet, StreamPath, Control, nil), framesOf(input)...)
	case afterSnapshot:
		return append(requestOf(http.MethodPost, SnapshotPath, classSnapshot, nil), input...)
	case framesAfterSnapshot:
		return append(requestOf(http.MethodPost, SnapshotPath, classSnapshot, nil), framesOf(input)...)
	}
	return input
}

// requestOf returns the request of a handshake. headers, unless empty, replace those that
// identify the dialer.
func requestOf(method, path string, class Class, headers []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n%s: %x\r\n%s: %x\r\n%s: %s\r\nContent-Length: 0\r\n",
		method, path, upgradeProtocol, headerProtocol, Protocol, headerCluster, cluster, headerTo, bob, headerClass, class)
	if len(headers) == 0 {
		fmt.Fprintf(&b, "%s: %x\r\n%s: %x\r\n%s: a:7001\r\n%s: %032x\r\n%s: 1-2\r\n%s: 1-2\r\n",
			headerFrom, alice, headerNonce, 1, headerAddr, headerToken, 1, headerCommands, headerSnapshots)
	}
	b.Write(headers)
	b.WriteString("\r\n")
	return b.Bytes()
}

// framesOf makes frames of kind, length, and payload.
func framesOf(input []byte) (frames []byte) {
	for len(input) >= 2 {
		kind, n := Kind(input[0]), min(int(input[1]), len(input)-2)
		frames = AppendFrame(frames, Frame{kind, input[2 : 2+n]})
		input = input[2+n:]
	}
	return frames
}

// exchange sends bytes on a new connection, and returns all that is answered.
func exchange(t *testing.T, addr string, sent []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(sent); err != nil {
		return nil // the machine has closed the connection
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return nil
	}
	answer, err := io.ReadAll(conn)
	if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
		t.Fatalf("the connection does not end, after %q", answer)
	}
	return answer
}
