package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/connectivity"
)

// share is a number of clients and that of the connections they share.
type share struct{ clients, connections int }

// shares parses pairs of clients and connections, such as 1000/100.
func shares(into *[]share) func(string) error {
	return func(text string) error {
		var all []share
		for _, part := range strings.Split(text, ",") {
			clients, connections, _ := strings.Cut(part, "/")
			n, err := strconv.Atoi(clients)
			m, failed := strconv.Atoi(connections)
			if err != nil || failed != nil || m < 1 || n < m {
				return fmt.Errorf("%q is no number of clients, a slash, and a number of connections, not more than clients", part)
			}
			all = append(all, share{n, m})
		}
		*into = all
		return nil
	}
}

func joinedShares(all []share) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, fmt.Sprintf("%d/%d", s.clients, s.connections))
	}
	return strings.Join(parts, ",")
}

// installedV3 returns the servers whose v3 APIs can be compared: ours first.
func installedV3(o *options, own *system) (all []*system, missing []string) {
	v3 := *own
	v3.connect = connectV3
	all = append(all, &v3)
	if path, err := exec.LookPath(o.etcd37); err == nil {
		all = append(all, &system{name: etcd37, version: []string{path, "--version"}, command: officialCommand(path), connect: connectV3})
	} else {
		missing = append(missing, fmt.Sprintf("%s: -etcd37 %q is no program (docs/performance.md says how to build it)", etcd37, o.etcd37))
	}
	return all, missing
}

// v3Requests measures requests of v3 clients: writes are puts, reads are ranges of one key, and local
// ones are serializable.
func (b *bench) v3Requests() error {
	var loads []load
	for _, s := range b.sharing {
		loads = append(loads, load{clients: s.clients, connections: s.connections, keys: b.keys, size: b.size})
	}
	return b.titled("v3: ", func() error {
		for _, n := range b.machines {
			systems := b.v3
			if n == 1 {
				systems = append(systems[:len(systems):len(systems)], grpcCeilingSystem(b.size))
			}
			if err := b.requestsTo(systems, n, loads, []operation{write, linearizableRead, localRead, mixed}); err != nil {
				return err
			}
		}
		return nil
	})
}

// v3Client is a client of the official library. Some share a connection.
type v3Client struct {
	conn   *clientv3.Client
	shared bool
	value  string
	ctx    context.Context
	cancel context.CancelFunc
	limit  *time.Timer // cancels, as a context with a deadline would have servers watch that of each request
}

func connectV3(m *member, size int) (client, error) {
	c, err := dialV3(m, size)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// dialV3 returns when the connection is there. The library itself opens it for the first request.
func dialV3(m *member, size int) (*v3Client, error) {
	conn, err := clientv3.New(clientv3.Config{Endpoints: []string{m.clients}, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), overtime)
	defer cancel()
	channel := conn.ActiveConnection()
	for state := channel.GetState(); state != connectivity.Ready; state = channel.GetState() {
		channel.Connect()
		if !channel.WaitForStateChange(ctx, state) {
			return nil, errors.Join(fmt.Errorf("no connection to %s: %s", m.clients, state), conn.Close())
		}
	}
	return newV3Client(conn, strings.Repeat("x", size)), nil
}

func newV3Client(conn *clientv3.Client, value string) *v3Client {
	c := &v3Client{conn: conn, value: value}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// sharing returns another client on the same connection.
func (c *v3Client) sharing() *v3Client {
	other := newV3Client(c.conn, c.value)
	other.shared = true
	return other
}

func v3Key(key int) string { return "bench/" + strconv.Itoa(key) }

func (c *v3Client) do(op operation, key int) (err error) {
	switch op {
	case write:
		_, err = c.conn.Put(c.ctx, v3Key(key), c.value)
	case linearizableRead:
		_, err = c.conn.Get(c.ctx, v3Key(key))
	case localRead:
		_, err = c.conn.Get(c.ctx, v3Key(key), clientv3.WithSerializable())
	default:
		return errUnsupported
	}
	return c.explained(err)
}

// explained says of a request that was cut short by the deadline that it was.
func (c *v3Client) explained(err error) error {
	if err != nil && c.ctx.Err() != nil {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (c *v3Client) watch(int) error { return errUnsupported }

func (c *v3Client) event() error { return errUnsupported }

func (c *v3Client) SetDeadline(t time.Time) error {
	if c.limit == nil {
		c.limit = time.AfterFunc(time.Until(t), c.cancel)
	} else {
		c.limit.Reset(time.Until(t))
	}
	return nil
}

func (c *v3Client) Close() error {
	if c.limit != nil {
		c.limit.Stop()
	}
	c.cancel()
	if c.shared {
		return nil
	}
	return c.conn.Close()
}
