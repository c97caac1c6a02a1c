package v3

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "go.etcd.io/etcd/tests/v3/common" // whose tests TestMain builds, with what go.mod says
)

var common = flag.String("common", "", "which tests of upstream's tests/common run, a `regexp`; if it is given, also those that testdata/common.txt lists")

// TestCommon runs etcd's own tests/common with the server under test: clusters of one machine,
// and of three with TLS, used by etcdctl. Those that testdata/common.txt lists do not run unless
// -common asks for them, and then one that is listed as failing must fail.
func TestCommon(t *testing.T) {
	begin(t) // and is not parallel: they have limits of time
	chosen, err := regexp.Compile(*common)
	if err != nil {
		t.Fatal(err)
	}
	list, err := output(prepared("common"), "-test.list", "^Test")
	if err != nil {
		t.Fatal(err)
	}
	exceptions := readExceptions(t)
	tests := make(chan commonTest, 1000)
	for name := range strings.Lines(list) {
		test := commonTest{name: strings.TrimSpace(name)}
		test.exception = exceptions[test.name]
		delete(exceptions, test.name)
		if chosen.MatchString(test.name) && (*common != "" || test.kind == "") {
			tests <- test
		}
	}
	close(tests)
	for name := range exceptions {
		t.Errorf("testdata/common.txt: upstream has no %s", name)
	}
	// Most of the time they wait for processes. Each has a network of its own, because they use
	// the same ports, and a process of its own, because one may end it.
	const atOnce = 3
	var running sync.WaitGroup
	late := make(chan commonTest, cap(tests))
	for range atOnce {
		running.Go(func() {
			for test := range tests {
				if !test.run(t, false) {
					late <- test
				}
			}
		})
	}
	running.Wait()
	close(late)
	for test := range late { // without the others
		test.run(t, true)
	}
}

// commonTest is one of upstream's tests, perhaps with a line of testdata/common.txt.
type commonTest struct {
	name string
	exception
}

type exception struct{ kind, reason string }

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
		exceptions[fields[0]] = exception{fields[1], fields[2]}
	}
	return exceptions
}

// outOfTime is what a test says whose limit of time has passed, which most have: ten seconds for
// two clusters and a hundred processes.
var outOfTime = regexp.MustCompile(`timed out|deadline exceeded`)

var verdict = regexp.MustCompile(`(?m)^--- (PASS|FAIL|SKIP): `)

// run runs a test, and returns false if it had not enough time and has another chance.
func (test commonTest) run(t *testing.T, last bool) bool {
	cmd := exec.Command("unshare", isolated(prepared("common"), "-test.v", "-test.run", "^"+test.name+"$", "-test.timeout", "10m",
		"-bin-dir", prepared("bin"), "-cert-dir", prepared("fixtures"))...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "E2E_TEST_MINIMAL=true")
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Error(err)
		return true
	}
	result := "no verdict"
	if found := verdict.FindSubmatch(out); found != nil {
		result = string(found[1])
	}
	switch {
	case err != nil && test.kind != "fails" && !last && outOfTime.Match(out):
		return false
	case err != nil && test.kind != "fails":
		t.Errorf("%s: %v\n%s", test.name, err, withoutLogs(out))
	case result == "PASS" && err == nil && test.kind == "fails":
		t.Errorf("%s passes: remove it from testdata/common.txt", test.name)
	case err == nil && result == "no verdict":
		t.Errorf("%s has not run\n%s", test.name, out)
	default:
		t.Logf("%s: %s, %.1f s. %s", test.name, result, time.Since(begun).Seconds(), test.reason)
	}
	return true
}

// withoutLogs leaves out what upstream's framework and the servers log.
func withoutLogs(out []byte) []byte {
	var text bytes.Buffer
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if line := lines.Text(); !strings.Contains(line, "logger.go:") && !strings.HasPrefix(line, "/") {
			text.WriteString(line + "\n")
		}
	}
	return text.Bytes()
}
