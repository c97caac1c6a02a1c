package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "etcd-bench:", err)
		os.Exit(1)
	}
}

// run carries out the measurements that the arguments describe, writes tables to out and says
// on progress what it does.
func run(args []string, out, progress io.Writer) error {
	if len(args) > 0 && ceilings[args[0]] != nil {
		return ceilings[args[0]](args[1:])
	}
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	// The servers need the machine more than the generator does.
	runtime.GOMAXPROCS(1)

	base, err := os.MkdirTemp(o.dir, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	b := &bench{options: o, base: base, progress: progress, begin: time.Now()}
	var missing []string
	if b.systems, missing, err = installed(o, base); err != nil {
		return err
	}
	var missingV3 []string
	b.v3, missingV3 = installedV3(o, b.systems[0])
	missing = append(missing, missingV3...)
	for _, m := range missing {
		b.say("not measured: %s", m)
	}
	b.report = report{Settings: o.String(), Versions: map[string]string{}, Missing: missing}
	for _, s := range slices.Concat(b.systems, b.v3) {
		b.report.Versions[s.name] = s.versionOf()
	}
	for i, w := range o.work {
		b.doing = fmt.Sprintf("%d/%d %s", i+1, len(o.work), w.name)
		b.say("begins")
		if err := w.run(b); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	b.doing = ""
	b.say("done")
	b.report.finish()
	b.report.writeTables(out)
	if o.json != "" {
		err = errors.Join(err, writeFile(o.json, b.report.writeJSON))
	}
	if o.plots != "" {
		err = errors.Join(err, b.report.plot(o.plots))
	}
	return err
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// bench is one run.
type bench struct {
	*options
	base     string // directory of all data
	systems  []*system
	v3       []*system // those whose v3 API is measured, ours first
	report   report
	progress io.Writer
	begin    time.Time
	doing    string
}

// say tells whoever waits what is going on.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%7s  %s  %s\n", time.Since(b.begin).Round(time.Second), b.doing, fmt.Sprintf(format, args...))
}

// options are what the command line says.
type options struct {
	work        []workload
	connections []int
	machines    []int
	keys, size  int
	period      time.Duration
	rounds      int
	fanOut      int   // watchers of one key
	idle        []int // watchers, connections
	sparse      int   // watchers of as many keys
	data        []int // numbers of keys
	expiring    int
	failovers   int
	snapshots   int // MiB
	reconnect   int // clients
	children    int
	overload    int     // clients
	sharing     []share // of v3
	versions    int     // that are compacted

	ours, etcd, etcd37, zookeeper string
	dir, json, plots              string
}

// A full run takes about three quarters of an hour, a quick one shows that everything works.
var (
	full = options{
		connections: []int{1, 64, 256}, machines: []int{1, 3}, keys: 10_000, size: 64, period: 3 * time.Second, rounds: 3,
		fanOut: 10_000, idle: []int{1000, 5000, 10_000}, sparse: 15_000, data: []int{10_000, 100_000, 500_000, 2_000_000},
		expiring: 20_000, failovers: 20, snapshots: 1024, reconnect: 10_000, children: 100_000, overload: 10_000,
		sharing: []share{{64, 64}, {1000, 100}}, versions: 1_000_000,
	}
	quick = options{
		connections: []int{1, 8}, machines: []int{1}, keys: 100, size: 64, period: 50 * time.Millisecond, rounds: 1,
		fanOut: 50, idle: []int{50, 100}, sparse: 50, data: []int{100, 1000},
		expiring: 50, failovers: 1, snapshots: 1, reconnect: 20, children: 500, overload: 50,
		sharing: []share{{8, 8}, {20, 2}}, versions: 1000,
	}
)

// largestBeside is the largest data set that is measured of others as well: they need many
// times the memory.
const largestBeside = 500_000

// parse reads the command line.
func parse(args []string, help io.Writer) (*options, error) {
	o := full
	for _, a := range args {
		if a == "-quick" || a == "--quick" {
			o = quick
		}
	}
	flags := flag.NewFlagSet("etcd-bench", flag.ContinueOnError)
	flags.SetOutput(help)
	work := flags.String("work", "all", "what to measure, comma separated: "+workNames())
	flags.Bool("quick", false, "only show that everything works: small sizes, short times, no figures worth comparing")
	flags.Func("connections", "`numbers` of keep-alive connections, comma separated (default "+joined(o.connections)+")", list(&o.connections))
	flags.Func("machines", "`numbers` of machines of a cluster, comma separated (default "+joined(o.machines)+")", list(&o.machines))
	flags.IntVar(&o.keys, "keys", o.keys, "number of keys that requests choose from")
	flags.IntVar(&o.size, "size", o.size, "bytes per value")
	flags.DurationVar(&o.period, "time", o.period, "how long each measurement takes")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "how often each measurement is repeated")
	flags.IntVar(&o.fanOut, "fanout", o.fanOut, "`watchers` of one key")
	flags.Func("idle", "`numbers` of idle watchers and connections, comma separated (default "+joined(o.idle)+")", list(&o.idle))
	flags.IntVar(&o.sparse, "sparse", o.sparse, "`watchers` of as many keys, beside which others are written")
	flags.Func("data", "`numbers` of keys of data sets, comma separated (default "+joined(o.data)+")", list(&o.data))
	flags.IntVar(&o.expiring, "expiring", o.expiring, "`keys` that expire at once")
	flags.IntVar(&o.failovers, "failovers", o.failovers, "how many `times` a leader is killed")
	flags.IntVar(&o.snapshots, "snapshots", o.snapshots, "`MiB` of the state of which snapshots are written")
	flags.IntVar(&o.reconnect, "reconnect", o.reconnect, "`clients` that come back at once")
	flags.IntVar(&o.children, "children", o.children, "`children` of the directory that is listed")
	flags.IntVar(&o.overload, "overload", o.overload, "`clients` that write at once")
	flags.Func("clients", "`numbers` of clients of v3 and connections that they share, comma separated (default "+joinedShares(o.sharing)+")", shares(&o.sharing))
	flags.IntVar(&o.versions, "versions", o.versions, "old `versions` that are compacted")
	flags.StringVar(&o.ours, "ours", "", "`path` of this project's server (default: build it)")
	flags.StringVar(&o.etcd, "etcd", "etcd", "`path` of etcd 3.4, empty to leave it out")
	flags.StringVar(&o.etcd37, "etcd37", "", "`path` of the official etcd 3.7, whose v3 API is measured (default: left out)")
	flags.StringVar(&o.zookeeper, "zookeeper", "/usr/share/java/zookeeper.jar", "`path` of the jar of ZooKeeper 3.8, empty to leave it out")
	flags.StringVar(&o.dir, "dir", "", "`directory` for the data of all servers (default: a temporary one)")
	flags.StringVar(&o.json, "json", "", "`file` for all figures as JSON")
	flags.StringVar(&o.plots, "plots", "", "`directory` for plots as SVG")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("there are no arguments but flags: %q", flags.Arg(0))
	}
	counts := slices.Concat(o.connections, o.machines, o.idle, o.data,
		[]int{o.keys, o.size, o.rounds, o.fanOut, o.sparse, o.expiring, o.failovers, o.snapshots, o.reconnect, o.children, o.overload, o.versions})
	if slices.Min(counts) < 1 || o.period <= 0 {
		return nil, errors.New("numbers and times must be positive")
	}
	if o.plots != "" {
		if err := os.MkdirAll(o.plots, 0o755); err != nil {
			return nil, err
		}
	}
	var err error
	o.work, err = chosen(*work)
	return &o, err
}

func (o *options) String() string {
	return fmt.Sprintf("Values of %d bytes, %s keys, %d rounds of %s, %d processors, %s/%s. Servers and load generator share the processors.\n",
		o.size, grouped(o.keys), o.rounds, o.period, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
}

// list parses numbers.
func list(into *[]int) func(string) error {
	return func(text string) error {
		var all []int
		for _, part := range strings.Split(text, ",") {
			var n int
			if _, err := fmt.Sscan(part, &n); err != nil {
				return fmt.Errorf("%q is no number", part)
			}
			all = append(all, n)
		}
		*into = all
		return nil
	}
}

func joined(numbers []int) string {
	var parts []string
	for _, n := range numbers {
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, ",")
}

// dataDir returns a path for files of the bench itself.
func (b *bench) path(name string) string { return filepath.Join(b.base, name) }
