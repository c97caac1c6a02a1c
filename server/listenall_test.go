package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startLog is what a machine has logged until it served.
type startLog string

// runLogged runs a machine until the test ends.
func runLogged(t *testing.T, cfg Config) startLog {
	t.Helper()
	var logs string
	_, stop := run(t, cfg, &logs)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the stop: %v", err)
		}
	})
	return startLog(logs)
}

// urls returns where the machine says that it listens for clients, or for other machines.
func (log startLog) urls(what string) []string {
	var urls []string
	for line := range strings.Lines(string(log)) {
		if _, url, found := strings.Cut(strings.TrimSpace(line), `msg="listening for `+what+`" url=`); found {
			urls = append(urls, url)
		}
	}
	return urls
}

// get asks a machine for something; the certificate is not verified.
func get(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	answer, err := client.Get(url)
	if err != nil {
		t.Errorf("%s: %v", url, err)
		return ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Errorf("%s: %v", url, err)
	}
	return string(body)
}

// trusting returns a client that takes any certificate, and dials a socket if one is given.
func trusting(t *testing.T, socket string) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// socketPath returns a path that is short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "etcd.sock")
}

// All listeners for clients serve the same machine: http, https and a socket beside each other.
func TestMixOfListeners(t *testing.T) {
	socket := socketPath(t)
	cfg := Defaults()
	cfg.PeerAddr, cfg.DataDir, cfg.AutoTLS = "0", tempDataDir(t), true
	cfg.ClientListen = []string{"unix://" + socket, "http://127.0.0.1:0", "https://127.0.0.1:0", "http://localhost:0"}
	cfg.ClientURLs = []string{"https://127.0.0.1:0", "http://further.example:1"}
	cfg.MetricsListen = []string{"127.0.0.1:0", "https://127.0.0.1:0"}
	log := runLogged(t, cfg)
	urls := log.urls("clients")
	if len(urls) != 4 || urls[0] != "unix://"+socket || !strings.HasPrefix(urls[1], "http://127.0.0.1:") || !strings.HasPrefix(urls[2], "https://127.0.0.1:") {
		t.Fatalf("it listens at %q", urls)
	}
	client, local := trusting(t, ""), trusting(t, socket)
	if answer, err := client.PostForm(urls[1]+"/v1/keys/a", map[string][]string{"value": {"1"}}); err != nil {
		t.Fatal(err)
	} else {
		_ = answer.Body.Close()
	}
	for _, url := range urls[1:] {
		if got := get(t, client, url+"/v1/keys/a"); !strings.Contains(got, `"value":"1"`) {
			t.Errorf("%s answers %q", url, got)
		}
	}
	if got := get(t, local, "http://any.example/v1/keys/a"); !strings.Contains(got, `"value":"1"`) { // no host is checked there
		t.Errorf("the socket answers %q", got)
	}
	// What is advertised is the first URL, with the first port that was opened.
	_, port, _ := strings.Cut(strings.TrimPrefix(urls[1], "http://"), ":")
	if got := get(t, client, urls[1]+"/v1/machines"); !strings.Contains(got, ":"+port) {
		t.Errorf("the machines are %q, want port %s", got, port)
	}
	for _, part := range []string{`clients=https://127.0.0.1:` + port, `others=http://further.example:1`, `level=WARN msg="this URL says http`} {
		if !strings.Contains(string(log), part) {
			t.Errorf("not logged: %s in\n%s", part, log)
		}
	}
	if strings.Count(string(log), `msg="serving metrics"`) != 2 {
		t.Errorf("the metrics listeners are not logged:\n%s", log)
	}
	if info, err := os.Lstat(socket); err != nil || info.Mode().Type() != os.ModeSocket {
		t.Errorf("the socket is %v, %v", info, err)
	}
}

// A machine that serves clients at a socket only has no port for what it advertises with port 0, and
// runs all the same.
func TestSocketOnly(t *testing.T) {
	socket := socketPath(t)
	cfg := Defaults()
	cfg.ClientListen, cfg.ClientURLs, cfg.DataDir = []string{"unix://" + socket}, []string{"http://127.0.0.111:0"}, tempDataDir(t)
	cfg.PeerListen = []string{"http://127.0.0.1:0"}
	runLogged(t, cfg)
	if got := get(t, trusting(t, socket), "http://any.example/health"); !strings.Contains(got, `"true"`) {
		t.Errorf("its health is %q", got)
	}
}

