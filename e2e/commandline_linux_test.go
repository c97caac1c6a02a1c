package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"etcd/internal/freeport"
)

// Files of Debian's packages.
const (
	debianUnit     = "/lib/systemd/system/etcd.service" // of etcd-server
	debianDefaults = "/etc/default/etcd"                // of etcd-server
	pythonHelper   = "/usr/lib/python3/dist-packages/etcd/tests/integration/helpers.py"
)

// needsFile skips a test of a file that is not there.
func needsFile(t *testing.T, path, debianPackage string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("no %s (Debian: apt-get install %s)", path, debianPackage)
	}
	return data
}

// startWith starts the binary with nothing but this command line and environment, and returns it
// once it serves.
func startWith(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = env
	s := &server{t: t, dir: cmd.Dir, proc: launch(t, cmd)}
	s.client = s.proc.waitServing()
	return s
}

// TestDebianUnit starts what the unit of Debian's etcd-server starts, with the variables of its file
// of defaults as they are shipped, and with its example. Addresses and the data directory are the
// test's own, given as an operator would: in that file.
func TestDebianUnit(t *testing.T) {
	t.Parallel()
	unit := needsFile(t, debianUnit, "etcd-server")
	defaults := needsFile(t, debianDefaults, "etcd-server")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile(`ETCD_[A-Z_]+=\S+`).FindAllString(string(defaults), -1)
	if len(example) == 0 {
		t.Fatalf("the file of defaults has no example:\n%s", defaults)
	}
	for name, test := range map[string]struct {
		defaults []string
		member   string
	}{
		"as shipped": {nil, host}, "with its example": {example, "default"}, "with arguments": {[]string{"DAEMON_ARGS=-log-level debug --log-format=console"}, host},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			client, peer := freeport.Address(t), freeport.Address(t)
			variables := systemdUnit{host: host}
			variables.read(unit)
			variables.environment = append(variables.environment, assignments(defaults)...)
			variables.environment = append(variables.environment, test.defaults...)
			variables.environment = append(variables.environment,
				"ETCD_DATA_DIR="+filepath.Join(dir, "default"), "ETCD_LISTEN_CLIENT_URLS=http://"+client, "ETCD_ADVERTISE_CLIENT_URLS=http://"+client,
				"ETCD_LISTEN_PEER_URLS=http://"+peer, "ETCD_INITIAL_ADVERTISE_PEER_URLS=http://"+peer)
			if variables.kind != "notify" {
				t.Errorf("the unit is of type %s", variables.kind)
			}
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer manager.Close()
			s := startWith(t, append(variables.environment, "NOTIFY_SOCKET="+filepath.Join(dir, "notify")), variables.arguments(t)...)
			if err := manager.SetReadDeadline(time.Now().Add(waitLimit)); err != nil {
				t.Fatal(err)
			}
			told := make([]byte, 100)
			if n, err := manager.Read(told); err != nil || string(told[:n]) != "READY=1" {
				t.Errorf("systemd is told %q, %v", told[:n], err)
			}
			if s.client != client {
				t.Errorf("it serves at %s, want %s", s.client, client)
			}
			s.event(get("/v1/keys/_etcd/machines/" + test.member))
			s.stop()
		})
	}
}

// systemdUnit is what matters of a unit of systemd.
type systemdUnit struct {
	host        string
	kind        string // Type=
	command     []string
	environment []string // the last one of a name counts
}

func (u *systemdUnit) read(unit []byte) {
	specifiers := strings.NewReplacer("%H", u.host, "%p", "etcd")
	for lines := bufio.NewScanner(bytes.NewReader(unit)); lines.Scan(); {
		name, value, _ := strings.Cut(specifiers.Replace(lines.Text()), "=")
		switch name {
		case "Type":
			u.kind = value
		case "Environment":
			u.environment = append(u.environment, value)
		case "ExecStart":
			u.command = strings.Fields(value)
		}
	}
}

// arguments returns what follows the program, with $NAME replaced by the words of the variable.
func (u *systemdUnit) arguments(t *testing.T) []string {
	t.Helper()
	if len(u.command) == 0 || filepath.Base(u.command[0]) != "etcd" {
		t.Fatalf("the unit starts %q", u.command)
	}
	var args []string
	for _, word := range u.command[1:] {
		name, isVariable := strings.CutPrefix(word, "$")
		if !isVariable {
			args = append(args, word)
			continue
		}
		for _, assignment := range slices.Backward(u.environment) {
			if value, found := strings.CutPrefix(assignment, name+"="); found {
				args = append(args, strings.Fields(value)...)
				break
			}
		}
	}
	return args
}

