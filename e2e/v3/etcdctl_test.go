package v3

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// etcdctls are those of which each talks to the server. The other one is Debian's, of etcd 3.4.
func etcdctls() []string { return []string{prepared("bin", "etcdctl"), debianEtcdctl.file} }

var debianEtcdctl = pkg{"etcd-client", "/usr/bin/etcdctl"}

// shapes are the clusters that etcdctl talks to.
var shapes = []struct {
	name string
	size int
	tls  bool
}{{"one", 1, false}, {"three with TLS", 3, true}}

// TestEtcdctl has etcdctl print the same with ours as with the official server, on a cluster
// with the same addresses, so that even the IDs are the same.
func TestEtcdctl(t *testing.T) {
	begin(t, debianEtcdctl)
	t.Parallel()
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			places := newPlaces(shape.size, shape.tls)
			dir := t.TempDir()
			var files [2][2]string // of a server and an etcdctl
			for i, program := range []string{prepared("official"), prepared("bin", "etcd")} {
				machines := startClusterAt(t, program, places)
				for j, etcdctl := range etcdctls() {
					files[i][j] = filepath.Join(dir, strconv.Itoa(2*i+j))
					text := runEtcdctl(t, etcdctl, machines)
					if err := os.WriteFile(files[i][j], []byte(withoutAccidents(text)), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				for _, s := range machines {
					s.kill()
				}
			}
			for j, etcdctl := range etcdctls() {
				diff, err := exec.Command("diff", "-U3", "--label", "official", files[0][j], "--label", subject(), files[1][j]).CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v\n%s", etcdctl, err, diff)
				}
			}
		})
	}
}

// runEtcdctl returns what the script prints.
func runEtcdctl(t *testing.T, etcdctl string, machines []*server) string {
	t.Helper()
	env := append(os.Environ(), "ETCDCTL="+etcdctl, "OTHER="+newURL("http"))
	var clients []string
	for i, s := range machines {
		env = append(env, fmt.Sprintf("CLIENT%d=%s", i, s.client))
		clients = append(clients, s.client)
	}
	env = append(env, "CLIENTS="+strings.Join(clients, ","))
	env = append(env, etcdctlTLS(machines[0])...)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-v", filepath.Join("testdata", "etcdctl.sh"))
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", etcdctl, err, out)
	}
	return string(out)
}

// etcdctlTLS returns variables with which etcdctl authenticates itself, if it has to.
func etcdctlTLS(s *server) []string {
	if !strings.HasPrefix(s.client, "https:") {
		return nil
	}
	return []string{"ETCDCTL_CACERT=" + prepared("fixtures", "ca.crt"),
		"ETCDCTL_CERT=" + prepared("fixtures", "server.crt"), "ETCDCTL_KEY=" + prepared("fixtures", "server.key.insecure")}
}

var accidents = []struct {
	expression  *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`(?i)("(?:raft_?term|leader|raft_?(?:applied_?)?index|db_?size(?:_?in_?use)?)" ?: ?)\d+`), "${1}N"},
	{regexp.MustCompile(`\b3\.7\.\d+\b`), "3.7.x"},
	{regexp.MustCompile(`(took = |"took":"|"Took" : "?)[0-9.]+[µm]?s`), "${1}TIME"},
	{regexp.MustCompile(`(?m)^\{"level":"warn".*\n`), ""}, // what etcdctl logs for itself
}

// withoutAccidents replaces what differs from run to run.
func withoutAccidents(text string) string {
	for _, a := range accidents {
		text = a.expression.ReplaceAllString(text, a.replacement)
	}
	return text
}

// TestCheckPerf has etcdctl check the performance of a cluster, which takes it a minute. What
// it says about times is not judged: they belong to the machine.
func TestCheckPerf(t *testing.T) {
	begin(t, debianEtcdctl)
	t.Parallel()
	for i, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			machines := startCluster(t, prepared("bin", "etcd"), shape.size, shape.tls)
			var clients []string
			for _, s := range machines {
				clients = append(clients, s.client)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, etcdctls()[i], "--endpoints", strings.Join(clients, ","), "check", "perf", "--auto-compact")
			cmd.Env = append(os.Environ(), etcdctlTLS(machines[0])...)
			out, _ := cmd.CombinedOutput()
			text := string(out)
			if bar := strings.LastIndex(text, "p/s"); bar >= 0 { // which it redraws
				text = text[bar:]
			}
			if !strings.Contains(text, "Throughput") || strings.Contains(strings.ToLower(text), "error") || strings.Contains(text, "Cleanup") {
				t.Fatalf("%s\n%s", cmd, out)
			}
			t.Logf("%s", text)
		})
	}
}