// A socket is removed at a stop, and one that a crash has left is replaced; no other file is, and no
// socket at which a process listens.
func TestSocketFile(t *testing.T) {
	at := site{flag: "--listen-client-urls", scheme: "unix", addr: socketPath(t)}
	l, err := at.open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at.open(); err == nil || !strings.Contains(err.Error(), "another process listens there already") {
		t.Errorf("twice: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as a crash does
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err = at.open(); err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(at.addr); !os.IsNotExist(err) {
		t.Errorf("after a stop: %v", err)
	}
	if err := os.WriteFile(at.addr, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := at.open(); err == nil || !strings.Contains(err.Error(), "a file that is no socket") {
		t.Errorf("at a file: %v", err)
	}
	if data, err := os.ReadFile(at.addr); string(data) != "mine" {
		t.Errorf("the file holds %q, %v", data, err)
	}
	at.addr = filepath.Join(filepath.Dir(at.addr), "missing", "etcd.sock")
	if _, err := at.open(); err == nil || !strings.Contains(err.Error(), "make it first") {
		t.Errorf("in no directory: %v", err)
	}
}

// The port of today's clients is optional: if another process has it, the machine says so and goes on.
// A port that was asked for is not.
func TestSparePort(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	taken := busy.Addr().String()
	var out bytes.Buffer
	cfg := Defaults()
	cfg.Log = slog.New(slog.NewTextHandler(&out, nil))
	cfg.ClientAddr, cfg.PeerAddr, cfg.spare = "0", "0", taken
	p, err := cfg.listenAll()
	if err != nil {
		t.Fatal(err)
	}
	p.close()
	if len(p.clients) != 1 || strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "level=WARN") || !strings.Contains(out.String(), taken) {
		t.Errorf("with %d listeners it logs %q", len(p.clients), out.String())
	}
	cfg.spare = "127.0.0.1:0"
	if p, err = cfg.listenAll(); err != nil || len(p.clients) != 2 {
		t.Errorf("free: %d listeners, %v", len(p.clients), err)
	}
	p.close()
	cfg.ClientListen, cfg.spare = []string{"0", taken}, ""
	if _, err := cfg.listenAll(); err == nil || !strings.Contains(err.Error(), "-cl "+taken+": another process listens there already") {
		t.Errorf("a port that was asked for: %v", err)
	}
}

// With --peer-auto-tls machines encrypt what they tell each other, with certificates that they make.
func TestPeerAutoTLS(t *testing.T) {
	first := Defaults()
	first.ClientAddr, first.PeerAddr, first.DataDir, first.PeerAutoTLS = "0", "0", tempDataDir(t), true
	founder := runLogged(t, first)
	peers := founder.urls("other machines")
	if len(peers) != 1 || !strings.HasPrefix(peers[0], "https://") || !strings.Contains(string(founder), "do not verify each other") {
		t.Fatalf("it listens at %q, and logs\n%s", peers, founder)
	}
	second := first
	second.Name, second.DataDir, second.Join = "second", tempDataDir(t), []string{peers[0]}
	joined := runLogged(t, second)
	client := trusting(t, "")
	if got := get(t, client, joined.urls("clients")[0]+"/v1/machines"); strings.Count(got, "http://") != 2 {
		t.Errorf("the machines are %q", got)
	}
	if got := get(t, client, peers[0]+"/"); !strings.HasPrefix(got, "etcd ") {
		t.Errorf("the peer port answers %q", got)
	}
}

// Without a metrics listener profiles are served to clients, with a warning.
func TestProfilesForClients(t *testing.T) {
	cfg := Defaults()
	cfg.ClientAddr, cfg.PeerAddr, cfg.DataDir, cfg.Pprof = "0", "0", tempDataDir(t), true
	log := runLogged(t, cfg)
	if got := get(t, trusting(t, ""), log.urls("clients")[0]+"/debug/pprof/"); !strings.Contains(got, "goroutine") {
		t.Errorf("the profiles are %q", got)
	}
	if !strings.Contains(string(log), `level=WARN msg="every client can read profiles`) {
		t.Errorf("no warning:\n%s", log)
	}
}