// assignments returns the lines of a file that set a variable.
func assignments(file []byte) []string {
	var all []string
	for line := range strings.Lines(string(file)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// TestPythonHelper starts machines by the helper of the tests of Debian's python3-etcd: one, and a
// cluster of three.
func TestPythonHelper(t *testing.T) {
	t.Parallel()
	needsFile(t, pythonHelper, "python3-etcd")
	python := func(t *testing.T, code string) *exec.Cmd {
		cmd := exec.Command("/usr/bin/python3", "-u", "-c", code)
		cmd.Dir = t.TempDir()
		return cmd
	}
	if err := python(t, "import OpenSSL").Run(); err != nil {
		t.Skip("no OpenSSL for Python, which the helper needs (Debian: apt-get install python3-openssl)")
	}
	for _, members := range []int{1, 3} {
		t.Run(strconv.Itoa(members), func(t *testing.T) {
			t.Parallel()
			clients := freePorts(t, 2*members)
			peers := clients + members
			cmd := python(t, fmt.Sprintf(`
import sys
from etcd.tests.integration import helpers
cluster = helpers.EtcdProcessHelper(%q, proc_name=%q, port_range_start=%d, internal_port_range_start=%d)
try:
    cluster.run(number=%d)
    sys.stdin.read()
finally:
    cluster.stop()
`, t.TempDir(), binary, clients, peers, members))
			stop, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p := launch(t, cmd)
			t.Cleanup(func() { // before the helper is killed, which would leave the machines
				stop.Close()
				p.waitExit(stopLimit)
			})
			for i := range members {
				s := &server{t: t, proc: p, client: fmt.Sprintf("127.0.0.1:%d", clients+i)}
				waitUntil(t, fmt.Sprintf("member %d serves", i), func() bool {
					answer, err := exchange(s.client, get(fmt.Sprintf("/v1/keys/_etcd/machines/test-node-%d", i)))
					return err == nil && answer.status == 200
				})
				s.do(post("/v1/keys/a", "value", strconv.Itoa(i)))
			}
		})
	}
}

// freePorts returns the first of n free ports in a row, which this test run has not given away.
func freePorts(t *testing.T, n int) (first int) {
	t.Helper()
	for last, run := 0, 0; run < n; {
		_, text, err := net.SplitHostPort(freeport.Address(t))
		if err != nil {
			t.Fatal(err)
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		if run++; port != last+1 {
			first, run = port, 1
		}
		last = port
	}
	return first
}

// TestSettingsFile starts a machine by a file, with flags and variables beside it that would make
// it another one, and with its log in a file.
func TestSettingsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, log := filepath.Join(dir, "etcd.yml"), filepath.Join(dir, "etcd.log")
	text := fmt.Sprintf("name: of-the-file\ndata-dir: %s\nc: %s\nlisten-peer-urls: http://%s\nmax-wals: 7\nlog-format: json\nlog-outputs: [stderr, %s]\nmax-learners: 2\n",
		filepath.Join(dir, "data"), freeport.Address(t), freeport.Address(t), log)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--config-file", file, "-n", "of-the-flag")
	cmd.Dir, cmd.Env = dir, []string{"ETCD_NAME=of-the-variable", "ETCD_VERIFY=all"}
	p := launch(t, cmd)
	waitUntil(t, "it serves", func() bool { return strings.Contains(p.stderr(), "ready to serve client requests") })
	written, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name":"of-the-file"`, `"ignored":"-n ETCD_NAME"`, `"setting":"max-wals"`, `"setting":"max-learners"`} {
		if !strings.Contains(string(written), want) || !strings.Contains(p.stderr(), want) {
			t.Errorf("the log in the file, or on stderr, does not have %s:\n%s", want, written)
		}
	}
	if strings.Contains(string(written), "ETCD_VERIFY") {
		t.Errorf("the log speaks of ETCD_VERIFY:\n%s", written)
	}
}

// TestErrorInTheLog checks that the last words of a process are in the file of its log, and on
// standard error.
func TestErrorInTheLog(t *testing.T) {
	t.Parallel()
	busy := startServer(t)
	log := filepath.Join(t.TempDir(), "etcd.log")
	code, _, stderr := run(t, nil, "--log-outputs", log, "--data-dir", filepath.Join(t.TempDir(), "data"), "-s", freeport.Address(t),
		"--listen-client-urls", "http://"+busy.client, "--advertise-client-urls", "http://"+busy.client)
	written, err := os.ReadFile(log)
	if err != nil || code != 1 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	for where, text := range map[string]string{"the file": string(written), "stderr": stderr} {
		if !strings.Contains(text, "etcd: ") || !strings.Contains(text, busy.client) || !strings.Contains(text, "--listen-client-urls") {
			t.Errorf("%s has\n%s", where, text)
		}
	}
}
