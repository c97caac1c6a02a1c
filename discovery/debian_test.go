package discovery

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"etcd/internal/freeport"
)

// Debian's discovery service, with its etcd to store in, gives several machines one list, at once
// and one after the other, and a client says what is wrong with a token.
func TestDebianService(t *testing.T) {
	service := startDebianService(t)
	newToken := func(size string) string {
		t.Helper()
		answer, err := http.Get(service + "/new?size=" + size)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		url, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%d %s, %v", answer.StatusCode, url, err)
		}
		return string(url)
	}
	for _, url := range []string{newToken("3"), newToken("3")} {
		first := begin(t.Context(), dial(t, url, ""), machine(1))
		second := begin(t.Context(), dial(t, url, ""), machine(2))
		third := begin(t.Context(), dial(t, url, ""), machine(3))
		got := <-first
		if got.err != nil || strings.Count(got.list, "=") != 3 {
			t.Errorf("%q, %v", got.list, got.err)
		}
		for _, done := range []chan outcome{second, third, begin(t.Context(), dial(t, url, ""), machine(2))} {
			if other := <-done; other.err != nil || other.list != got.list {
				t.Errorf("%q, %v; the first one has %q", other.list, other.err, got.list)
			}
		}
		_, err := dial(t, url, "").Cluster(t.Context(), machine(4))
		wantError(t, err, "full", got.list)
	}
	for url, says := range map[string]string{
		newToken("-1"): `"-1"`,
		service + "/00000000000000000000000000000000": "does not know this token",
		service + "/abc": "404 page not found",
	} {
		_, err := dial(t, url, "").Cluster(t.Context(), machine(1))
		wantError(t, err, says)
	}
}

// startDebianService runs the service and its etcd, and returns the URL of the service.
func startDebianService(t *testing.T) string {
	t.Helper()
	const missing = "needs Debian's packages etcd-discovery, and etcd-server of a version up to 3.5: "
	discovery, err := exec.LookPath("discovery.etcd.io")
	if err != nil {
		t.Skip(missing, err)
	}
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip(missing, err)
	}
	version, err := exec.Command(etcd, "--version").Output()
	if err != nil || !regexp.MustCompile(`^etcd Version: 3\.[0-5]\.`).Match(version) {
		t.Skipf("%s%s, %v", missing, version, err)
	}
	client, peer, address := "http://"+freeport.Address(t), "http://"+freeport.Address(t), freeport.Address(t)
	runUntilEnd(t, etcd, "--enable-v2", "--data-dir", t.TempDir(), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	runUntilEnd(t, discovery, "--etcd", client, "--host", "http://"+address, "--addr", address)
	waitFor(t, client+"/health")
	waitFor(t, "http://"+address+"/robots.txt")
	return "http://" + address
}

// runUntilEnd runs a program until the test has ended.
func runUntilEnd(t *testing.T, program string, args ...string) {
	t.Helper()
	var log strings.Builder
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s\n%s", cmd, &log)
		}
	})
}

// waitFor returns when there is an answer from a URL.
func waitFor(t *testing.T, url string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := fmt.Errorf("never asked")
	for limit := time.After(time.Minute); ; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("no answer from %s: %v", url, last)
		}
		answer, err := http.Get(url)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("status %d", answer.StatusCode)
		}
		last = err
	}
}
