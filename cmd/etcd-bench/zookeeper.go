package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	sessionTimeout = 20 * time.Second
	zkDirectory    = "/bench"

	// zkBuffers is the size of the two buffers of a session. Left alone they take 1.5 MiB each,
	// too much for ten thousand sessions.
	zkBuffers = 4 << 10
)

// zookeeperSystem is a ZooKeeper from its jar, whose manifest names what else it needs. It
// syncs its log before it acknowledges, as it does by default, and logs nothing.
func zookeeperSystem(java, jar string) *system {
	return &system{
		name:    zookeeper38,
		version: []string{java, "-cp", jar, "org.apache.zookeeper.version.VersionInfoMain"},
		command: func(c *cluster, i int) ([]string, error) { return zookeeperCommand(java, jar, c, i) },
		connect: connectZookeeper,
		leads: func(c *cluster, i int) bool {
			text, err := fourLetters(c.members[i], "srvr")
			return err == nil && (strings.Contains(text, "Mode: leader") || strings.Contains(text, "Mode: standalone"))
		},
	}
}

func zookeeperCommand(java, jar string, c *cluster, i int) ([]string, error) {
	m := c.members[i]
	host, port, err := net.SplitHostPort(m.clients)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return nil, err
	}
	settings := []string{
		"tickTime=" + strconv.Itoa(int(election.Milliseconds())), "initLimit=10", "syncLimit=5",
		"dataDir=" + m.dir, "clientPort=" + port, "clientPortAddress=" + host,
		"maxClientCnxns=0", "admin.enableServer=false", "4lw.commands.whitelist=srvr",
	}
	if len(c.members) > 1 {
		for j, other := range c.members {
			_, votes, err := net.SplitHostPort(other.votes)
			if err != nil {
				return nil, err
			}
			settings = append(settings, fmt.Sprintf("server.%d=%s:%s", j+1, other.peers, votes))
		}
		if err := os.WriteFile(filepath.Join(m.dir, "myid"), []byte(strconv.Itoa(i+1)), 0o600); err != nil {
			return nil, err
		}
	}
	config := m.dir + ".cfg"
	if err := os.WriteFile(config, []byte(strings.Join(settings, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	return []string{java, "-cp", jar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", config}, nil
}

// fourLetters sends one of the commands of four letters and returns the answer.
func fourLetters(m *member, command string) (string, error) {
	c, err := net.DialTimeout("tcp", m.clients, answerTimeout)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := io.WriteString(c, command); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

// zkClient is one session on a connection of its own.
type zkClient struct {
	conn    *zk.Conn
	value   []byte
	events  <-chan zk.Event
	session *time.Timer // ends the session at the deadline, so that all requests fail
}

func connectZookeeper(m *member, size int) (client, error) {
	ready := make(chan struct{}, 1)
	conn, _, err := zk.Connect([]string{m.clients}, sessionTimeout, zk.WithLogger(silent{}), zk.WithLogInfo(false),
		zk.WithMaxBufferSize(zkBuffers), zk.WithMaxConnBufferSize(zkBuffers),
		zk.WithEventCallback(func(e zk.Event) {
			if e.State == zk.StateHasSession {
				select {
				case ready <- struct{}{}:
				default:
				}
			}
		}))
	if err != nil {
		return nil, err
	}
	select {
	case <-ready:
	case <-time.After(sessionTimeout):
		conn.Close()
		return nil, errors.New("no session")
	}
	return &zkClient{conn: conn, value: []byte(strings.Repeat("x", size))}, nil
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func nodePath(key int) string { return zkDirectory + "/" + strconv.Itoa(key) }

func (c *zkClient) do(op operation, key int) error {
	path := nodePath(key)
	switch op {
	case write:
		_, err := c.conn.Set(path, c.value, -1)
		if errors.Is(err, zk.ErrNoNode) {
			err = c.create(path)
		}
		return err
	case linearizableRead: // a read sees all that was committed before the sync before it
		if _, err := c.conn.Sync(path); err != nil {
			return err
		}
		fallthrough
	case localRead:
		_, _, err := c.conn.Get(path)
		return err
	}
	return errUnsupported
}

// create creates a node. Another client may do so at the same time.
func (c *zkClient) create(path string) error {
	open := zk.WorldACL(zk.PermAll)
	_, err := c.conn.Create(path, c.value, 0, open)
	if errors.Is(err, zk.ErrNoNode) {
		if _, err := c.conn.Create(zkDirectory, nil, 0, open); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
		_, err = c.conn.Create(path, c.value, 0, open)
	}
	if errors.Is(err, zk.ErrNodeExists) {
		_, err = c.conn.Set(path, c.value, -1)
	}
	return err
}

func (c *zkClient) watch(key int) error {
	_, _, events, err := c.conn.ExistsW(nodePath(key))
	c.events = events
	return err
}

func (c *zkClient) event() error {
	return (<-c.events).Err
}

func (c *zkClient) SetDeadline(t time.Time) error {
	if c.session == nil {
		c.session = time.AfterFunc(time.Until(t), c.conn.Close)
	} else {
		c.session.Reset(time.Until(t))
	}
	return nil
}

func (c *zkClient) Close() error {
	if c.session != nil {
		c.session.Stop()
	}
	c.conn.Close()
	return nil
}
