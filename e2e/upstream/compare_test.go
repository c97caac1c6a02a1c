package upstream

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var etcdServer = pkg{"etcd-server", reference}

// compare runs a shell script against clusters of etcd 3.4 and of ours, and compares what it
// prints, of which the lines of the script are a part.
func compare(t *testing.T, script string, machines int, env ...string) {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for _, program := range []string{reference, *program} {
		var clients []string
		for range machines {
			clients = append(clients, newURL())
		}
		text := runScript(t, script, startCluster(t, program, clients...), env)
		file := filepath.Join(dir, strconv.Itoa(len(files)))
		if err := os.WriteFile(file, []byte(withoutAccidents(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if diff, err := exec.Command("diff", "-U3", "--label", reference, files[0], "--label", *program, files[1]).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, diff)
	}
}

// runScript returns what a script prints that knows the addresses of a cluster by variables,
// and has these instead of the addresses.
func runScript(t *testing.T, script string, machines []*server, env []string) (text string) {
	t.Helper()
	dir := t.TempDir()
	var named []string
	env = append(env, "DIR="+dir)
	name := func(variable, value string) {
		env = append(env, variable+"="+value)
		named = append(named, value, "$"+variable)
	}
	for i, s := range machines {
		name(fmt.Sprintf("CLIENT%d", i), s.client)
		name(fmt.Sprintf("PEER%d", i), s.peer)
	}
	name("OTHER0", newURL())
	name("OTHER1", newURL())
	cmd := exec.Command("sh", "-v", filepath.Join("testdata", script))
	cmd.Env = append(os.Environ(), env...)
	out, err := finish(cmd)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.NewReplacer(append(named, dir, "$DIR")...).Replace(out)
}

var (
	moment   = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
	hundred  = regexp.MustCompile(`(?i)(ttl"?: ?)(9\d|100)\b`)
	memberID = regexp.MustCompile(`\b[0-9a-f]{12,16}\b`)
	// The index of an answer to a malformed request is 0 in etcd 3.4, and no index of anything.
	malformed = regexp.MustCompile(`("errorCode":2\d\d,.*"index":)\d+(.*\n.*X-Etcd-Index: )\d+`)
	index     = regexp.MustCompile(`(?i)(?:index"?: ?|index=|\[1 != | \[)\d{1,6}\b|/\d{20}\b`)
)

// withoutAccidents replaces what differs from cluster to cluster: times, the IDs of members by
// the order in which they appear, and indexes by their order.
func withoutAccidents(text string) string {
	text = moment.ReplaceAllString(text, "TIME")
	text = hundred.ReplaceAllString(text, "${1}100")
	text = malformed.ReplaceAllString(text, "${1}?${2}?")
	ids := map[string]string{}
	text = memberID.ReplaceAllStringFunc(text, func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("ID%d", len(ids))
		}
		return ids[id]
	})
	var indexes []int
	for _, found := range index.FindAllString(text, -1) {
		_, n := splitIndex(found)
		indexes = append(indexes, n)
	}
	slices.Sort(indexes)
	indexes = slices.Compact(indexes)
	return index.ReplaceAllStringFunc(text, func(found string) string {
		before, n := splitIndex(found)
		order, _ := slices.BinarySearch(indexes, n)
		return fmt.Sprintf("%sINDEX%d", before, order)
	})
}

// splitIndex returns the number at the end of what the expression index has found.
func splitIndex(found string) (before string, n int) {
	before = strings.TrimRight(found, "0123456789")
	n, _ = strconv.Atoi(found[len(before):])
	return before, n
}
