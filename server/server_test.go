package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// waitLimit is far more than any machine needs to serve, on a host that does much else.
const waitLimit = 2 * time.Minute

// lines is a log that passes on its lines.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(bytes.TrimSpace(line))
	return len(line), nil
}

// run runs a machine and returns where it serves clients, and how to stop it. What it logs until then is
// added to logs.
func run(t *testing.T, cfg Config, logs *string) (addr string, stop func() error) {
	t.Helper()
	return begin(cfg).serving(t, logs)
}

// running is a machine.
type running struct {
	log   lines
	stop  context.CancelFunc
	ended chan error
}

func begin(cfg Config) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{log: make(lines, 10_000), stop: cancel, ended: make(chan error, 1)} // more than a machine logs
	cfg.Log = slog.New(slog.NewTextHandler(r.log, nil))
	cfg.Exit = func(code int) {
		for {
			select {
			case line := <-r.log:
				fmt.Fprintln(os.Stderr, line)
			default:
				panic("the machine ends the process")
			}
		}
	}
	go func() { r.ended <- Run(ctx, cfg) }()
	return r
}

// serving waits until the machine serves clients. What it logs until then is added to logs.
func (r *running) serving(t *testing.T, logs *string) (addr string, stop func() error) {
	t.Helper()
	limit := time.After(waitLimit)
	for {
		select {
		case <-limit:
			t.Fatalf("the machine does not serve within %s", waitLimit)
		case line := <-r.log:
			*logs += line + "\n"
			if _, after, serving := strings.Cut(line, `msg="ready to serve client requests" addr=`); serving {
				return after, r.end
			}
		case err := <-r.ended:
			r.stop()
			t.Fatalf("the machine ends before it serves: %v", err)
		}
	}
}

// logged waits until a line of the log has some text.
func (r *running) logged(t *testing.T, text string) {
	t.Helper()
	limit := time.After(waitLimit)
	for {
		select {
		case <-limit:
			t.Fatalf("the machine does not log %s within %s", text, waitLimit)
		case line := <-r.log:
			if strings.Contains(line, text) {
				return
			}
		case err := <-r.ended:
			r.stop()
			t.Fatalf("the machine ends before it logs %s: %v", text, err)
		}
	}
}

func (r *running) end() error {
	r.stop()
	return <-r.ended
}

// TestRun checks that a machine that was stopped goes on with its data, in the same process.
func TestRun(t *testing.T) {
	cfg := Defaults()
	cfg.ClientAddr, cfg.PeerAddr, cfg.DataDir = "0", "0", tempDataDir(t)
	addr, stop := run(t, cfg, new(string))
	answer, err := http.Post("http://"+addr+"/v1/keys/a", "application/x-www-form-urlencoded", strings.NewReader("value=1"))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if err := stop(); err != nil {
		t.Fatalf("the first stop: %v", err)
	}
	addr, stop = run(t, cfg, new(string))
	answer, err = http.Get("http://" + addr + "/v1/keys/a")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || !strings.Contains(string(body), `"value":"1"`) {
		t.Errorf("after the restart the key is %s, %v", body, err)
	}
	if err := stop(); err != nil {
		t.Fatalf("the second stop: %v", err)
	}
}

// TestRefusedConfig checks that an invalid configuration is refused before the directory is
// touched.
func TestRefusedConfig(t *testing.T) {
	for _, test := range []struct {
		name  string
		wrong func(*Config)
		says  string
	}{
		{"one port for both", func(c *Config) { c.ClientAddr, c.PeerAddr = "4001", "4001" }, "different ports"},
		{"no time for an election", func(c *Config) { c.Election = c.Heartbeat }, "-election"},
		{"nobody to join", func(c *Config) { c.Join = []string{"a"} }, "-C"},
		{"a name of a path", func(c *Config) { c.Name = "a/b" }, "slash"},
		{"no listings", func(c *Config) { c.MaxListing = 255 }, "-max-listing"},
		{"no room for an answer", func(c *Config) { c.MaxAnswers = 0 }, "-max-answer-memory"},
		{"no room for a request", func(c *Config) { c.MaxBodyMemory = 1 }, "-max-body-memory"},
	} {
		cfg := Defaults()
		cfg.DataDir = "/dev/null/nowhere"
		test.wrong(&cfg)
		if err := Run(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v does not say %q", test.name, err, test.says)
		}
	}
}
