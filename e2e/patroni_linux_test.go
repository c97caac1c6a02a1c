package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"etcd/internal/freeport"
)

// TestPatroni has Patroni, which uses the v2 API, keep a pair of PostgreSQL servers available with the
// help of a cluster of three machines. The leader is killed, the next one paused, and the database goes
// on taking writes. Then its primary is killed, together with the leader: the standby is promoted, and
// has every row that was acknowledged.
func TestPatroni(t *testing.T) {
	t.Parallel()
	needsFile(t, patroni, "patroni")
	c := startCluster(t, 3)
	db := newDatabase(t, c)
	a, b := db.nodes[0], db.nodes[1]
	a.start()
	a.waitRole("leader")
	b.start()
	b.waitRole("sync_standby")
	if _, err := a.query("CREATE TABLE kept (n int PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}

	first := c.leader()
	first.kill()
	db.ridesThrough(c.others(first)[0], "the leader is killed")
	first.start()
	second := c.leader()
	second.proc.signal(sigStop)
	db.ridesThrough(c.others(second)[0], "the leader is paused")
	second.proc.signal(sigCont)

	b.waitRole("sync_standby")
	third := c.leader()
	third.proc.signal(syscall.SIGKILL)
	a.kill()
	third.proc.waitExit(stopLimit)
	waitUntil(t, "the standby is promoted", func() bool { return db.insert(b) == nil })
	db.check(b)

	third.start()
	a.start()
	a.waitRole("sync_standby")
	if err := db.insert(b); err != nil {
		t.Errorf("the new primary, with a standby: %v", err)
	}
	db.check(a)
}

const (
	patroni = "/usr/bin/patroni"
	pace    = 50 * time.Millisecond // between two questions, so that they leave some of the processor to the database
)

// database is a pair of PostgreSQL servers, each run by a Patroni.
type database struct {
	t     *testing.T
	nodes []*databaseNode
	tried int      // the last number that was to be inserted
	acked []string // the numbers of which the insertion succeeded
}

// databaseNode is one server with its Patroni.
type databaseNode struct {
	db        *database
	name, dir string
	bin       string // where PostgreSQL's programs are
	owner     *user.User
	sql, api  string // the addresses of PostgreSQL and Patroni
	proc      *process
}

// newDatabase prepares the pair, without starting it.
func newDatabase(t *testing.T, c *cluster) *database {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(programs) == 0 {
		t.Skip("no PostgreSQL server (Debian: apt-get install postgresql-15)")
	}
	owner, err := user.Current()
	if err == nil && owner.Uid == "0" { // as whom PostgreSQL does not run
		owner, err = user.Lookup("postgres")
	}
	if err != nil {
		t.Fatal(err)
	}
	db := &database{t: t}
	for _, name := range []string{"a", "b"} {
		n := &databaseNode{db: db, name: name, bin: filepath.Dir(programs[len(programs)-1]), owner: owner, sql: freeport.Address(t), api: freeport.Address(t)}
		n.prepare(c)
		db.nodes = append(db.nodes, n)
	}
	return db
}

// prepare writes the configuration of Patroni, which is YAML, to a directory of the owner.
func (n *databaseNode) prepare(c *cluster) {
	n.db.t.Helper()
	dir, err := os.MkdirTemp("", "etcd-patroni-") // not t.TempDir(), where nobody else may look
	if err != nil {
		n.db.t.Fatal(err)
	}
	n.db.t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			n.db.t.Error(err)
		}
	})
	n.dir = dir
	hosts, err := json.Marshal(c.addresses())
	if err != nil {
		n.db.t.Fatal(err)
	}
	config := fmt.Sprintf(`
scope: pair
name: %[1]s
etcd: {hosts: %[2]s}
restapi: {listen: "%[3]s", connect_address: "%[3]s"}
bootstrap:
  dcs: {ttl: 15, loop_wait: 1, retry_timeout: 7, synchronous_mode: true}
  initdb: [no-sync, locale: C, encoding: UTF8, auth: trust]
  pg_hba: [host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
postgresql:
  listen: "%[4]s"
  connect_address: "%[4]s"
  data_dir: %[5]s/data
  bin_dir: %[6]s
  authentication: {superuser: {username: postgres}, replication: {username: postgres}}
  use_pg_rewind: true
  parameters: {unix_socket_directories: "", shared_buffers: 16MB, fsync: "off", synchronous_commit: remote_apply}
`, n.name, hosts, n.api, n.sql, dir, n.bin)
	if err := os.WriteFile(filepath.Join(dir, "patroni.yml"), []byte(config), 0o644); err != nil {
		n.db.t.Fatal(err)
	}
	if err := os.Chown(dir, int(n.credential().Uid), int(n.credential().Gid)); err != nil {
		n.db.t.Fatal(err)
	}
}

