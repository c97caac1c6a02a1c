package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "etcd-bench:", err)
		os.Exit(1)
	}
}

// run carries out the measurement that the arguments describe and writes the
// table to out.
func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("etcd-bench", flag.ContinueOnError)
	ours := flags.String("ours", "./etcd", "`path` of this project's server")
	other := flags.String("other", "etcd", "`path` of etcd 3.4, empty to leave it out")
	dir := flags.String("dir", "", "`directory` for the data of both servers (default: a temporary one)")
	connections := flags.Int("connections", 64, "keep-alive connections")
	keys := flags.Int("keys", 10000, "number of keys that requests choose from")
	size := flags.Int("size", 128, "bytes per value")
	period := flags.Duration("time", 4*time.Second, "how long each measurement takes")
	rounds := flags.Int("rounds", 3, "how often each measurement is repeated")
	failovers := flags.Int("failover", 0, "instead, kill the leader of three machines so many `times` and measure until the next write")
	snapshots := flags.Int("snapshots", 0, "instead, measure this project's server while it writes snapshots of a state of so many `MiB`")
	reconnect := flags.Int("reconnect", 0, "instead, let so many `clients` reconnect with watches from an old index, and measure the delivery of a fresh event meanwhile")
	listings := flags.Int("listings", 0, "instead, measure writes to a directory of so many `children` while it is being listed")
	overTLS := flags.Bool("tls", false, "instead, compare this project's server over TLS with itself over plain HTTP")
	watches := flags.Int("watches", 5000, "with -tls, number of idle watches")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *connections < 1 || *keys < 1 || *size < 1 || *rounds < 1 || *period <= 0 || *failovers < 0 || *snapshots < 0 || *reconnect < 0 || *listings < 0 || *watches < 1 || flags.NArg() > 0 {
		return errors.New("numbers must be positive, and there are no arguments but flags")
	}
	// The servers need the machine more than the generator does.
	runtime.GOMAXPROCS(1)

	base, err := os.MkdirTemp(*dir, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	if *failovers > 0 {
		return measureFailover(base, *ours, *other, *failovers, out)
	}
	if *snapshots > 0 {
		return measureSnapshots(base, *ours, *snapshots, load{connections: *connections, size: *size}, out)
	}
	if *reconnect > 0 {
		return measureReconnect(base, *ours, load{connections: *connections, size: *size}, *reconnect, *period, out)
	}
	if *listings > 0 {
		return measureListings(base, *ours, load{connections: *connections, size: *size}, *listings, *rounds, *period, out)
	}
	start := func() ([]*target, error) { return startAll(base, *ours, *other) }
	if *overTLS {
		start = func() ([]*target, error) { return startBoth(base, *ours) }
	}
	targets, err := start()
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	if err != nil {
		return err
	}
	l := load{connections: *connections, keys: *keys, size: *size}
	for _, t := range targets {
		if err := l.fill(t); err != nil {
			return fmt.Errorf("%s: loading the keys: %w", t.name, err)
		}
	}
	results := make([][]result, len(operations))
	for i := range results {
		results[i] = make([]result, len(targets))
	}
	for range *rounds {
		for i, op := range operations {
			for j, t := range targets {
				r, err := l.measure(t, op, *period)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", t.name, op, err)
				}
				results[i][j].add(r)
			}
		}
	}
	fmt.Fprintf(out, "%d connections, %d keys, values of %d bytes, %d rounds of %s, %d processors\n\n",
		*connections, *keys, *size, *rounds, *period, runtime.NumCPU())
	printTable(out, targets, results)
	if *overTLS {
		idle := filepath.Join(base, "idle")
		return errors.Join(measureConnections(targets, *period, out), os.Mkdir(idle, 0o700), measureIdle(idle, *ours, *watches, out))
	}
	return nil
}

// startAll starts the servers to compare. If it fails, it returns those it has
// started.
func startAll(base, ours, other string) ([]*target, error) {
	t, err := startOurs(base, ours, "ours", nil)
	if err != nil {
		return nil, err
	}
	targets := []*target{t}
	if !isAvailable(other) {
		return targets, nil
	}
	t, err = startOther(base, other)
	if err != nil {
		return targets, err
	}
	return append(targets, t), nil
}

// isAvailable reports whether there is a server to compare with.
func isAvailable(other string) bool {
	if other == "" {
		return false
	}
	if _, err := exec.LookPath(other); err != nil {
		fmt.Fprintf(os.Stderr, "etcd-bench: no %s to compare with (Debian: apt-get install etcd-server); measuring ours alone\n", other)
		return false
	}
	return true
}

// printTable writes one row for each operation; ratios are ours to the
// other's.
func printTable(out io.Writer, targets []*target, results [][]result) {
	if len(targets) == 1 {
		fmt.Fprintln(out, "| operation | op/s | p50 ms | p99 ms | p99.9 ms | server CPU µs/op |")
		fmt.Fprintln(out, "|---|---:|---:|---:|---:|---:|")
		for i, op := range operations {
			r := &results[i][0]
			fmt.Fprintf(out, "| %s | %.0f | %.2f | %.2f | %.2f | %.1f |\n", op, r.rate(),
				r.percentile(50), r.percentile(99), r.percentile(99.9), r.cpuPerOp())
		}
		return
	}
	fmt.Fprintf(out, "| operation | op/s %s | op/s %s | ratio | p50 / p99 / p99.9 ms %[1]s | p50 / p99 / p99.9 ms %[2]s | CPU µs/op %[1]s | CPU µs/op %[2]s | ratio |\n",
		targets[0].name, targets[1].name)
	fmt.Fprintln(out, "|---|---:|---:|---:|---:|---:|---:|---:|---:|")
	for i, op := range operations {
		a, b := &results[i][0], &results[i][1]
		fmt.Fprintf(out, "| %s | %.0f | %.0f | %.2f | %.2f / %.2f / %.2f | %.2f / %.2f / %.2f | %.1f | %.1f | %.2f |\n", op,
			a.rate(), b.rate(), a.rate()/b.rate(),
			a.percentile(50), a.percentile(99), a.percentile(99.9),
			b.percentile(50), b.percentile(99), b.percentile(99.9),
			a.cpuPerOp(), b.cpuPerOp(), a.cpuPerOp()/b.cpuPerOp())
	}
}
