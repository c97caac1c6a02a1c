package discovery

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// dial returns a client of a real server.
func dial(t *testing.T, token, proxy string) *Client {
	t.Helper()
	c, err := NewClient(token, proxy, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Machines that are started at the same time get one list, and those that are too many an error.
func TestMembersAtOnce(t *testing.T) {
	const machines, size = 8, 5
	s := newRegistry("5")
	server := httptest.NewServer(s)
	defer server.Close()
	var all []chan outcome
	for n := range machines {
		all = append(all, begin(t.Context(), dial(t, server.URL+token, ""), machine(n+1)))
	}
	var lists []string
	for n, done := range all {
		got := <-done
		if got.err != nil {
			wantError(t, got.err, "full")
			continue
		}
		lists = append(lists, got.list)
		if !strings.Contains(got.list, machine(n+1).value()) {
			t.Errorf("machine %d is not in its list, %s", n+1, got.list)
		}
	}
	if len(lists) != size || len(slices.Compact(lists)) != 1 {
		t.Errorf("%d lists, which should be %d times the same: %q", len(lists), size, lists)
	}
}

// With a proxy, the proxy is asked, and nobody else.
func TestProxy(t *testing.T) {
	s := newRegistry("1")
	var credentials string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "discovery.invalid" {
			t.Errorf("the proxy is asked for %s", r.URL)
		}
		credentials = r.Header.Get("Proxy-Authorization")
		s.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	for _, through := range []string{proxy.URL, strings.TrimPrefix(proxy.URL, "http://"), strings.Replace(proxy.URL, "//", "//u:p@", 1)} {
		list, err := dial(t, "http://discovery.invalid"+token+"/", through).Cluster(t.Context(), machine(1))
		if err != nil || list != listOf(1) {
			t.Errorf("through %s: %q, %v", through, list, err)
		}
	}
	if credentials != "Basic dTpw" {
		t.Errorf("credentials for the proxy: %q", credentials)
	}
}

// A service that has moved is followed, unless that would turn a registration into something else.
func TestRedirects(t *testing.T) {
	for status, follows := range map[int]bool{301: false, 302: false, 303: false, 307: true, 308: true} {
		server := httptest.NewServer(newRegistry("1"))
		moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, server.URL+r.URL.String(), status)
		}))
		list, err := dial(t, moved.URL+token, "").Cluster(t.Context(), machine(1))
		if !follows {
			wantError(t, err, "has moved to "+server.URL, "give -discovery the URL")
		} else if err != nil || list != listOf(1) {
			t.Errorf("%d: %q, %v", status, list, err)
		}
		moved.Close()
		server.Close()
	}
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
	}))
	defer loop.Close()
	_, err := dial(t, loop.URL+token, "").Cluster(t.Context(), machine(1))
	wantError(t, err, "one place after the other")
}

// A service that is not trusted, or speaks the other of HTTP and HTTPS, is not asked for minutes.
func TestMistakenTLS(t *testing.T) {
	secure := httptest.NewUnstartedServer(newRegistry("1"))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(newRegistry("1"))
	defer plain.Close()
	for url, says := range map[string]string{
		secure.URL: "certificate",
		strings.Replace(secure.URL, "https", "http", 1): "status 400",
		strings.Replace(plain.URL, "http", "https", 1):  "HTTP response to HTTPS client",
	} {
		_, err := dial(t, url+token, "").Cluster(t.Context(), machine(1))
		wantError(t, err, says)
	}
	trusting := dial(t, secure.URL+token, "")
	trusting.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	if list, err := trusting.Cluster(t.Context(), machine(1)); err != nil || list != listOf(1) {
		t.Errorf("%q, %v", list, err)
	}
}

// An answer that breaks off is asked for again.
func TestBrokenAnswer(t *testing.T) {
	s := newRegistry("1")
	s.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n != 1 {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"node":`)
		return true
	}
	server := httptest.NewServer(s)
	defer server.Close()
	if list, err := dial(t, server.URL+token, "").Cluster(t.Context(), machine(1)); err != nil || list != listOf(1) {
		t.Errorf("%q, %v", list, err)
	}
}

func TestURLs(t *testing.T) {
	for _, test := range []struct{ token, proxy, says string }{
		{"", "", "URL of a token"},
		{"discovery.example/abc", "", "URL of a token"},
		{"ftp://discovery.example/abc", "", "URL of a token"},
		{"http:///abc", "", "URL of a token"},
		{"http://h:port/abc", "", "URL of a token"},
		{"http://h\x00/abc", "", "URL of a token"},
		{"http://discovery.example", "", "a path"},
		{"http://discovery.example//", "", "a path"},
		{"http://discovery.example/abc?size=3", "", "a path"},
		{"http://discovery.example/abc?", "", "a path"},
		{"http://discovery.example/abc#x", "", "a path"},
		{"https://u:secret@discovery.example/new?size=3", "", "https://u:xxxxx@discovery.example/new?size=3 is the URL that makes tokens"},
		{"http://discovery.example/abc", "socks5://h:1", "-discovery-proxy"},
		{"http://discovery.example/abc", "http://", "-discovery-proxy"},
		{"http://discovery.example/abc", "a b", "-discovery-proxy"},
		{"http://discovery.example:8087/v2/keys/_etcd/registry/abc/", "proxy:3128", ""},
		{"https://u:p@discovery.example/abc", "https://proxy", ""},
	} {
		c, err := NewClient(test.token, test.proxy, slog.New(slog.DiscardHandler))
		if test.says != "" {
			wantError(t, err, test.says)
		} else if err != nil || c.Token() != strings.TrimSuffix(test.token, "/") {
			t.Errorf("%s through %s: %+v, %v", test.token, test.proxy, c, err)
		}
	}
}
