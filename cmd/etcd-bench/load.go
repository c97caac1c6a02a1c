package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// operation is a kind of request.
type operation int

const (
	write operation = iota
	linearizableRead
	localRead
)

var operations = []operation{write, linearizableRead, localRead}

func (op operation) String() string {
	return [...]string{"write", "linearizable read", "local read"}[op]
}

// load describes the requests to send.
type load struct {
	connections int
	keys        int // keys are numbered from 0
	size        int // bytes per value
}

// result is the outcome of one or several measurements of one operation.
type result struct {
	elapsed   time.Duration
	cpu       time.Duration // of the server
	latencies []uint32      // µs, one per request, sorted by percentile
	sorted    bool
}

func (r *result) add(other result) {
	r.elapsed += other.elapsed
	r.cpu += other.cpu
	r.latencies = append(r.latencies, other.latencies...)
	r.sorted = false
}

// rate returns requests per second.
func (r *result) rate() float64 {
	return float64(len(r.latencies)) / r.elapsed.Seconds()
}

// cpuPerOp returns the CPU time of the server per request in µs.
func (r *result) cpuPerOp() float64 {
	return float64(r.cpu.Microseconds()) / float64(len(r.latencies))
}

// percentile returns a percentile of the latency in ms.
func (r *result) percentile(p float64) float64 {
	if len(r.latencies) == 0 {
		return 0
	}
	if !r.sorted {
		slices.Sort(r.latencies)
		r.sorted = true
	}
	i := min(int(float64(len(r.latencies))*p/100), len(r.latencies)-1)
	return float64(r.latencies[i]) / 1000
}

// fill writes every key once.
func (l load) fill(t *target) error {
	errs := make(chan error, l.connections)
	for i := range l.connections {
		go func() { errs <- l.fillPart(t, i) }()
	}
	var all error
	for range l.connections {
		all = errors.Join(all, <-errs)
	}
	return all
}

// fillPart writes every key whose number leaves the given remainder.
func (l load) fillPart(t *target, remainder int) error {
	c, err := l.connect(t)
	if err != nil {
		return err
	}
	defer c.Close()
	for key := remainder; key < l.keys; key += l.connections {
		if err := c.request(write, key); err != nil {
			return err
		}
	}
	return nil
}

// measure sends requests of one kind on all connections for a while. Every
// connection waits for its answer before it sends the next request.
func (l load) measure(t *target, op operation, period time.Duration) (result, error) {
	clients := make([]*client, l.connections)
	for i := range clients {
		c, err := l.connect(t)
		if err != nil {
			return result{}, err
		}
		defer c.Close()
		clients[i] = c
	}
	latencies := make([][]uint32, l.connections)
	errs := make(chan error, l.connections)
	cpu, err := t.cpu()
	if err != nil {
		return result{}, err
	}
	begin := time.Now()
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for sent := time.Now(); sent.Sub(begin) < period; {
				if err := c.request(op, rand.IntN(l.keys)); err != nil {
					errs <- err
					return
				}
				now := time.Now()
				latencies[i] = append(latencies[i], uint32(now.Sub(sent).Microseconds()))
				sent = now
			}
		})
	}
	wg.Wait()
	r := result{elapsed: time.Since(begin), latencies: slices.Concat(latencies...)}
	after, err := t.cpu()
	r.cpu = after - cpu
	close(errs)
	return r, errors.Join(err, <-errs)
}

// client is one connection with buffers of its own.
type client struct {
	net.Conn
	target *target
	in     *bufio.Reader
	out    []byte
	form   string // the body of a write
}

func (l load) connect(t *target) (*client, error) {
	c, err := net.Dial("tcp", t.address)
	if err != nil {
		return nil, err
	}
	if t.tls != nil {
		c = tls.Client(c, t.tls)
	}
	return &client{Conn: c, target: t, in: bufio.NewReader(c), form: "value=" + strings.Repeat("x", l.size)}, nil
}

// request sends one request and reads its answer, which must be a success.
func (c *client) request(op operation, key int) error {
	b := c.out[:0]
	if op == write {
		b = append(b, c.target.writeMethod...)
	} else {
		b = append(b, "GET"...)
	}
	b = append(b, ' ')
	b = append(b, c.target.prefix...)
	b = strconv.AppendInt(b, int64(key), 10)
	b = append(b, c.target.query[op]...)
	b = append(b, " HTTP/1.1\r\nHost: 127.0.0.1\r\n"...)
	if op == write {
		b = append(b, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(len(c.form)), 10)
		b = append(b, "\r\n\r\n"...)
		b = append(b, c.form...)
	} else {
		b = append(b, "\r\n"...)
	}
	c.out = b
	if _, err := c.Write(b); err != nil {
		return err
	}
	return c.readAnswer()
}

var contentLength = []byte("content-length:")

// send sends a request without a body.
func (c *client) send(method, path string) error {
	_, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", method, path)
	return err
}

// readAnswer skips one answer and checks its status.
func (c *client) readAnswer() error {
	length, err := c.readHead()
	if err != nil {
		return err
	}
	_, err = c.in.Discard(length)
	return err
}

// readHead reads the head of an answer, checks its status and returns the length of the body.
func (c *client) readHead() (int, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 || line[9] != '2' {
		return 0, fmt.Errorf("the server answers %q", line)
	}
	length := -1
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
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(contentLength):])))
			if err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("an answer has no Content-Length")
	}
	return length, nil
}
