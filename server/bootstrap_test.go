package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"etcd/bootstrap"
	"etcd/credentials/certtest"
	"etcd/internal/freeport"
	"etcd/wal"
	"etcd/wal/vfs"
)

// infra returns the configurations of n machines that found a cluster together.
func infra(t *testing.T, n int) []Config {
	t.Helper()
	all := make([]Config, n)
	var list []string
	for i := range all {
		all[i] = Defaults()
		all[i].Name, all[i].DataDir, all[i].ClientAddr = fmt.Sprint("infra", i), tempDataDir(t), "0"
		all[i].PeerAddr = freeport.Address(t)
		list = append(list, all[i].Name+"=http://"+all[i].PeerAddr)
	}
	for i := range all {
		all[i].InitialCluster, all[i].InitialClusterToken = strings.Join(list, ","), "test"
	}
	return all
}

func put(t *testing.T, addr, value string) {
	t.Helper()
	answer, err := http.Post("http://"+addr+"/v1/keys/a", "application/x-www-form-urlencoded", strings.NewReader("value="+value))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("put: %s", answer.Status)
	}
}

// endAll stops machines together, so that none waits for those that have gone.
func endAll(t *testing.T, machines ...*running) {
	t.Helper()
	for _, r := range machines {
		r.stop()
	}
	for _, r := range machines {
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
	}
}

// Machines with the same list are one cluster in whatever order they start, also when one comes after
// the others serve, and when all are started again, with or without the list.
func TestFoundersInEveryOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			all := infra(t, 3)
			first, second := begin(all[order[0]]), begin(all[order[1]])
			addr, _ := first.serving(t, new(string))
			second.serving(t, new(string))
			put(t, addr, "1")
			third := begin(all[order[2]])
			addr, _ = third.serving(t, new(string))
			put(t, addr, "2")
			for _, r := range []*running{third, second, first} {
				if err := r.end(); err != nil {
					t.Fatal(err)
				}
			}
			all[0].InitialCluster, all[0].InitialClusterToken = "", ""
			all[1].InitialCluster = "infra1=http://127.0.0.1:1"
			for i := range all {
				all[i].PeerAddr = ""
			}
			var again []*running
			for _, cfg := range all {
				again = append(again, begin(cfg))
			}
			for _, r := range again {
				addr, _ = r.serving(t, new(string))
				put(t, addr, "3")
			}
			endAll(t, again...)
		})
	}
}

