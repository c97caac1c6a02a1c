package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// The README is a script. Every ```sh block in it is run by sh, command by
// command, in one working directory; a ```json or ```text block that follows
// directly is what the commands print together, each without its last
// newline. An HTML comment before a block directs it:
//
//	<!-- test: background server -->  the commands `./etcd ...` stand for the built
//	                                  server. All of the block are started together; each
//	                                  serves until the end or until one of these, which may
//	                                  stand before anything:
//	<!-- test: stop server -->        stops all servers with SIGTERM
//	<!-- test: kill servers -->       kills all servers with SIGKILL
//	<!-- test: kill leader -->        kills the server that leads the others with SIGKILL
//	<!-- test: server 7002 ends -->   waits for the server with that peer port to end by itself
//	<!-- test: background NAME -->    start the one command of the block and go on
//	<!-- test: output of NAME -->     before a json or text block: what that command has printed
//	                                  when it ended
//	<!-- test: until -->              repeat the block until its output is as shown
//	<!-- test: ci -->                 not run here: .ci/run does
//
// Ports 4001 to 4004 and 7001 to 7004 are replaced by free ones in commands
// and back in outputs. Of expiration fields only the presence is compared.

// readmeBlock is a block of commands, or a directive without commands.
type readmeBlock struct {
	line      int // where it starts, from 1
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

// serverEnds is the directive that waits for a server.
var serverEnds = regexp.MustCompile(`^server (\d+) ends$`)

// standsAlone says that a directive belongs to no block.
func standsAlone(directive string) bool {
	return directive == stopServer || directive == killServers || directive == killLeader || serverEnds.MatchString(directive)
}

// parseReadme returns the blocks of a document in order.
func parseReadme(text string) ([]readmeBlock, error) {
	var blocks []readmeBlock
	directive, fence := "", ""
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
				blocks = append(blocks, readmeBlock{line: start, commands: splitCommands(body), directive: directive})
				directive, next = "", len(blocks)-1
			case isOutput && strings.HasPrefix(directive, "output of "):
				blocks = append(blocks, readmeBlock{line: start, directive: directive, output: new(strings.Join(body, "\n"))})
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
				blocks = append(blocks, readmeBlock{line: i + 1, directive: directive})
				directive = ""
			}
		case strings.HasPrefix(trimmed, "```"):
			fence, body, start = trimmed, nil, i+2
		case trimmed != "" && directive != "":
			return nil, fmt.Errorf("line %d: the directive %q stands before no block", i+1, directive)
		case trimmed != "":
			last = -1
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

// TestParseReadme checks that directives that would be ignored are refused.
func TestParseReadme(t *testing.T) {
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
		{"output of another", "<!-- test: output of w -->\n```json\n{}\n```\n", 1, false},
		{"other block", "```go\nfunc\n```\n", 0, false},
		{"directive before text", "<!-- test: until -->\ntext\n" + block, 0, true},
		{"directive before output", block + "<!-- test: until -->\n```json\n{}\n```\n", 0, true},
		{"directive before other block", "<!-- test: until -->\n```go\nfunc\n```\n", 0, true},
		{"two directives", "<!-- test: ci -->\n<!-- test: until -->\n" + block, 0, true},
		{"directive at the end", block + "<!-- test: ci -->\n", 0, true},
		{"open block", "```sh\ncurl a\n", 0, true},
	}
	for _, test := range tests {
		blocks, err := parseReadme(test.text)
		if len(blocks) != test.blocks || (err != nil) != test.fails {
			t.Errorf("%s: %d blocks, error %v", test.name, len(blocks), err)
		}
	}
}
