package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The README and docs/operations.md are scripts. Every ```sh block in them is run by sh,
// command by command, in one working directory; a ```json or ```text block that follows
// directly is what the commands print together, each without its last newline.
//
// The whole README is one script. In docs/operations.md each section, from one "## " to the
// next, is a script: it begins in an empty directory without servers, and what it has started
// is stopped at its end.
//
// A command that begins with `./etcd` or `etcd` runs the built server. It gets
// free ports instead of the defaults; ports 4001 to 4004, 4011 to 4014, 7001 to 7004,
// 7011 to 7014 and 2381 are replaced by free ones in commands and back in outputs. Of expiration
// fields only the presence is compared, and any member ID (16 hexadecimal digits) is like
// any other.
//
// An HTML comment before a block directs it:
//
//	<!-- test: background server -->  starts all servers of the block together, and waits until
//	                                  all say that they serve clients. Each runs until the
//	                                  end or until one of these, which may stand before
//	                                  anything:
//	<!-- test: stop server -->        stops all servers with SIGTERM
//	<!-- test: stop server 7002 -->   stops the server with that peer port
//	<!-- test: kill servers -->       kills all servers with SIGKILL
//	<!-- test: kill server 7002 -->   kills the server with that peer port
//	<!-- test: kill leader -->        kills the server that leads the others with SIGKILL
//	<!-- test: server 7002 ends -->   waits for the server with that peer port to end by
//	                                  itself; `ends with 1` for that exit code
//	<!-- test: background NAME -->    start the one command of the block and go on
//	<!-- test: output of NAME -->     before a json or text block: what that command has printed
//	                                  when it ended
//	<!-- test: output so far of NAME --> the same of one that goes on: it is ended when it has
//	                                  printed what is shown
//	<!-- test: until -->              repeat the block until its output is as shown
//	<!-- test: fails -->              the one command of the block has to fail; the last line
//	                                  that it prints, on stdout or stderr, is as shown
//	<!-- test: ci -->                 not run here: .ci/run does

// pageBlock is a block of commands, or a directive without commands.
type pageBlock struct {
	line      int    // where it starts, from 1
	section   string // the last heading of the second level before it
	commands  []string
	directive string
	output    *string // nil: not shown
}

const (
	runServer   = "./etcd"
	stopServer  = "stop server"
	killServers = "kill servers"
	killLeader  = "kill leader"
)

var (
	// runsServer matches the beginning of a command that runs a server.
	runsServer = regexp.MustCompile(`^(?:\./)?etcd(?: |$)`)
	// serverEnds is the directive that waits for a server, oneServer the one that ends it.
	serverEnds = regexp.MustCompile(`^server (\d+) ends(?: with (\d+))?$`)
	oneServer  = regexp.MustCompile(`^(stop|kill) server (\d+)$`)
)

// standsAlone reports whether a directive belongs to no block.
func standsAlone(directive string) bool {
	return directive == stopServer || directive == killServers || directive == killLeader ||
		serverEnds.MatchString(directive) || oneServer.MatchString(directive)
}

// parsePage returns the blocks of a document in order.
func parsePage(text string) ([]pageBlock, error) {
	var blocks []pageBlock
	directive, fence, section := "", "", ""
	var body []string
	start, last := 0, -1 // where the body starts; the block that an output would belong to
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		comment, isComment := strings.CutPrefix(trimmed, "<!-- test:")
		switch {
		case fence != "" && trimmed != "```":
			body = append(body, line)
		case fence != "":
			isOutput := fence == "```json" || fence == "```text"
			next := -1
			switch {
			case fence == "```sh":
				blocks = append(blocks, pageBlock{line: start, section: section, commands: splitCommands(body), directive: directive})
				directive, next = "", len(blocks)-1
			case isOutput && (strings.HasPrefix(directive, "output of ") || strings.HasPrefix(directive, "output so far of ")):
				blocks = append(blocks, pageBlock{line: start, section: section, directive: directive, output: new(strings.Join(body, "\n"))})
				directive = ""
			case isOutput && directive == "" && last >= 0:
				blocks[last].output = new(strings.Join(body, "\n"))
			}
			if directive != "" {
				return nil, fmt.Errorf("line %d: the directive %q is not for this block", start, directive)
			}
			fence, last = "", next
		case isComment && directive != "":
			return nil, fmt.Errorf("line %d: two directives for one block", i+1)
		case isComment:
			directive, last = strings.TrimSpace(strings.TrimSuffix(comment, "-->")), -1
			if standsAlone(directive) {
				blocks = append(blocks, pageBlock{line: i + 1, section: section, directive: directive})
				directive = ""
			}
		case strings.HasPrefix(trimmed, "```"):
			fence, body, start = trimmed, nil, i+2
		case trimmed != "" && directive != "":
			return nil, fmt.Errorf("line %d: the directive %q stands before no block", i+1, directive)
		case trimmed != "":
			last = -1
			if heading, ok := strings.CutPrefix(line, "## "); ok {
				section = heading
			}
		}
	}
	if fence != "" || directive != "" {
		return nil, fmt.Errorf("the document ends within a block or after a directive")
	}
	return blocks, nil
}

