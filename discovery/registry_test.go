package discovery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const token = "/0123456789abcdef0123456789abcdef"

// registry is a discovery service with one token, as far as its clients can tell.
type registry struct {
	// fault answers the nth request, or lets the service do it by returning false.
	fault func(n int, w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	size     string // of the cluster; empty: the token has none
	nodes    []node
	index    uint64
	changed  chan struct{} // closed at the next change
	requests []string      // method and URL of those so far
}

func newRegistry(size string) *registry {
	return &registry{size: size, index: 10, changed: make(chan struct{})}
}

// has adds a registration, as another machine would.
func (s *registry) has(id, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	s.nodes = append(s.nodes, node{Key: "/_etcd/registry" + token + "/" + id, Value: value, CreatedIndex: s.index})
	close(s.changed)
	s.changed = make(chan struct{})
}

// registered returns who is registered, in order.
func (s *registry) registered() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, n := range s.nodes {
		all = append(all, path.Base(n.Key)+" "+n.Value)
	}
	return strings.Join(all, "; ")
}

// asked returns how many requests there were whose method and URL contain what.
func (s *registry) asked(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if strings.Contains(r, what) {
			n++
		}
	}
	return n
}

func (s *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.String())
	n := len(s.requests)
	s.mu.Unlock()
	if s.fault != nil && s.fault(n, w, r) {
		return
	}
	wait, _ := strconv.ParseUint(r.FormValue("waitIndex"), 10, 64)
	s.mu.Lock()
	for r.FormValue("wait") == "true" && s.index < wait {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	switch id := strings.TrimPrefix(r.URL.Path, token); {
	case id == r.URL.Path:
		s.fail(w, http.StatusNotFound, codeNotFound, "Key not found")
	case r.Method == http.MethodPut:
		s.put(w, id, r)
	case id == "/_config/size" && s.size != "":
		s.answer(w, http.StatusOK, node{Key: id, Value: s.size})
	case id == "":
		nodes := make([]node, 0, len(s.nodes)+1)
		for _, n := range s.nodes { // in no useful order, and with what is hidden
			nodes = append([]node{n}, nodes...)
		}
		s.answer(w, http.StatusOK, node{Key: token, Dir: true, Nodes: append(nodes, node{Key: token + "/_config", Dir: true, CreatedIndex: 1})})
	default:
		s.fail(w, http.StatusNotFound, codeNotFound, "Key not found")
	}
}

func (s *registry) put(w http.ResponseWriter, id string, r *http.Request) {
	if r.URL.Query().Get("prevExist") != "false" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		s.fail(w, http.StatusBadRequest, 209, "Invalid field")
		return
	}
	for _, n := range s.nodes {
		if path.Base(n.Key) == path.Base(id) {
			s.fail(w, http.StatusPreconditionFailed, codeExists, "Key already exists")
			return
		}
	}
	s.mu.Unlock()
	s.has(path.Base(id), r.PostFormValue("value"))
	s.mu.Lock()
	s.answer(w, http.StatusCreated, s.nodes[len(s.nodes)-1])
}

func (s *registry) answer(w http.ResponseWriter, status int, n node) {
	body, err := json.Marshal(map[string]any{"action": "get", "node": n})
	if err != nil {
		panic(err)
	}
	w.Header().Set("X-Etcd-Index", fmt.Sprint(s.index))
	w.WriteHeader(status)
	w.Write(body)
}

func (s *registry) fail(w http.ResponseWriter, status, code int, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errorCode":%d,"message":%q,"cause":"/","index":%d}`, code, message, s.index)
}

// refused is a fault: nobody listens.
func refused() { panic(http.ErrAbortHandler) }

// silent is a fault: the request arrives, and nothing comes back.
func silent(r *http.Request) { <-r.Context().Done() }

// inProcess lets a client reach a service without a network, so that time can be simulated.
type inProcess struct{ service http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (response *http.Response, err error) {
	defer func() {
		if aborted := recover(); aborted == http.ErrAbortHandler {
			response, err = nil, io.ErrUnexpectedEOF
		} else if aborted != nil {
			panic(aborted)
		}
	}()
	w := httptest.NewRecorder()
	p.service.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// clientOf returns a client that reaches a service without a network, and its log.
func clientOf(t testing.TB, service http.Handler) (*Client, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	c, err := NewClient("http://discovery.example"+token, "", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport = inProcess{service}
	return c, log
}

// machine returns the nth machine of a test.
func machine(n int) Member {
	return Member{ID: uint64(n), Name: fmt.Sprintf("infra%d", n), PeerURL: fmt.Sprintf("http://10.0.0.%d:2380", n)}
}

// listOf returns the list of the machines of a test, in that order.
func listOf(machines ...int) string {
	all := make([]string, len(machines))
	for i, n := range machines {
		all[i] = machine(n).value()
	}
	return strings.Join(all, ",")
}

// wantError checks that an error says each of some things.
func wantError(t testing.TB, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error; it should say %q", says)
		return
	}
	for _, what := range says {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("the error does not say %q: %v", what, err)
		}
	}
}
