package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"etcd/credentials/certtest"
)

// dialers is how many connections are opened at a time.
const dialers = 8

// startBoth starts this project's server twice, over TLS and over plain HTTP, with
// their files in base. If it fails, it returns those it has started.
func startBoth(base, ours string) ([]*target, error) {
	ca := certtest.New("bench")
	pair := ca.Issue("bench")
	cert, key := filepath.Join(base, "cert"), filepath.Join(base, "key")
	if err := errors.Join(os.WriteFile(cert, pair.Cert, 0o600), os.WriteFile(key, pair.Key, 0o600)); err != nil {
		return nil, err
	}
	secure, err := startOurs(base, ours, "TLS", &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"},
		"-clientCert", cert, "-clientKey", key)
	if err != nil {
		return nil, err
	}
	plain, err := startOurs(base, ours, "plain", nil)
	if err != nil {
		return []*target{secure}, err
	}
	return []*target{secure, plain}, nil
}

// measureConnections prints what new connections cost.
func measureConnections(targets []*target, period time.Duration, out io.Writer) error {
	fmt.Fprint(out, "\n| a new connection with one local read | server CPU µs |\n|---|---:|\n")
	for _, t := range targets {
		kinds := []string{t.name}
		if t.tls != nil {
			kinds = []string{t.name + ", full handshake", t.name + ", session resumed"}
		}
		for i, kind := range kinds {
			dialled := *t
			if i > 0 {
				dialled.tls = t.tls.Clone()
				dialled.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
			}
			cost, err := measureDials(&dialled, period)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			fmt.Fprintf(out, "| %s | %.0f |\n", kind, cost)
		}
	}
	return nil
}

// measureIdle prints what idle watches cost on fresh servers.
func measureIdle(base, ours string, watches int, out io.Writer) error {
	targets, err := startBoth(base, ours)
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n| %d idle watches | resident bytes for each |\n|---|---:|\n", watches)
	for _, t := range targets {
		bytes, err := measureWatches(t, watches)
		if err != nil {
			return fmt.Errorf("%s: watches: %w", t.name, err)
		}
		fmt.Fprintf(out, "| %s | %.0f |\n", t.name, bytes)
	}
	return nil
}

// measureDials opens connections for a while, one request on each, and returns the CPU
// time of the server for one of them in µs.
func measureDials(t *target, period time.Duration) (float64, error) {
	l := load{size: 1}
	before, err := t.cpu()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	counts := make([]int, dialers)
	errs := make(chan error, dialers)
	var wg sync.WaitGroup
	for i := range dialers {
		wg.Go(func() {
			for time.Since(begin) < period {
				c, err := l.connect(t)
				if err == nil {
					// Reading the answer reads a ticket for the next session as well.
					err = errors.Join(c.request(localRead, rand.IntN(100)), c.Close())
				}
				if err != nil {
					errs <- err
					return
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	close(errs)
	after, err := t.cpu()
	if err := errors.Join(err, <-errs); err != nil {
		return 0, err
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64((after - before).Microseconds()) / float64(total), nil
}

// measureWatches opens watches and returns by how many bytes each lets the server grow.
func measureWatches(t *target, n int) (float64, error) {
	before, err := t.resident()
	if err != nil {
		return 0, err
	}
	l := load{size: 1}
	for range n {
		c, err := l.connect(t)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /v1/watch/never HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
			return 0, err
		}
	}
	// An answer on one more connection shows that the server has handled all of them.
	c, err := l.connect(t)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.request(linearizableRead, 0); err != nil {
		return 0, err
	}
	after, err := t.resident()
	return float64(after-before) / float64(n), err
}

// resident returns how much memory of the server is resident, in bytes.
func (t *target) resident() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("/proc has no VmRSS")
	}
	kib, err := strconv.Atoi(string(fields[0]))
	return kib << 10, err
}