func (n *databaseNode) credential() *syscall.Credential {
	n.db.t.Helper()
	uid, err := strconv.ParseUint(n.owner.Uid, 10, 32)
	if err != nil {
		n.db.t.Fatal(err)
	}
	gid, err := strconv.ParseUint(n.owner.Gid, 10, 32)
	if err != nil {
		n.db.t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: os.Getuid() != 0}
}

// start runs Patroni, which starts PostgreSQL, and stops it when it gets SIGTERM itself: so both end with
// the test, however that ends. The process counts as running as long as either of them does.
func (n *databaseNode) start() {
	n.db.t.Helper()
	cmd := exec.Command(patroni, "patroni.yml")
	cmd.Dir, cmd.Env = n.dir, append(os.Environ(), "HOME="+n.dir)
	n.proc = launchBy(n.db.t, cmd, func(cmd *exec.Cmd) error {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
		cmd.SysProcAttr.Credential = n.credential()
		return cmd.Start()
	})
	proc := n.proc
	n.db.t.Cleanup(func() {
		proc.signal(syscall.SIGTERM)
		proc.waitExit(stopLimit)
	})
}

// kill kills Patroni and PostgreSQL, as the end of their host would.
func (n *databaseNode) kill() {
	n.db.t.Helper()
	n.proc.signal(syscall.SIGKILL)
	data, err := os.ReadFile(filepath.Join(n.dir, "data", "postmaster.pid"))
	if err != nil {
		n.db.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	postmaster, err := strconv.Atoi(first)
	if err == nil {
		err = syscall.Kill(postmaster, syscall.SIGKILL) // without it its children end
	}
	if err != nil {
		n.db.t.Fatalf("kill PostgreSQL, process %q: %v", first, err)
	}
	n.proc.waitExit(stopLimit)
}

// patroniMember is a node as Patroni shows it.
type patroniMember struct{ Name, Role string }

// waitRole waits until Patroni shows the node in a role.
func (n *databaseNode) waitRole(role string) {
	n.db.t.Helper()
	waitUntil(n.db.t, fmt.Sprintf("node %s has the role %s", n.name, role), func() bool {
		pause(n.db.t, pace)
		answer, err := exchange(n.api, get("/cluster"))
		var shown struct{ Members []patroniMember }
		return err == nil && json.Unmarshal([]byte(answer.body), &shown) == nil && slices.Contains(shown.Members, patroniMember{n.name, role})
	})
}

// query has this server execute a statement, and returns what it prints.
func (n *databaseNode) query(statement string) (string, error) {
	ctx, cancel := context.WithTimeout(n.db.t.Context(), waitLimit)
	defer cancel()
	host, port, _ := strings.Cut(n.sql, ":")
	out, err := exec.CommandContext(ctx, filepath.Join(n.bin, "psql"), "-XqAt", "-h", host, "-p", port, "-U", "postgres", "-c", statement, "postgres").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s at node %s: %w: %s", statement, n.name, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// insert inserts the next number.
func (db *database) insert(n *databaseNode) error {
	pause(db.t, pace)
	db.tried++
	_, err := n.query(fmt.Sprintf("INSERT INTO kept VALUES (%d)", db.tried))
	if err == nil {
		db.acked = append(db.acked, strconv.Itoa(db.tried))
	}
	return err
}

// check checks that a server has every row of which the insertion has succeeded.
func (db *database) check(n *databaseNode) {
	db.t.Helper()
	rows, err := n.query("SELECT n FROM kept")
	if err != nil {
		db.t.Error(err)
		return
	}
	has := strings.Fields(rows)
	for _, row := range db.acked {
		if !slices.Contains(has, row) {
			db.t.Errorf("node %s lacks row %s of %d", n.name, row, db.tried)
		}
	}
}

// ridesThrough checks that the first server takes every write until Patroni has renewed its lock three
// times, as a machine that still runs shows it.
func (db *database) ridesThrough(survivor *server, what string) {
	db.t.Helper()
	renewals, last := -1, uint64(0)
	waitUntil(db.t, "while "+what+", Patroni goes on", func() bool {
		if err := db.insert(db.nodes[0]); err != nil {
			db.t.Fatalf("while %s: %v", what, err)
		}
		var lock struct {
			Node struct{ ModifiedIndex uint64 }
		}
		answer, err := exchange(survivor.client, get("/v2/keys/service/pair/leader"))
		if err == nil && json.Unmarshal([]byte(answer.body), &lock) == nil && lock.Node.ModifiedIndex > last {
			last = lock.Node.ModifiedIndex
			renewals++
		}
		return renewals == 3
	})
}
