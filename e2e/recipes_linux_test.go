package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestRecipes runs the scripts of docs/recipes.md against etcd 3.4, which shows that they need nothing
// else, and against a cluster, which loses its leader meanwhile.
func TestRecipes(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s; the Debian package %[1]s has it", tool)
		}
	}
	dir := t.TempDir()
	writeRecipes(t, dir)
	t.Run("etcd 3.4", func(t *testing.T) {
		t.Parallel()
		r := recipes{dir, []string{startDebianEtcd(t)}}
		r.check(t, func() {})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := startCluster(t, 3)
		r := recipes{dir, c.addresses()}
		r.check(t, func() { c.leader().kill() })
	})
}

// writeRecipes writes every script of the page to a file. The second line of a script begins with its
// name.
func writeRecipes(t *testing.T, dir string) {
	t.Helper()
	page, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	scripts := regexp.MustCompile("(?s)```sh\n(#!/bin/sh\n# ([a-z.]+).*?\n)```").FindAllSubmatch(page, -1)
	if len(scripts) != 3 {
		t.Fatalf("docs/recipes.md has %d scripts, want 3", len(scripts))
	}
	for _, s := range scripts {
		if err := os.WriteFile(filepath.Join(dir, string(s[2])), s[1], 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// recipes are the scripts, and the machines that they use.
type recipes struct {
	dir      string
	machines []string
}

// check tries both recipes, each with a holder that is killed and one that leaves or is paused. fault
// does something to the cluster.
func (r recipes) check(t *testing.T, fault func()) {
	t.Run("lock of a killed holder", func(t *testing.T) {
		t.Parallel()
		r.checkLock(t, "killed", func(holder *process) {
			holder.signalGroup(syscall.SIGKILL)
			fault()
		})
	})
	t.Run("lock of a paused holder", func(t *testing.T) {
		t.Parallel()
		holder := r.checkLock(t, "paused", func(holder *process) { holder.signalGroup(sigStop) })
		holder.signalGroup(sigCont)
		if code := holder.waitExit(waitLimit); code != 1 || !strings.Contains(holder.stderr(), "lock: /locks/paused/") {
			t.Errorf("the paused holder ends with %d and says %q, want 1, and that the lock was lost", code, holder.stderr())
		}
	})
	t.Run("election", func(t *testing.T) {
		t.Parallel()
		r.checkElection(t)
	})
}

// The commands that scripts run: one that ends by itself, and one that ends what it does when it is asked
// to, or when it comes back from a pause.
const (
	works = `curl -sf -X POST "$STORE/begin?$FENCE"; sleep 0.1; curl -sf -X POST "$STORE/end?$FENCE"`
	stays = `trap 'curl -sf -X POST "$STORE/end?$FENCE"; exit 0' TERM; curl -sf -X POST "$STORE/begin?$FENCE"; while :; do sleep 0.1; done`
)

// checkLock has several commands wait for a lock whose holder something happens to, and checks that
// then one after the other has it. It returns that holder.
func (r recipes) checkLock(t *testing.T, name string, happens func(holder *process)) *process {
	t.Helper()
	store := newFencedStore(t)
	holder := r.start(t, store, "lock", name, "sh", "-ec", stays)
	token := store.waitBegun(1)
	var waiting []*process
	for range 5 {
		waiting = append(waiting, r.start(t, store, "lock", name, "sh", "-ec", works))
	}
	waitUntil(t, "all wait for the lock", func() bool { return len(r.node("/locks/"+name).Nodes) == 6 })
	store.lose(token)
	happens(holder)
	for _, p := range waiting {
		if code := p.waitExit(waitLimit); code != 0 {
			t.Errorf("a waiting command ends with %d", code)
		}
	}
	store.waitBegun(6)
	if ended := store.tokens("end"); len(ended) != 5 || slices.Contains(ended, token) {
		t.Errorf("what begins is %d, what ends %d", store.tokens("begin"), ended)
	}
	return holder
}

// checkElection has three candidates. The first leader is killed, the second one resigns.
func (r recipes) checkElection(t *testing.T) {
	t.Helper()
	store := newFencedStore(t)
	candidates := map[string]*process{}
	for i := range 3 {
		value := fmt.Sprintf("10.0.0.%d:8080", i)
		candidates[value] = r.start(t, store, "elect", "leader", value, "sh", "-ec", stays)
	}
	leader := func(turn int) (*process, uint64) {
		token := store.waitBegun(turn)
		var shown recipeNode
		waitUntil(t, fmt.Sprintf("leader %d is shown, with token %d", turn, token), func() bool {
			shown = r.node("/leaders/leader")
			return shown.CreatedIndex == token
		})
		p := candidates[shown.Value]
		if p == nil {
			t.Fatalf("leader %d is shown as %q", turn, shown.Value)
		}
		delete(candidates, shown.Value)
		return p, token
	}
	first, token := leader(1)
	waitUntil(t, "the lead is renewed", func() bool {
		shown := r.node("/leaders/leader")
		return shown.CreatedIndex == token && shown.ModifiedIndex > token
	})
	store.lose(token)
	first.signalGroup(syscall.SIGKILL)
	second, _ := leader(2)
	second.signal(syscall.SIGTERM)
	if code := second.waitExit(waitLimit); code != 0 {
		t.Errorf("the leader that resigns ends with %d", code)
	}
	leader(3)
}

// start runs a script with its arguments in a process group of its own.
func (r recipes) start(t *testing.T, store *fencedStore, script string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(filepath.Join(r.dir, script), args...)
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "ETCD=http://"+strings.Join(r.machines, " http://"), "STORE="+store.url)
	p := launchBy(t, cmd, func(cmd *exec.Cmd) error {
		cmd.SysProcAttr.Setpgid = true
		return cmd.Start()
	})
	t.Cleanup(func() { p.signalGroup(syscall.SIGKILL) })
	return p
}

// signalGroup sends a signal to what was started in a process group of its own, if any of it is left.
func (p *process) signalGroup(sig syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, sig); err != nil && err != syscall.ESRCH {
		p.t.Fatalf("signal %v to the group of %s: %v", sig, p.cmd, err)
	}
}

// recipeNode is a node as the v2 API shows it.
type recipeNode struct {
	Value                       string
	CreatedIndex, ModifiedIndex uint64
	Nodes                       []recipeNode
}

// node returns what the first machine that answers has at a key, nothing if there is none.
func (r recipes) node(key string) recipeNode {
	for _, address := range r.machines {
		answer, err := exchange(address, get("/v2/keys"+key+"?quorum=true"))
		var shown struct{ Node recipeNode }
		if err == nil && answer.status == 200 && json.Unmarshal([]byte(answer.body), &shown) == nil {
			return shown.Node
		}
	}
	return recipeNode{}
}

// fencedStore is what commands use while they hold a lock. It refuses who shows an older token than it
// has seen, and notes who begins while another one is still inside.
type fencedStore struct {
	t   *testing.T
	url string

	mu     sync.Mutex
	newest uint64
	inside uint64              // its token, 0 if there is none
	taken  map[string][]uint64 // the tokens by what was done with them
}

func newFencedStore(t *testing.T) *fencedStore {
	s := &fencedStore{t: t, taken: map[string][]uint64{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *fencedStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token, err := strconv.ParseUint(r.URL.RawQuery, 10, 64)
	action := strings.TrimPrefix(r.URL.Path, "/")
	if err != nil || token < s.newest || action == "begin" && token == s.newest {
		w.WriteHeader(http.StatusConflict)
		return
	}
	if s.newest = token; action == "begin" {
		if s.inside != 0 {
			s.t.Errorf("token %d begins while %d is inside", token, s.inside)
		}
		s.inside = token
	} else {
		s.inside = 0
	}
	s.taken[action] = append(s.taken[action], token)
}

// lose says that the holder of a token will not end what it has begun.
func (s *fencedStore) lose(token uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inside != token {
		s.t.Errorf("%d is inside, not %d", s.inside, token)
	}
	s.inside = 0
}

// tokens returns the tokens with which something was done, in order.
func (s *fencedStore) tokens(action string) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken[action])
}

// waitBegun waits until that many have begun, and returns the token of the last one.
func (s *fencedStore) waitBegun(n int) (token uint64) {
	s.t.Helper()
	waitUntil(s.t, fmt.Sprintf("%d have begun", n), func() bool { return len(s.tokens("begin")) >= n })
	return s.tokens("begin")[n-1]
}