// splitCommands joins continued lines and drops comments.
func splitCommands(lines []string) []string {
	var commands []string
	for line := range strings.SplitSeq(strings.ReplaceAll(strings.Join(lines, "\n"), "\\\n", ""), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			commands = append(commands, line)
		}
	}
	return commands
}

// TestParsePage checks that directives that would be ignored are refused.
func TestParsePage(t *testing.T) {
	t.Parallel()
	const block = "```sh\ncurl a\n```\n"
	tests := []struct {
		name, text string
		blocks     int
		fails      bool
	}{
		{"block with output", block + "\n```json\n{}\n```\n", 1, false},
		{"text between", block + "text\n```json\n{}\n```\n", 1, false},
		{"directive", "<!-- test: background server -->\n" + block, 1, false},
		{"directive of its own", "<!-- test: stop server -->\ntext\n" + block, 2, false},
		{"servers", "<!-- test: kill leader -->\n<!-- test: kill servers -->\n<!-- test: server 7002 ends -->\n", 3, false},
		{"one server", "<!-- test: stop server 7002 -->\n<!-- test: kill server 7002 -->\n<!-- test: server 7002 ends with 1 -->\n", 3, false},
		{"output of another", "<!-- test: output of w -->\n```json\n{}\n```\n", 1, false},
		{"output so far", "<!-- test: output so far of w -->\n```json\n{}\n```\n", 1, false},
		{"other block", "```go\nfunc\n```\n", 0, false},
		{"directive before text", "<!-- test: until -->\ntext\n" + block, 0, true},
		{"directive before output", block + "<!-- test: until -->\n```json\n{}\n```\n", 0, true},
		{"directive before other block", "<!-- test: until -->\n```go\nfunc\n```\n", 0, true},
		{"two directives", "<!-- test: ci -->\n<!-- test: until -->\n" + block, 0, true},
		{"directive at the end", block + "<!-- test: ci -->\n", 0, true},
		{"open block", "```sh\ncurl a\n", 0, true},
	}
	for _, test := range tests {
		blocks, err := parsePage(test.text)
		if len(blocks) != test.blocks || (err != nil) != test.fails {
			t.Errorf("%s: %d blocks, error %v", test.name, len(blocks), err)
		}
	}
}

// TestParseSections checks that blocks belong to the heading before them.
func TestParseSections(t *testing.T) {
	t.Parallel()
	const block = "```sh\n## a comment\ncurl a\n```\n"
	blocks, err := parsePage(block + "## A\n" + block + "### deeper\n" + block + "## B\n<!-- test: stop server -->\n")
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, b := range blocks {
		sections = append(sections, b.section)
	}
	if want := []string{"", "A", "A", "B"}; !slices.Equal(sections, want) {
		t.Errorf("sections %q, want %q", sections, want)
	}
}
