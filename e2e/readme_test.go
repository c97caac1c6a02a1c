package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadme runs the examples of the README.
func TestReadme(t *testing.T) {
	t.Parallel()
	blocks := readPage(t, "README.md")
	before := clone(t)
	newPageRun(t, "README.md").carryOut(blocks)
	if after := clone(t); !slices.Equal(after, before) {
		t.Errorf("the walk leaves something in the clone: %q, before it was %q", after, before)
	}
	if !t.Failed() {
		checkWalkthrough(t, blocks)
	}
}

// clone lists the files at the top of the clone and beside the tests.
func clone(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"../*", "*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	return names
}

// checkWalkthrough checks that the README shows the whole walkthrough of the
// API document, with the outputs given there.
func checkWalkthrough(t *testing.T, blocks []pageBlock) {
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
		command, _, _ := strings.Cut(line, " (") // a remark follows
		command, prints, _ := strings.Cut(command, "  ")
		if prints = strings.TrimSpace(prints); isServer {
			prints = "" // a remark, not output
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
	// The part about TLS, which the document gives in prose.
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
