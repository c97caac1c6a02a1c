package httpfront

import (
	"io"
	"net/http/httputil"
	"strings"
	"testing"
)

// A chunked body that is accepted has the content that net/http reads in it, and ends where its
// empty line does, whatever follows.
func FuzzChunks(f *testing.F) {
	for _, seed := range []string{
		"0\r\n\r\n", "7\r\nvalue=1\r\n0\r\n\r\n", "3;a=b\r\nval\r\n004\r\nue=1\r\n0;c\r\nX: y\r\n\r\n", "1\r\nv\r\n0\r\n\n", "A\nvalue", "7fffffffffffffff\r\n", "8000000000000000\r\n", "00000000000000000\r\n\r\n", "0\r\nX:\r\n y\r\n\r\n",
	} {
		f.Add(seed, "GET / HTTP/1.1\r\n\r\n")
	}
	f.Fuzz(func(t *testing.T, body, next string) {
		raw := strings.NewReader(body + next)
		got, err := io.ReadAll(newChunks(raw, 1<<20))
		if err != nil {
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(body + next)))
		if err != nil || string(got) != string(want) {
			t.Errorf("%q: %q, net/http has %q, %v", body+next, got, want, err)
		}
		if read := (body + next)[:len(body+next)-raw.Len()]; !strings.HasSuffix(read, "\r\n\r\n") && !strings.HasSuffix(read, "0\r\n\r\n") {
			t.Errorf("%q is taken for a whole body", read)
		}
	})
}

// The memory that it takes to read a body does not grow with its chunks.
func TestAllocationsOfChunks(t *testing.T) {
	body := strings.Repeat("1\r\nx\r\n", 1000) + "0\r\n\r\n"
	buf := make([]byte, 2000)
	allocations := testing.AllocsPerRun(10, func() {
		n, err := io.ReadFull(newChunks(strings.NewReader(body), len(buf)), buf)
		if n != 1000 || err != io.ErrUnexpectedEOF {
			t.Fatalf("%d bytes of content, %v", n, err)
		}
	})
	if allocations > 10 {
		t.Errorf("%v allocations to read 1000 chunks", allocations)
	}
}

// BenchmarkChunks is a body of 1000 chunks of one byte.
func BenchmarkChunks(b *testing.B) {
	body := strings.Repeat("1\r\nx\r\n", 1000) + "0\r\n\r\n"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, newChunks(strings.NewReader(body), 1000)); err != nil {
			b.Fatal(err)
		}
	}
}