// A machine with a list that the others do not have does not get into their cluster, whether it is
// there first or last, and cannot hold them up.
func TestFounderWithAnotherList(t *testing.T) {
	for _, last := range []bool{false, true} {
		t.Run(fmt.Sprintf("last=%t", last), func(t *testing.T) {
			t.Parallel()
			all := infra(t, 3)
			wrong := all[2]
			wrong.InitialClusterToken = "other"
			var odd *running
			if !last {
				odd = begin(wrong)
				odd.logged(t, "waiting for a majority")
			}
			first, second := begin(all[0]), begin(all[1])
			addr, stopFirst := first.serving(t, new(string))
			_, stopSecond := second.serving(t, new(string))
			put(t, addr, "1")
			if last {
				odd = begin(wrong)
			}
			if err := <-odd.ended; err == nil || !strings.Contains(err.Error(), "--initial-cluster-token differs") {
				t.Errorf("it ends with %v", err)
			}
			right := begin(all[2])
			_, stopThird := right.serving(t, new(string))
			for _, stop := range []func() error{stopThird, stopSecond, stopFirst} {
				if err := stop(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A member that comes back without its data is refused, and told how it is replaced; that works.
func TestWipedFounder(t *testing.T) {
	all := infra(t, 3)
	var machines []*running
	var addr string
	for _, cfg := range all {
		machines = append(machines, begin(cfg))
	}
	for _, r := range machines {
		addr, _ = r.serving(t, new(string))
	}
	put(t, addr, "1")
	if err := machines[0].end(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(all[0].DataDir); err != nil {
		t.Fatal(err)
	}
	err := <-begin(all[0]).ended
	if err == nil || !strings.Contains(err.Error(), "has already been bootstrapped") {
		t.Fatalf("it ends with %v", err)
	}
	if _, err := os.Stat(all[0].DataDir); !os.IsNotExist(err) {
		t.Errorf("its directory was left behind: %v", err)
	}
	for _, request := range commandsIn(t, err.Error()) {
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode/100 != 2 {
			t.Fatalf("%s %s: %s", request.Method, request.URL, answer.Status)
		}
	}
	all[0].JoinExisting = true
	addr, stop := begin(all[0]).serving(t, new(string))
	put(t, addr, "2")
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, r := range machines[1:] {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	}
}

// commandsIn returns the requests that an error tells to send with curl.
func commandsIn(t *testing.T, text string) []*http.Request {
	t.Helper()
	var requests []*http.Request
	for command := range strings.SplitSeq(text, "(curl ") {
		command, _, isCommand := strings.Cut(command, ")")
		if !isCommand || !strings.Contains(command, "/v2/members") {
			continue
		}
		words := strings.Fields(command)
		method, url, body := http.MethodPost, words[0], strings.Trim(words[len(words)-1], "'")
		if words[0] == "-X" {
			method, url, body = words[1], words[2], ""
		}
		request, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		requests = append(requests, request)
	}
	if len(requests) != 2 {
		t.Fatalf("%d commands in %s", len(requests), text)
	}
	return requests
}

// Founders may speak TLS with each other, with certificates of one authority or with ones that they make
// themselves. Who does not is told so.
func TestFoundersOverTLS(t *testing.T) {
	for _, made := range []bool{false, true} {
		t.Run(fmt.Sprintf("made=%t", made), func(t *testing.T) {
			t.Parallel()
			ca := certtest.New("machines")
			all := infra(t, 3)
			for i := range all {
				c := &all[i]
				if c.InitialCluster = strings.ReplaceAll(c.InitialCluster, "http:", "https:"); made {
					c.PeerAutoTLS = true
					continue
				}
				dir, pair := t.TempDir(), ca.Issue(c.Name)
				c.PeerTLS.Cert, c.PeerTLS.Key, c.PeerTLS.CA = filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
				for file, content := range map[string][]byte{c.PeerTLS.Cert: pair.Cert, c.PeerTLS.Key: pair.Key, c.PeerTLS.CA: ca.PEM} {
					if err := os.WriteFile(file, content, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			machines := []*running{begin(all[0]), begin(all[1])}
			for _, r := range machines {
				r.serving(t, new(string))
			}
			plain := all[2]
			plain.PeerTLS, plain.PeerAutoTLS = Defaults().PeerTLS, false
			if err := <-begin(plain).ended; err == nil || !strings.Contains(err.Error(), "certificates for peers") {
				t.Errorf("without TLS it ends with %v", err)
			}
			machines = append(machines, begin(all[2]))
			addr, _ := machines[2].serving(t, new(string))
			put(t, addr, "1")
			endAll(t, machines...)
		})
	}
}

// records is a DNS with the SRV records of one service.
type records map[string][]*net.SRV

func (r records) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	query := "_" + service + "._" + proto + "." + name
	if found := r[query]; found != nil {
		return query, found, nil
	}
	return "", nil, &net.DNSError{Err: "no such host", Name: query, IsNotFound: true}
}

func (r records) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	return []net.IPAddr{{IP: net.IPv4(127, 0, 0, 1)}}, nil
}

// Machines that find each other in DNS are one cluster, although each gives the others names of its
// own.
func TestFoundersInDNS(t *testing.T) {
	all := infra(t, 3)
	var targets []*net.SRV
	for _, c := range all {
		_, port, _ := net.SplitHostPort(c.PeerAddr)
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, &net.SRV{Target: "localhost.", Port: uint16(n)})
	}
	var machines []*running
	for i := range all {
		all[i].InitialCluster, all[i].DiscoverySRV = "", "example.com"
		all[i].Resolver = records{"_etcd-server._tcp.example.com": targets}
		machines = append(machines, begin(all[i]))
	}
	for _, r := range machines {
		addr, _ := r.serving(t, new(string))
		put(t, addr, "1")
		if members := listed(t, addr); members != 3 {
			t.Errorf("%d members", members)
		}
	}
	endAll(t, machines...)
	all[0].DataDir, all[0].Resolver = tempDataDir(t), records{}
	if err := <-begin(all[0]).ended; err == nil || !strings.Contains(err.Error(), "example.com") {
		t.Errorf("without records it ends with %v", err)
	}
}

// A machine that was killed while it founded a cluster goes on with the list that it has stored, and
// never alone under an ID that the others have as well.
func TestBegunFounder(t *testing.T) {
	cluster := func(cfg Config) bootstrap.Cluster {
		c, err := bootstrap.Parse(cfg.InitialCluster, cfg.InitialClusterToken)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// left is what a crash leaves behind: the list, the log, or both.
	left := func(cfg Config, list, log bool) {
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			t.Fatal(err)
		}
		fsys, err := vfs.Dir(cfg.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		c := cluster(cfg)
		if list {
			if err := (stored{Name: cfg.Name, PeerAddr: cfg.PeerAddr, Founders: c.String(), Token: c.Token}).save(fsys); err != nil {
				t.Fatal(err)
			}
		}
		if log {
			own, _ := c.Named(cfg.Name)
			l, err := wal.Create(fsys, wal.Identity{ClusterID: c.ID, MemberID: own.ID}, 0, wal.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct{ list, log, flags bool }{{true, false, true}, {true, false, false}, {true, true, true}, {true, true, false}, {false, true, true}} {
		t.Run(fmt.Sprintf("list=%t,log=%t,flags=%t", test.list, test.log, test.flags), func(t *testing.T) {
			t.Parallel()
			all := infra(t, 3)
			left(all[0], test.list, test.log)
			if !test.flags {
				all[0].InitialCluster, all[0].InitialClusterToken = "", ""
			}
			first := begin(all[0])
			second := begin(all[1])
			first.serving(t, new(string))
			addr, _ := second.serving(t, new(string))
			put(t, addr, "1")
			if members := listed(t, addr); members != 3 {
				t.Errorf("%d members", members)
			}
			endAll(t, first, second)
		})
	}
	other := infra(t, 3)[0]
	left(other, false, true)
	other.InitialClusterToken = "other"
	if err := <-begin(other).ended; err == nil || !strings.Contains(err.Error(), "has begun to found cluster") {
		t.Errorf("with another token it ends with %v", err)
	}
}

// listed returns how many members a machine lists.
func listed(t *testing.T, addr string) int {
	t.Helper()
	answer, err := http.Get("http://" + addr + "/v2/members")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(body), "peerURLs")
}

// A founder may come after the others serve, and be started as a machine that was added, also if its ID
// is 2^63 or more.
func TestLateFounderAsExisting(t *testing.T) {
	for _, high := range []bool{false, true} {
		t.Run(fmt.Sprintf("high=%t", high), func(t *testing.T) {
			t.Parallel()
			all := infra(t, 3)
			token := 0
			for url := "http://" + all[2].PeerAddr; bootstrap.MemberID(url, fmt.Sprint(token))>>63 == 1 != high; {
				token++
			}
			for i := range all {
				all[i].InitialClusterToken = fmt.Sprint(token)
			}
			machines := []*running{begin(all[0]), begin(all[1])}
			for _, r := range machines {
				r.serving(t, new(string))
			}
			all[2].JoinExisting = true
			machines = append(machines, begin(all[2]))
			addr, _ := machines[2].serving(t, new(string))
			put(t, addr, "1")
			endAll(t, machines...)
		})
	}
}

// A list that cannot be meant is refused before anything is written.
func TestRefusedFounders(t *testing.T) {
	for _, test := range []struct {
		name  string
		wrong func(*Config)
		says  string
	}{
		{"another name", func(c *Config) { c.Name = "x" }, "calls this machine"},
		{"not in the list", func(c *Config) { c.Name, c.PeerAddr = "x", "127.0.0.1:1" }, `has no "x"`},
		{"another address", func(c *Config) { c.InitialPeerURLs, c.PeerAddr = []string{"http://127.0.0.1:1"}, "" }, "give both the same URL"},
		{"https without a certificate", func(c *Config) { c.InitialCluster = strings.ReplaceAll(c.InitialCluster, "http:", "https:") }, "certificates for peers"},
		{"no list", func(c *Config) { c.InitialCluster = "x" }, "NAME=URL"},
		{"too many", func(c *Config) { c.MaxMembers, c.InitialCluster = 1, c.InitialCluster+",x=http://127.0.0.1:1" }, "raise -maxsize"},
		{"existing without a list", func(c *Config) { c.InitialCluster, c.JoinExisting = "", true }, "needs --initial-cluster"},
		{"two ways", func(c *Config) { c.Join = []string{"127.0.0.1:1"} }, "mutually exclusive"},
	} {
		cfg := infra(t, 1)[0]
		test.wrong(&cfg)
		if err := <-begin(cfg).ended; err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v does not say %q", test.name, err, test.says)
		}
		if entries, err := os.ReadDir(cfg.DataDir); err == nil && len(entries) > 1 {
			t.Errorf("%s: %v was left behind", test.name, entries)
		}
	}
}
