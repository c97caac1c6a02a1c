package v3

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	_ "go.etcd.io/etcd/tests/v3/common" // whose tests TestMain builds, with what go.mod says
)

var common = flag.String("common", "", "which tests of upstream's tests/common run, a `regexp`; if it is given, also those that are slow or are known to fail")

// TestCommon runs etcd's own tests/common with the server under test: clusters of one machine,
// and of three with TLS, and etcdctl.
func TestCommon(t *testing.T) {
	begin(t)
	t.Parallel()
	tests, err := output(prepared("common"), "-test.list", "^Test")
	if err != nil {
		t.Fatal(err)
	}
	exceptions := readExceptions(t)
	var names []string
	for name := range strings.Lines(tests) {
		name = strings.TrimSpace(name)
		exception, isException := exceptions[name]
		exception.exists = true
		if isException {
			exceptions[name] = exception
		}
		if matched, err := regexp.MatchString(cmp.Or(*common, "."), name); err != nil {
			t.Fatal(err)
		} else if matched && (*common != "" || !isException) {
			names = append(names, name)
		}
	}
	for name, e := range exceptions {
		if !e.exists {
			t.Errorf("testdata/common.txt: upstream has no %s", name)
		}
	}
	// Most of their time they wait for processes. Each has a network of its own, because they
	// use the same ports.
	const shards = 3
	for i := range shards {
		var mine []string
		for at := i; at < len(names); at += shards {
			mine = append(mine, names[at])
		}
		t.Run(fmt.Sprintf("shard%d", i), func(t *testing.T) {
			t.Parallel()
			runCommon(t, mine, exceptions)
		})
	}
}

// exception is a line of testdata/common.txt.
type exception struct {
	kind, reason string
	exists       bool
}

func readExceptions(t *testing.T) map[string]exception {
	t.Helper()
	text, err := os.ReadFile("testdata/common.txt")
	if err != nil {
		t.Fatal(err)
	}
	exceptions := make(map[string]exception)
	for line := range strings.Lines(string(text)) {
		if line[0] == '#' {
			continue
		}
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(fields) != 3 || fields[1] != "fails" && fields[1] != "slow" || exceptions[fields[0]].kind != "" {
			t.Fatalf("testdata/common.txt: %q is no name, fails or slow, and a reason, or comes twice", line)
		}
		exceptions[fields[0]] = exception{kind: fields[1], reason: fields[2]}
	}
	return exceptions
}

var verdict = regexp.MustCompile(`^--- (PASS|FAIL|SKIP): (\w+) \((.*)\)`)

func runCommon(t *testing.T, names []string, exceptions map[string]exception) {
	if len(names) == 0 {
		return
	}
	cmd := exec.Command("unshare", isolated(prepared("common"), "-test.v", "-test.run", "^("+strings.Join(names, "|")+")$",
		"-test.timeout", "30m", "-bin-dir", prepared("bin"), "-cert-dir", prepared("fixtures"))...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "E2E_TEST_MINIMAL=true", "TMPDIR="+t.TempDir())
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	left := slices.Clone(names)
	failed := 0
	var section bytes.Buffer // of the present test
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fmt.Fprintln(&section, lines.Text())
		found := verdict.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		result, name := found[1], found[2]
		left = slices.DeleteFunc(left, func(one string) bool { return one == name })
		switch e := exceptions[name]; {
		case result == "FAIL" && e.kind != "fails":
			failed++
			t.Errorf("%s fails\n%s", name, section.Bytes())
		case result == "FAIL":
			failed++
			t.Logf("%s fails, %s: %s", name, found[3], e.reason)
		case result == "PASS" && e.kind == "fails":
			t.Errorf("%s passes: remove it from testdata/common.txt", name)
		default:
			t.Logf("%s: %s, %s", name, result, found[3])
		}
		section.Reset()
	}
	if len(left) != 0 || err != nil && failed == 0 {
		t.Errorf("%v, and no verdict about %s\n%s", err, strings.Join(left, ", "), section.Bytes())
	}
	t.Logf("%d tests in %v", len(names), time.Since(begun))
}
