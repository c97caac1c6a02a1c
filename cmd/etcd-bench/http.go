package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// dialect is how a server wants keys to be asked for over HTTP.
type dialect struct {
	method, keys string // of a write; and the path of the keys
	query        map[operation]string
	watch        func(key int) string // path of a watch
	stats        string               // path of the counters of a store
	tls          *tls.Config          // nil: plain HTTP
}

var (
	v1 = &dialect{
		method: "POST", keys: "/v1/keys/bench/",
		query: map[operation]string{localRead: "?quorum=false"},
		watch: func(key int) string { return "/v1/watch/bench/" + strconv.Itoa(key) },
		stats: "/v1/stats/store",
	}
	v2 = &dialect{
		method: "PUT", keys: "/v2/keys/bench/",
		query: map[operation]string{linearizableRead: "?quorum=true"},
		watch: func(key int) string { return "/v2/keys/bench/" + strconv.Itoa(key) + "?wait=true" },
		stats: "/v2/stats/store",
	}
)

// httpClient is one keep-alive connection with buffers of its own. It is cheap: it scans
// answers only for their end.
type httpClient struct {
	net.Conn
	*dialect
	in   *bufio.Reader
	out  []byte
	form string // the body of a write
}

func (d *dialect) connect(m *member, size int) (client, error) {
	c, err := d.dial(m, size)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (d *dialect) dial(m *member, size int) (*httpClient, error) {
	c, err := net.DialTimeout("tcp", m.clients, answerTimeout)
	if err != nil {
		return nil, err
	}
	if d.tls != nil {
		c = tls.Client(c, d.tls)
	}
	const longestAnswer = 1 << 10 // ten thousand such buffers are held at once
	return &httpClient{Conn: c, dialect: d, in: bufio.NewReaderSize(c, longestAnswer), form: "value=" + strings.Repeat("x", size)}, nil
}

func (c *httpClient) do(op operation, key int) error { return c.request(op, key, "") }

// set writes a key that expires after so many seconds.
func (c *httpClient) set(key, seconds int) error {
	return c.request(write, key, "&ttl="+strconv.Itoa(seconds))
}

func (c *httpClient) request(op operation, key int, field string) error {
	b := c.out[:0]
	if op == write {
		b = append(b, c.method...)
	} else {
		b = append(b, "GET"...)
	}
	b = append(b, ' ')
	b = append(b, c.keys...)
	b = strconv.AppendInt(b, int64(key), 10)
	b = append(b, c.query[op]...)
	b = append(b, " HTTP/1.1\r\nHost: 127.0.0.1\r\n"...)
	if op == write {
		b = append(b, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(c.form)+len(field)), 10)
		b = append(b, "\r\n\r\n"...)
		b = append(b, c.form...)
		b = append(b, field...)
	} else {
		b = append(b, "\r\n"...)
	}
	c.out = b
	if _, err := c.Write(b); err != nil {
		return err
	}
	return c.readAnswer()
}

func (c *httpClient) watch(key int) error { return c.get(c.dialect.watch(key)) }

// get asks for a page.
func (c *httpClient) get(path string) error {
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path)
	return err
}

var (
	contentLength = []byte("content-length:")
	encoding      = []byte("transfer-encoding:")
)

// event reads the answer of a watch.
func (c *httpClient) event() error { return c.readAnswer() }

// statusError is an answer other than a success.
type statusError string

func (e statusError) Error() string { return "the server answers " + string(e) }

// readAnswer skips one answer and checks its status.
func (c *httpClient) readAnswer() error {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	var failed error
	if len(line) < 12 || line[9] != '2' {
		failed = statusError(bytes.TrimSpace(line))
	}
	length, err := c.readHeader()
	if err != nil {
		return err
	}
	if length < 0 {
		err = c.skipChunks()
	} else {
		_, err = c.in.Discard(length)
	}
	return errors.Join(failed, err)
}

// readHeader returns the length of the body, -1 for one in chunks.
func (c *httpClient) readHeader() (length int, err error) {
	found := false
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			found = true
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):]))); err != nil {
				return 0, err
			}
		}
		if len(line) > len(encoding) && bytes.EqualFold(line[:len(encoding)], encoding) {
			found, length = true, -1
		}
	}
	if !found {
		return 0, errors.New("an answer says nothing of its length")
	}
	return length, nil
}

// skipChunks skips a body in chunks: etcd 3.4 answers watches so.
func (c *httpClient) skipChunks() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return err
		}
		if _, err := c.in.Discard(int(n) + len("\r\n")); err != nil || n == 0 {
			return err
		}
	}
}

// page returns a page of a member.
func (d *dialect) page(m *member, path string) ([]byte, error) {
	c, err := d.dial(m, 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(answerTimeout))
	if err := c.get(path); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return bytes.TrimSpace(body), err
}
