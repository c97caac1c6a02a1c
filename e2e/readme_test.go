package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const untilLimit = 20 * time.Second // of a block that is repeated

// readmeRun carries out a document.
type readmeRun struct {
	t           *testing.T
	dir         string
	env         []string
	defaults    string            // flags of servers that rely on the default ports
	there, back *strings.Replacer // ports of the document to ours, and back
	servers     []readmeServer
	background  map[string]*backgroundCommand
}

// readmeServer is a server that the document has started.
type readmeServer struct {
	*process
	peerPort string // as the document has it
	address  string // of its clients, as it really is
}

// backgroundCommand is a command that runs while the document goes on.
type backgroundCommand struct {
	process *process
	stdout  strings.Builder
	checked bool
}

func newReadmeRun(t *testing.T) *readmeRun {
	r := &readmeRun{t: t, dir: t.TempDir(), background: map[string]*backgroundCommand{}}
	r.env = append(os.Environ(), "NO_PROXY=127.0.0.1", "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	var there, back []string
	for _, port := range []string{"4001", "4002", "4003", "4004", "7001", "7002", "7003", "7004"} {
		address := freeAddress(t)
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
func (r *readmeRun) shell(command string) *exec.Cmd {
	command = strings.Replace(r.there.Replace(command), runServer, "exec "+binary+r.defaults, 1)
	if strings.HasPrefix(command, "curl ") && !strings.ContainsAny(command, "|;&") {
		command = "exec " + command
	}
	cmd := exec.Command("sh", "-e", "-c", command)
	cmd.Dir, cmd.Env = r.dir, r.env
	return cmd
}

// block carries out one block.
func (r *readmeRun) block(b readmeBlock) {
	r.t.Helper()
	name, isBackground := strings.CutPrefix(b.directive, "background ")
	output, isOutput := strings.CutPrefix(b.directive, "output of ")
	switch {
	case b.directive == "ci":
		for _, command := range b.commands {
			if !strings.HasPrefix(command, "go ") {
				r.t.Errorf("README.md:%d: only commands of the go tool are left to .ci/run: %s", b.line, command)
			}
		}
	case b.directive == stopServer:
		r.stopServers()
	case b.directive == killServers:
		r.killServers(r.servers)
	case b.directive == killLeader:
		r.killServers([]readmeServer{r.leader(b.line)})
	case serverEnds.MatchString(b.directive):
		r.waitServer(b.line, serverEnds.FindStringSubmatch(b.directive)[1])
	case name == "server":
		r.startServers(b)
	case isBackground:
		r.startBackground(name, b)
	case isOutput:
		r.finish(output, b)
	case b.directive == "until" && b.output != nil:
		r.until(b)
	case b.directive == "":
		r.compare(b, r.output(b))
	default:
		r.t.Fatalf("README.md:%d: unknown directive %q, or no output is shown for it", b.line, b.directive)
	}
}

// peerFlag is where a command line says the peer port.
var peerFlag = regexp.MustCompile(`\s--?s[ =](?:\S*:)?(\d+)`)

// startServers starts all servers of a block and waits until they serve,
// which they may be able to do only together.
func (r *readmeRun) startServers(b readmeBlock) {
	r.t.Helper()
	first := len(r.servers)
	for _, command := range b.commands {
		if !strings.Contains(command, runServer) {
			r.t.Fatalf("README.md:%d: this starts no server: %s", b.line, command)
		}
		s := readmeServer{process: launch(r.t, r.shell(command)), peerPort: "7001"}
		if m := peerFlag.FindStringSubmatch(command); m != nil {
			s.peerPort = m[1]
		}
		r.servers = append(r.servers, s)
	}
	for i, s := range r.servers[first:] {
		r.servers[first+i].address = s.waitServing()
	}
}

// leader returns the running server that the others take for their leader.
func (r *readmeRun) leader(line int) (leader readmeServer) {
	r.t.Helper()
	waitUntil(r.t, fmt.Sprintf("README.md:%d: a leader", line), func() bool {
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
func (r *readmeRun) forget(s readmeServer) {
	r.servers = slices.DeleteFunc(slices.Clone(r.servers), func(o readmeServer) bool { return o == s })
}

// killServers kills servers as a power cut would.
func (r *readmeRun) killServers(servers []readmeServer) {
	r.t.Helper()
	for _, s := range servers {
		s.signal(syscall.SIGKILL)
	}
	for _, s := range servers {
		s.waitExit(stopLimit)
		r.forget(s)
	}
}

// waitServer waits for a server that ends by itself.
func (r *readmeRun) waitServer(line int, peerPort string) {
	r.t.Helper()
	i := slices.IndexFunc(r.servers, func(s readmeServer) bool { return s.peerPort == peerPort })
	if i < 0 {
		r.t.Fatalf("README.md:%d: no server runs with peer port %s", line, peerPort)
	}
	r.servers[i].waitExit(waitLimit)
	r.forget(r.servers[i])
}

// output runs the commands of a block and returns what they print.
func (r *readmeRun) output(b readmeBlock) string {
	r.t.Helper()
	var lines []string
	for _, command := range b.commands {
		out, err := r.shell(command).Output()
		if err != nil {
			r.t.Fatalf("README.md:%d: %s: %v\n%s", b.line, command, err, out)
		}
		lines = append(lines, strings.TrimSuffix(string(out), "\n"))
	}
	return normalise(r.back.Replace(strings.Join(lines, "\n")))
}

// until repeats a block until it prints what is shown.
func (r *readmeRun) until(b readmeBlock) {
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

// normalise blots out what differs from run to run.
func normalise(text string) string {
	return maskExpirations(strings.TrimRight(text, "\n"))
}

// compare checks the output of a block if one is shown.
func (r *readmeRun) compare(b readmeBlock, got string) {
	r.t.Helper()
	if b.output != nil && got != normalise(*b.output) {
		r.t.Errorf("README.md:%d: %s%s\nprints %s\n shown %s", b.line, strings.Join(b.commands, "; "), b.directive, got, normalise(*b.output))
	}
}

// stopServers stops all servers as an operator would.
func (r *readmeRun) stopServers() {
	r.t.Helper()
	for _, p := range r.servers {
		p.signal(syscall.SIGTERM)
		if code := p.waitExit(stopLimit); code != 0 {
			r.t.Errorf("%s: exit code %d", p.cmd, code)
		}
	}
	r.servers = nil
}

// startBackground starts a command and, if it is a watch, waits until the
// server has it.
func (r *readmeRun) startBackground(name string, b readmeBlock) {
	r.t.Helper()
	if len(b.commands) != 1 || b.output != nil || r.background[name] != nil {
		r.t.Fatalf("README.md:%d: a block in the background has one command, no output yet, and a name of its own", b.line)
	}
	isWatch := strings.Contains(b.commands[0], "/watch/")
	n := 0
	var asked *server
	if isWatch {
		_, rest, _ := strings.Cut(r.there.Replace(b.commands[0]), "http://")
		address, _, _ := strings.Cut(rest, "/")
		asked = &server{t: r.t, client: address}
		n = asked.watchers()
	}
	c := &backgroundCommand{}
	cmd := r.shell(b.commands[0])
	cmd.Stdout = &c.stdout
	c.process = launch(r.t, cmd)
	r.background[name] = c
	if isWatch {
		asked.waitWatchers(n + 1)
	}
}

// finish waits for a command in the background and compares its output.
func (r *readmeRun) finish(name string, b readmeBlock) {
	r.t.Helper()
	c := r.background[name]
	if c == nil {
		r.t.Fatalf("README.md:%d: nothing called %q runs in the background", b.line, name)
	}
	if code := c.process.waitExit(waitLimit); code != 0 {
		r.t.Errorf("README.md:%d: %s: exit code %d", b.line, name, code)
	}
	r.compare(b, normalise(r.back.Replace(c.stdout.String())))
	c.checked = true
}

// TestReadme runs the examples of the README.
func TestReadme(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s; the Debian package %[1]s has it", tool)
		}
	}
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parseReadme(string(text))
	if err != nil {
		t.Fatalf("README.md: %v", err)
	}
	r := newReadmeRun(t)
	for _, b := range blocks {
		r.block(b)
		if t.Failed() {
			return
		}
	}
	for name, c := range r.background {
		if !c.checked {
			t.Errorf("README.md does not show the output of the background command %q", name)
		}
	}
	r.stopServers()
	checkWalkthrough(t, blocks)
}

// checkWalkthrough checks that the README shows the whole walkthrough of the
// API document, with the outputs given there.
func checkWalkthrough(t *testing.T, blocks []readmeBlock) {
	t.Helper()
	doc, err := os.ReadFile("../docs/api-v1.md")
	if err != nil {
		t.Fatal(err)
	}
	_, appendix, found := strings.Cut(string(doc), "## Appendix: the walkthrough")
	parts := strings.Split(appendix, "\n\n") // one machine, TLS, several machines
	if !found || len(parts) != 3 {
		t.Fatal("docs/api-v1.md has no walkthrough in three parts")
	}
	shows := func(command string) (shown []string, found bool) { // the lines that blocks with the command print
		pattern := placeholders(command)
		for _, b := range blocks {
			if !slices.ContainsFunc(b.commands, pattern.MatchString) {
				continue
			}
			found = true
			if b.output != nil {
				shown = append(shown, strings.Split(*b.output, "\n")...)
			}
		}
		return shown, found
	}
	wants := func(command, prints string) {
		shown, found := shows(command)
		if !found {
			t.Errorf("the README does not show %s", command)
		} else if prints != "" && !slices.ContainsFunc(shown, placeholders(prints).MatchString) {
			t.Errorf("the README does not show that %s prints %s", command, prints)
		}
	}
	lines := strings.Split(appendix, "\n")
	count := 0
	for i, line := range lines {
		flags, isServer := strings.CutPrefix(line, "./etcd")
		if isServer {
			line = runServer + flags
		} else if !strings.HasPrefix(line, "curl ") {
			continue
		}
		count++
		command, _, _ := strings.Cut(line, " (") // a remark
		command, prints, _ := strings.Cut(command, "  ")
		if prints = strings.TrimSpace(prints); isServer {
			prints = "" // what stands there is a remark, too
		} else if prints == "" {
			next := strings.TrimSpace(lines[min(i+1, len(lines)-1)])
			if strings.HasPrefix(next, "{") || strings.HasPrefix(next, "[") {
				prints = next
			}
		}
		wants(command, prints)
	}
	if count < 19 {
		t.Errorf("the walkthrough of docs/api-v1.md has only %d commands", count)
	}
	// What it says about TLS in words.
	const got = `{"action":"GET","key":"/secret","value":"Hello TLS","index":...}`
	wants("curl https://... -k", `{"action":"SET","key":"/secret","value":"Hello TLS","newKey":true,"index":...}`)
	wants("curl --cacert clientCA.crt https://...", got)
	wants("curl --cacert clientCA.crt --cert alice.crt --key alice.key https://...", got)
	wants("curl -s --cacert clientCA.crt https://... || echo rejected", "rejected")
	wants("curl -s --cacert clientCA.crt --cert mallory.crt --key mallory.key https://... || echo rejected", "rejected")
	for line := range strings.Lines(parts[2]) {
		if flags, ok := strings.CutPrefix(strings.TrimSpace(line), "./etcd"); ok {
			wants(runServer+flags+" -serverCert server.crt -serverKey server.key -serverCAFile serverCA.crt", "")
		}
	}
}

// placeholders returns a pattern for a line of the walkthrough, in which
// "..." and "<that index>" stand for anything.
func placeholders(line string) *regexp.Regexp {
	pattern := regexp.QuoteMeta(line)
	pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("..."), `[^,{}]+`)
	pattern = strings.ReplaceAll(pattern, regexp.QuoteMeta("<that index>"), `\d+`)
	return regexp.MustCompile("^" + pattern + "$")
}
