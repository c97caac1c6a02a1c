package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"etcd/internal/freeport"
)

// Machines that know nothing of each other but a token of a discovery service form a cluster. One
// too many is told so. Started again they need neither the service nor the token.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	for _, store := range []struct {
		name  string
		start func(testing.TB) (address string)
	}{
		{"stored in etcd 3.4", startDebianEtcd},
		{"stored in one of these machines", func(t testing.TB) string { return startServer(t).client }},
	} {
		t.Run(store.name, func(t *testing.T) {
			t.Parallel()
			checkDiscovery(t, startDiscoveryService(t, store.start))
		})
	}
}

func checkDiscovery(t *testing.T, service *discoveryService) {
	t.Helper()
	token := service.newToken(3)
	machine := func(n int) *server {
		s := newMachine(t, fmt.Sprintf("infra%d", n))
		s.discover(token)
		return s
	}
	c := &cluster{t: t}
	for n := range 3 {
		c.members = append(c.members, machine(n+1))
	}
	for _, s := range c.members {
		s.proc.waitServing()
	}
	c.waitVoters()
	for i, s := range c.members {
		if r := s.do(post("/v1/keys/from/"+s.name, "value", "hello")); r.status != 200 {
			t.Errorf("%s answers %d %s", s.name, r.status, r.body)
		}
		next := c.members[(i+1)%3]
		if r := next.do(get("/v1/keys/from/" + s.name)); r.status != 200 || !strings.Contains(r.body, "hello") {
			t.Errorf("%s answers %d %s", next.name, r.status, r.body)
		}
	}

	late := machine(4)
	if code := late.proc.waitExit(stopLimit); code == 0 || !strings.Contains(late.proc.stderr(), "the cluster is full") {
		t.Errorf("the fourth machine of three ends with %d", code)
	}

	c.kill(c.members...)
	service.proc.signal(syscall.SIGKILL)
	service.proc.waitExit(stopLimit)
	for _, s := range c.members {
		s.discover(token)
	}
	for _, s := range c.members {
		s.proc.waitServing()
	}
	c.waitVoters()
	c.checkSameState()
}

// discover launches a machine with a token for a list of members.
func (s *server) discover(token string) {
	s.t.Helper()
	s.today, s.args = true, []string{"--discovery", token}
	s.launch()
}

// discoveryService is Debian's, with an etcd to store in.
type discoveryService struct {
	t    testing.TB
	url  string
	proc *process
}

// startDiscoveryService starts the service once what it stores in runs, an etcd with the v2 API.
func startDiscoveryService(t testing.TB, store func(testing.TB) (address string)) *discoveryService {
	t.Helper()
	program, err := exec.LookPath("discovery.etcd.io")
	if err != nil {
		t.Skip("needs Debian's package etcd-discovery: ", err)
	}
	addr := freeport.Address(t)
	s := &discoveryService{t: t, url: "http://" + addr}
	s.proc = launch(t, exec.Command(program, "--etcd", "http://"+store(t), "--host", s.url, "--addr", addr))
	waitUntil(t, "the discovery service makes tokens", func() bool {
		_, err := s.ask("/new?size=1")
		return err == nil
	})
	return s
}

// startDebianEtcd starts one machine of the etcd that Debian has, with its v2 API.
func startDebianEtcd(t testing.TB) (address string) {
	t.Helper()
	const needs = "needs Debian's package etcd-server, of a version up to 3.5, which has the v2 API: "
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip(needs, err)
	}
	version, err := exec.Command(etcd, "--version").Output()
	if err != nil || !regexp.MustCompile(`^etcd Version: 3\.[0-5]\.`).Match(version) {
		t.Skipf("%s%s (%v)", needs, version, err)
	}
	address = freeport.Address(t)
	client, peer := "http://"+address, "http://"+freeport.Address(t)
	launch(t, exec.Command(etcd, "--enable-v2", "--data-dir", inMemory(t),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer))
	waitUntil(t, "Debian's etcd serves", func() bool {
		answer, err := exchange(address, get("/health"))
		return err == nil && answer.status == 200
	})
	return address
}

// newToken returns the URL of a new token for a cluster.
func (s *discoveryService) newToken(size int) string {
	s.t.Helper()
	token, err := s.ask(fmt.Sprintf("/new?size=%d", size))
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *discoveryService) ask(target string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: waitLimit}
	answer, err := client.Get(s.url + target)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %d %s", s.url+target, answer.StatusCode, body)
	}
	return string(body), err
}
