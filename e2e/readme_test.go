package e2e

import (
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
	there, back *strings.Replacer // ports of the document to ours, and back
	client      *server           // only to ask for the number of watches
	servers     []*process
	background  map[string]*backgroundCommand
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
	for _, port := range []string{"4001", "4002", "4003", "7001", "7002", "7003"} {
		address := freeAddress(t)
		_, free, _ := strings.Cut(address, ":")
		there = append(there, port, free)
		back = append(back, free, port)
		// Commands that rely on the default ports name none to replace.
		switch port {
		case "4001":
			r.client = &server{t: t, client: address}
			r.env = append(r.env, "ETCD_C="+free)
		case "7001":
			r.env = append(r.env, "ETCD_S="+free)
		}
	}
	r.there, r.back = strings.NewReplacer(there...), strings.NewReplacer(back...)
	return r
}

// shell returns a command to be run by sh. A server or a lone curl takes the
// place of the shell, so that signals reach it.
func (r *readmeRun) shell(command string) *exec.Cmd {
	command = strings.Replace(r.there.Replace(command), runServer, "exec "+binary, 1)
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
	case name == "server":
		for _, command := range b.commands {
			if !strings.Contains(command, runServer) {
				r.t.Fatalf("README.md:%d: this starts no server: %s", b.line, command)
			}
			p := launch(r.t, r.shell(command))
			r.servers = append(r.servers, p)
			p.waitServing()
		}
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
	if isWatch {
		n = r.client.watchers()
	}
	c := &backgroundCommand{}
	cmd := r.shell(b.commands[0])
	cmd.Stdout = &c.stdout
	c.process = launch(r.t, cmd)
	r.background[name] = c
	if isWatch {
		r.client.waitWatchers(n + 1)
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
	for _, tool := range []string{"sh", "curl"} {
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

// checkWalkthrough checks that the README shows the whole single-machine
// walkthrough of the API document, with the outputs given there.
func checkWalkthrough(t *testing.T, blocks []readmeBlock) {
	t.Helper()
	doc, err := os.ReadFile("../docs/api-v1.md")
	if err != nil {
		t.Fatal(err)
	}
	_, appendix, found := strings.Cut(string(doc), "## Appendix: the walkthrough")
	if !found {
		t.Fatal("docs/api-v1.md has no walkthrough")
	}
	walkthrough, _, _ := strings.Cut(appendix, "\n\n") // up to the first other machine
	lines := strings.Split(walkthrough, "\n")
	count := 0
	for i, line := range lines {
		if !strings.HasPrefix(line, "curl ") {
			continue
		}
		count++
		command, _, _ := strings.Cut(line, " (") // a remark
		command, _, _ = strings.Cut(command, "  ")
		pattern := placeholders(command)
		found := false
		var shown []string // the lines that blocks with the command print
		for _, b := range blocks {
			if !slices.ContainsFunc(b.commands, pattern.MatchString) {
				continue
			}
			found = true
			if b.output != nil {
				shown = append(shown, strings.Split(*b.output, "\n")...)
			}
		}
		if !found {
			t.Errorf("the README does not show %s", command)
			continue
		}
		next := strings.TrimSpace(lines[min(i+1, len(lines)-1)])
		if !strings.HasPrefix(next, "{") && !strings.HasPrefix(next, "[") {
			continue
		}
		if !slices.ContainsFunc(shown, placeholders(next).MatchString) {
			t.Errorf("the README does not show that %s prints %s", command, next)
		}
	}
	if count < 10 {
		t.Errorf("the walkthrough of docs/api-v1.md has only %d requests", count)
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
