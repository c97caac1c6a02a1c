package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"etcd/internal/freeport"
)

const untilLimit = 20 * time.Second // of a block that is repeated

// pageRun runs a page, or one of its sections.
type pageRun struct {
	t           *testing.T
	page        string // its file, for messages
	dir         string
	env         []string
	defaults    string            // flags of servers that rely on the default ports
	there, back *strings.Replacer // map ports of the document to ours, and back
	servers     []pageServer
	background  map[string]*backgroundCommand
}

// pageServer is a server that the document has started.
type pageServer struct {
	*process
	peerPort string // in the document
	address  string // of its client port, the real one
}

// backgroundCommand is a command that runs while the document goes on.
type backgroundCommand struct {
	process *process
	stdout  sharedText
	watches string // the address of the server on which it is a watch, if it is one
	checked bool
}

// sharedText is what a command has printed so far.
type sharedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *sharedText) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sharedText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// pagePorts are the ports that pages use, 4001 and 7001 being the defaults.
var pagePorts = []string{
	"4001", "4002", "4003", "4004", "7001", "7002", "7003", "7004",
	"4011", "4012", "4013", "4014", "7011", "7012", "7013", "7014", "2381",
	"12380", "22380", "32380", "22379", "32379", "2379",
}

func newPageRun(t *testing.T, page string) *pageRun {
	r := &pageRun{t: t, page: page, dir: t.TempDir(), background: map[string]*backgroundCommand{}}
	r.env = append(os.Environ(), "NO_PROXY=127.0.0.1", "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	var there, back []string
	for _, port := range pagePorts {
		address := freeport.Address(t)
		_, free, _ := strings.Cut(address, ":")
		there = append(there, port, free)
		back = append(back, free, port)
		switch port {
		case "4001":
			r.defaults += " -c " + free
		case "7001":
			r.defaults += " -s " + free
		}
	}
	r.there, r.back = strings.NewReplacer(there...), strings.NewReplacer(back...)
	return r
}

// shell returns a command to be run by sh. A server or a lone curl takes the
// place of the shell, so that signals reach it.
func (r *pageRun) shell(command string) *exec.Cmd {
	command = r.there.Replace(command)
	if server := runsServer.FindString(command); server != "" {
		defaults := r.defaults
		if strings.Contains(command, "--listen-client-urls") { // it says all
			defaults = ""
		}
		command = "exec " + binary + defaults + " " + strings.TrimPrefix(command, server)
	}
	if strings.HasPrefix(command, "curl ") && !strings.ContainsAny(command, "|;&") {
		command = "exec " + command
	}
	cmd := exec.Command("sh", "-e", "-c", command)
	cmd.Dir, cmd.Env = r.dir, r.env
	return cmd
}

// block runs one block.
func (r *pageRun) block(b pageBlock) {
	r.t.Helper()
	name, isBackground := strings.CutPrefix(b.directive, "background ")
	output, isOutput := strings.CutPrefix(b.directive, "output of ")
	soFar, isSoFar := strings.CutPrefix(b.directive, "output so far of ")
	switch {
	case b.directive == "ci":
		for _, command := range b.commands {
			if !strings.HasPrefix(command, "go ") {
				r.t.Errorf("%s:%d: only commands of the go tool are left to .ci/run: %s", r.page, b.line, command)
			}
		}
	case b.directive == stopServer:
		r.stopServers(r.servers)
	case b.directive == killServers:
		r.killServers(r.servers)
	case b.directive == killLeader:
		r.killServers([]pageServer{r.leader(b.line)})
	case oneServer.MatchString(b.directive):
		m := oneServer.FindStringSubmatch(b.directive)
		s := r.server(b.line, m[2])
		switch m[1] {
		case "stop":
			r.stopServers([]pageServer{s})
		case "kill":
			r.killServers([]pageServer{s})
		}
	case serverEnds.MatchString(b.directive):
		m := serverEnds.FindStringSubmatch(b.directive)
		r.waitServer(b.line, m[1], m[2])
	case name == "server":
		r.startServers(b)
	case isBackground:
		r.startBackground(name, b)
	case isOutput:
		r.finish(output, b)
	case isSoFar:
		r.interrupt(soFar, b)
	case b.directive == "until" && b.output != nil:
		r.until(b)
	case b.directive == "fails":
		r.compare(b, r.failure(b))
	case b.directive == "":
		r.compare(b, r.output(b))
	default:
		r.t.Fatalf("%s:%d: unknown directive %q, or no output is shown for it", r.page, b.line, b.directive)
	}
}

// peerFlag is where a command line says the peer port.
var peerFlag = regexp.MustCompile(`\s--?(?:s|listen-peer-urls)[ =](?:\S*:)?(\d+)`)

// startServers starts all servers of a block together, because they may need
// each other for a quorum, and waits until they serve.
func (r *pageRun) startServers(b pageBlock) {
	r.t.Helper()
	first := len(r.servers)
	for _, command := range b.commands {
		if !runsServer.MatchString(command) {
			r.t.Fatalf("%s:%d: this starts no server: %s", r.page, b.line, command)
		}
		s := pageServer{process: launch(r.t, r.shell(command)), peerPort: "7001"}
		if m := peerFlag.FindStringSubmatch(command); m != nil {
			s.peerPort = m[1]
		}
		r.servers = append(r.servers, s)
	}
	for i, s := range r.servers[first:] {
		r.servers[first+i].address = s.waitServing()
	}
}

// leader returns the running server that leads, as the servers see it.
func (r *pageRun) leader(line int) (leader pageServer) {
	r.t.Helper()
	waitUntil(r.t, fmt.Sprintf("%s:%d: a leader", r.page, line), func() bool {
		for _, s := range r.servers {
			answer, err := exchange(s.address, get("/leader"))
			if err != nil {
				continue
			}
			for _, leader = range r.servers {
				if strings.HasSuffix(r.back.Replace(answer.body), ":"+leader.peerPort) {
					return true
				}
			}
		}
		return false
	})
	return leader
}

// forget drops a server that has ended.
func (r *pageRun) forget(s pageServer) {
	r.servers = slices.DeleteFunc(slices.Clone(r.servers), func(o pageServer) bool { return o == s })
}

// killServers kills servers as a power cut would.
func (r *pageRun) killServers(servers []pageServer) {
	r.t.Helper()
	for _, s := range servers {
		s.signal(syscall.SIGKILL)
	}
	for _, s := range servers {
		s.waitExit(stopLimit)
		r.forget(s)
	}
}

// server returns the running server with a peer port.
func (r *pageRun) server(line int, peerPort string) pageServer {
	r.t.Helper()
	i := slices.IndexFunc(r.servers, func(s pageServer) bool { return s.peerPort == peerPort })
	if i < 0 {
		r.t.Fatalf("%s:%d: no server runs with peer port %s", r.page, line, peerPort)
	}
	return r.servers[i]
}

// waitServer waits for a server that ends by itself, with that exit code if one is given.
func (r *pageRun) waitServer(line int, peerPort, code string) {
	r.t.Helper()
	s := r.server(line, peerPort)
	if got := s.waitExit(waitLimit); code != "" && fmt.Sprint(got) != code {
		r.t.Errorf("%s:%d: the server with peer port %s ends with code %d, want %s", r.page, line, peerPort, got, code)
	}
	r.forget(s)
}

// failure runs the only command of a block, which has to fail, and returns the last line
// that it prints, on stdout or stderr.
func (r *pageRun) failure(b pageBlock) string {
	r.t.Helper()
	if len(b.commands) != 1 {
		r.t.Fatalf("%s:%d: a block that fails has one command", r.page, b.line)
	}
	out, err := r.shell(b.commands[0]).CombinedOutput()
	if err == nil {
		r.t.Fatalf("%s:%d: %s: does not fail\n%s", r.page, b.line, b.commands[0], out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return normalise(r.back.Replace(lines[len(lines)-1]))
}

// output runs the commands of a block and returns what they print.
func (r *pageRun) output(b pageBlock) string {
	r.t.Helper()
	var lines []string
	for _, command := range b.commands {
		out, err := r.shell(command).Output()
		if err != nil {
			r.t.Fatalf("%s:%d: %s: %v\n%s", r.page, b.line, command, err, out)
		}
		lines = append(lines, strings.TrimSuffix(string(out), "\n"))
	}
	return normalise(r.back.Replace(strings.Join(lines, "\n")))
}

// until repeats a block until it prints what is shown.
func (r *pageRun) until(b pageBlock) {
	r.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(untilLimit)
	for {
		got := r.output(b)
		if got == normalise(*b.output) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			r.compare(b, got)
			return
		}
	}
}

// memberID is an ID as people see it.
var memberID = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

// usedBytes is what counts against the quota, the addresses of the machine included.
var usedBytes = regexp.MustCompile(`"used":\d+`)

// normalise masks what differs from run to run.
func normalise(text string) string {
	text = memberID.ReplaceAllString(maskExpirations(strings.TrimRight(text, "\n")), "<ID>")
	return usedBytes.ReplaceAllString(text, `"used":<BYTES>`)
}

// compare checks the output of a block if one is shown.
func (r *pageRun) compare(b pageBlock, got string) {
	r.t.Helper()
	if b.output != nil && got != normalise(*b.output) {
		r.t.Errorf("%s:%d: %s%s\nprints %s\n shown %s", r.page, b.line, strings.Join(b.commands, "; "), b.directive, got, normalise(*b.output))
	}
}

// stopServers stops servers, one after the other, as an operator would.
func (r *pageRun) stopServers(servers []pageServer) {
	r.t.Helper()
	for _, s := range servers {
		s.signal(syscall.SIGTERM)
		if code := s.waitExit(stopLimit); code != 0 {
			r.t.Errorf("%s: exit code %d", s.cmd, code)
		}
		r.forget(s)
	}
}

// startBackground starts a command and, if it is a watch, waits until the
// server has registered it.
func (r *pageRun) startBackground(name string, b pageBlock) {
	r.t.Helper()
	if len(b.commands) != 1 || b.output != nil || r.background[name] != nil {
		r.t.Fatalf("%s:%d: a block in the background has one command, no output yet, and a name of its own", r.page, b.line)
	}
	isWatch := strings.Contains(b.commands[0], "/watch/")
	c := &backgroundCommand{}
	if isWatch {
		_, rest, _ := strings.Cut(r.there.Replace(b.commands[0]), "http://")
		c.watches, _, _ = strings.Cut(rest, "/")
	}
	cmd := r.shell(b.commands[0])
	cmd.Stdout = &c.stdout
	c.process = launch(r.t, cmd)
	r.background[name] = c
	if !isWatch {
		return
	}
	open := 0 // not by asking: the server may not have noticed yet that an earlier one has ended
	for _, other := range r.background {
		if other.watches == c.watches && other.process.runs() {
			open++
		}
	}
	(&server{t: r.t, client: c.watches}).waitWatchers(open)
}

// finish waits for a command in the background and compares its output.
func (r *pageRun) finish(name string, b pageBlock) {
	r.t.Helper()
	c := r.background[name]
	if c == nil {
		r.t.Fatalf("%s:%d: nothing called %q runs in the background", r.page, b.line, name)
	}
	if code := c.process.waitExit(waitLimit); code != 0 {
		r.t.Errorf("%s:%d: %s: exit code %d", r.page, b.line, name, code)
	}
	r.compare(b, normalise(r.back.Replace(c.stdout.String())))
	c.checked = true
}

// interrupt waits until a command in the background has printed what is shown, and ends it.
func (r *pageRun) interrupt(name string, b pageBlock) {
	r.t.Helper()
	c := r.background[name]
	if c == nil {
		r.t.Fatalf("%s:%d: nothing called %q runs in the background", r.page, b.line, name)
	}
	printed := func() string { return normalise(r.back.Replace(c.stdout.String())) }
	for limit := time.Now().Add(untilLimit); printed() != normalise(*b.output) && time.Now().Before(limit); {
		pause(r.t, 10*time.Millisecond)
	}
	r.compare(b, printed())
	c.checked = true
	c.process.signal(syscall.SIGKILL)
	c.process.waitExit(stopLimit)
}

// carryOut runs blocks in order and stops what they started.
func (r *pageRun) carryOut(blocks []pageBlock) {
	r.t.Helper()
	for _, b := range blocks {
		r.block(b)
		if r.t.Failed() {
			return
		}
	}
	for name, c := range r.background {
		if !c.checked {
			r.t.Errorf("%s does not show the output of the background command %q", r.page, name)
		}
	}
	r.stopServers(r.servers)
}

// readPage returns the blocks of a page of the repository. It skips the test if a program
// that pages use is missing.
func readPage(t *testing.T, page string) []pageBlock {
	t.Helper()
	for _, tool := range []string{"sh", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s; the Debian package %[1]s has it", tool)
		}
	}
	text, err := os.ReadFile(filepath.Join("..", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parsePage(string(text))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	return blocks
}

// TestOperations runs the examples of docs/operations.md, each section by itself.
func TestOperations(t *testing.T) {
	t.Parallel()
	const page = "docs/operations.md"
	sections := map[string][]pageBlock{}
	for _, b := range readPage(t, page) {
		sections[b.section] = append(sections[b.section], b)
	}
	for section, blocks := range sections {
		t.Run(section, func(t *testing.T) {
			t.Parallel()
			newPageRun(t, page).carryOut(blocks)
		})
	}
}
