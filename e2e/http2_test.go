package e2e

import (
	"context"
	"crypto/tls"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// TestHTTPVersions: who can speak HTTP/1.1 gets that; who speaks HTTP/2 alone reaches gRPC, and is told
// so, or that the port has TLS.
func TestHTTPVersions(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl (of the package curl)")
	}
	t.Parallel()
	clear, secured := startServer(t), startServer(t, "-auto-tls")
	for _, test := range []struct{ args, want string }{
		{"http://" + clear.client, "1.1 200 exit status 0"},
		{"--http2 http://" + clear.client, "1.1 200 exit status 0"},
		{"--http2-prior-knowledge http://" + clear.client, "2 415 exit status 0"},
		{"--insecure https://" + secured.client, "1.1 200 exit status 0"},
		{"--insecure --http2 https://" + secured.client, "1.1 200 exit status 0"},
		{"--insecure --http2-prior-knowledge https://" + secured.client, "1.1 200 exit status 0"}, // it offers both all the same
		{"--http2-prior-knowledge http://" + secured.client, "0 000 exit status"},                 // not that of success
	} {
		ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
		cmd := exec.CommandContext(ctx, "curl", append(strings.Fields(test.args+"/version"), "--silent", "--noproxy", "*", "--output", "-", "--write-out", "\n%{http_version} %{http_code}")...)
		out, _ := cmd.Output() // the exit status is compared
		cancel()
		lines := strings.Split(string(out), "\n")
		if got := lines[len(lines)-1] + " " + cmd.ProcessState.String(); !strings.HasPrefix(got, test.want) || strings.HasPrefix(got, "0 000 exit status 0") {
			t.Errorf("curl %s: %s, want %s", test.args, got, test.want)
		}
	}
}

// TestBrowserOverTLS: a browser, which offers HTTP/2 before HTTP/1.1, is served.
func TestBrowserOverTLS(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium (of the package chromium)")
	}
	t.Parallel()
	s := startServer(t, "-auto-tls")
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
		"--disable-background-networking", "--ignore-certificate-errors", "--user-data-dir="+t.TempDir(), "--dump-dom", "https://"+s.client+"/version")
	if out, err := cmd.Output(); !strings.Contains(string(out), "etcdserver") {
		t.Errorf("the page is %q, %v", out, err)
	}
}

// callAll calls an RPC again and again, at any of the machines, until stop is called, which reports how often it was
// answered. A call that fails is an error.
func callAll(t *testing.T, c *cluster) (stop func() int64) {
	t.Helper()
	machines := manual.NewBuilderWithScheme("machines")
	state := resolver.State{}
	creds := insecure.NewCredentials()
	for _, address := range c.addresses() {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: address})
		if cfg, ok := overTLS.Load(address); ok {
			secured := cfg.(func() *tls.Config)().Clone()
			secured.ServerName = "127.0.0.1"
			creds = credentials.NewTLS(secured)
		}
	}
	machines.InitialState(state)
	conn, err := grpc.NewClient("machines:///", grpc.WithResolvers(machines), grpc.WithTransportCredentials(creds),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var answered atomic.Int64
	var calling sync.WaitGroup
	calling.Go(func() {
		health := grpc_health_v1.NewHealthClient(conn)
		for ctx.Err() == nil {
			limited, done := context.WithTimeout(t.Context(), waitLimit)
			_, err := health.Check(limited, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
			done()
			if err != nil {
				t.Errorf("gRPC call %d: %v", answered.Load(), err)
				return
			}
			answered.Add(1)
		}
	})
	return sync.OnceValue(func() int64 {
		cancel()
		calling.Wait()
		_ = conn.Close()
		return answered.Load()
	})
}
