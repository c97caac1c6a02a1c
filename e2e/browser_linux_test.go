package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const browserLimit = 2 * time.Minute // from the start of the browser to the last report

// lookout is a proxy before a port of a machine: it forwards what a browser sends, Host
// included, and records the answers. Below /page/ it serves pages of its own, as does the
// attacker in DNS rebinding, whose name resolved to another address before, or a reverse proxy.
type lookout struct {
	*httptest.Server

	mu       sync.Mutex
	answered map[string]int // status by method and path
}

func newLookout(t *testing.T, target string, pages http.Handler) *lookout {
	t.Helper()
	l := &lookout{answered: map[string]int{}}
	transport := &http.Transport{DisableKeepAlives: true}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: target})
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.answered[r.Request.Method+" "+r.Request.URL.Path] = r.StatusCode
			return nil
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/page/", pages)
	mux.Handle("/", proxy)
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	return l
}

// statuses returns the status of every request so far.
func (l *lookout) status(request string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered[request]
}

// as returns a URL of the same port with another host.
func (l *lookout) as(host string) string {
	return strings.Replace(l.URL, "127.0.0.1", host, 1)
}

// browserPages are the scripts of pages by name. C and P are the URLs of the client port and
// the peer port. What attempt records is reported when the script has ended; then the browser
// goes to the next page.
var browserPages = map[string]string{
	// What a page of another origin tries.
	"evil": `
		const opaque = (options) => ({method: "POST", mode: "no-cors", ...options});
		await attempt("text", () => fetch(C + "/v1/keys/text", opaque({body: "value=evil"})).then(r => r.type));
		await attempt("form data", () => fetch(C + "/v1/keys/fields", opaque({body: new URLSearchParams({value: "evil"})})).then(r => r.type));
		await attempt("put", () => fetch(C + "/v1/keys/put", {method: "PUT", body: new URLSearchParams({value: "evil"})}).then(r => r.text()));
		await attempt("delete", () => fetch(C + "/v1/keys/secret", {method: "DELETE"}).then(r => r.text()));
		await attempt("remove", () => fetch(C + "/v2/members/1", {method: "DELETE"}).then(r => r.text()));
		await attempt("read", () => fetch(C + "/v1/keys/read").then(r => r.text()));
		await attempt("read opaque", () => fetch(C + "/v1/keys/opaque", {mode: "no-cors"}).then(r => r.text()));
		await attempt("beacon", () => navigator.sendBeacon(C + "/v1/keys/beacon", new URLSearchParams({value: "evil"})));
		await attempt("socket", () => new Promise((yes, no) => {
			const socket = new WebSocket(C.replace("http", "ws") + "/v1/keys/socket");
			socket.onopen = yes; socket.onerror = no;
		}));
		const load = (tag, attribute, url) => new Promise((yes, no) => {
			const e = document.createElement(tag);
			e.onload = () => yes("loaded"); e.onerror = no; e[attribute] = url;
			document.body.append(e);
		});
		await attempt("image", () => load("img", "src", C + "/v1/keys/image"));
		await attempt("script", () => load("script", "src", C + "/v1/keys/script"));
		await attempt("script of nothing", () => load("script", "src", C + "/v1/keys/nothing"));
		await attempt("frame", () => load("iframe", "src", C + "/v1/keys/frame"));
		await attempt("form", () => new Promise(yes => {
			document.body.insertAdjacentHTML("beforeend", '<iframe name="f"></iframe><form method="post" target="f"><input name="value" value="evil"></form>');
			document.querySelector("[name=f]").onload = () => yes("sent");
			document.forms[0].action = C + "/v1/keys/form";
			document.forms[0].submit();
		}));
		const machine = JSON.stringify({memberId: "7", name: "evil", peerUrl: "http://127.0.0.1:7", clientUrl: "http://127.0.0.1:4"});
		await attempt("join", () => fetch(P + "/join", opaque({body: machine})).then(r => r.type));
		await attempt("join in JSON", () => fetch(P + "/join", {method: "POST", headers: {"Content-Type": "application/json"}, body: machine}).then(r => r.text()));
		await attempt("machines", () => fetch(P + "/machines").then(r => r.text()));`,

	// What a page of -cors may do.
	"good": `
		await attempt("post", () => fetch(C + "/v1/keys/good", {method: "POST", body: new URLSearchParams({value: "1"})}).then(r => r.text()));
		await attempt("put", () => fetch(C + "/v1/keys/good", {method: "PUT", body: new URLSearchParams({value: "2"})}).then(r => r.text()));
		await attempt("read", () => fetch(C + "/v1/keys/good").then(r => r.text()));
		await attempt("read nothing", () => fetch(C + "/v1/keys/gone").then(r => r.text()));
		await attempt("delete", () => fetch(C + "/v1/keys/good", {method: "DELETE"}).then(r => r.text()));
		await attempt("join", () => fetch(P + "/join", {method: "POST", mode: "no-cors", body: "{}"}).then(r => r.type));
		await attempt("machines", () => fetch(P + "/machines").then(r => r.text()));`,

	// A page of the port itself.
	"own": `
		await attempt("post", () => fetch("/v1/keys/own", {method: "POST", body: new URLSearchParams({value: "1"})}).then(r => r.text()));
		await attempt("read", () => fetch("/v1/keys/own").then(r => r.text()));`,

	// A page whose name resolves to the port by now (DNS rebinding).
	"rebound": `
		await attempt("post", () => fetch("/v1/keys/rebound", {method: "POST", body: new URLSearchParams({value: "evil"})}).then(r => r.text()));
		await attempt("read", () => fetch("/v1/keys/secret").then(r => r.text()));
		await attempt("machines", () => fetch("/machines").then(r => r.text()));
		await attempt("join", () => fetch("/join", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}).then(r => r.text()));`,
}

// TestBrowser lets pages in a real browser attack a machine with the default addresses.
func TestBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium (of the package chromium)")
	}
	reports := make(chan browserReport, 1)
	site := http.NewServeMux()
	sites := httptest.NewServer(site)
	t.Cleanup(sites.Close)
	at := func(host string) string { return strings.Replace(sites.URL, "127.0.0.1", host, 1) }

	s := startServer(t, "-cors", at("good.example"))
	pages := http.NewServeMux()
	clients, peers := newLookout(t, s.client, pages), newLookout(t, s.peer, pages)
	// Each page sends the browser to the next one, and the last one follows a link.
	next := map[string]string{
		at("evil.example") + "/page/evil":            at("good.example") + "/page/good",
		at("good.example") + "/page/good":            clients.URL + "/page/own",
		clients.URL + "/page/own":                    clients.as("evil.example") + "/page/rebound",
		clients.as("evil.example") + "/page/rebound": peers.as("evil.example") + "/page/rebound",
		peers.as("evil.example") + "/page/rebound":   clients.URL + "/v1/keys/linked",
	}
	pages.HandleFunc("/page/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		here := "http://" + r.Host + r.URL.Path
		fmt.Fprintf(w, browserPage, clients.URL, peers.URL, sites.URL+"/report?page="+url.QueryEscape(here), next[here], browserPages[r.PathValue("name")])
	})
	site.Handle("/page/", pages)
	site.HandleFunc("/report", func(w http.ResponseWriter, r *http.Request) {
		report := browserReport{page: r.FormValue("page")}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &report.saw)
		}
		if err != nil {
			t.Errorf("a report of %s: %v", report.page, err)
		}
		reports <- report
	})
	for _, key := range []string{"secret", "read", "opaque", "image", "script", "frame", "linked"} {
		s.do(post("/v1/keys/"+key, "value", "kept"))
	}

	browse(t, chromium, at("evil.example")+"/page/evil")
	saw := map[string]map[string]string{}
	for limit := time.After(browserLimit); len(saw) < len(next); {
		select {
		case report := <-reports:
			saw[report.page] = report.saw
		case <-limit:
			t.Fatalf("of %d pages only these have reported within %s: %v", len(next), browserLimit, saw)
		}
	}
	waitUntil(t, "the link is followed", func() bool { return clients.status("GET /v1/keys/linked") != 0 })

	const (
		nothing = "an error" // the page learns nothing
		opaque  = "opaque"   // the page cannot read the answer
		refused = `{"errorCode":403,`
		value   = `{"action":"`
	)
	for page, wants := range map[string]map[string]string{
		at("evil.example") + "/page/evil": {
			"text": opaque, "form data": opaque, "put": nothing, "delete": nothing, "remove": nothing, "read": nothing, "read opaque": "",
			"beacon": "true", "socket": nothing, "image": nothing, "script": nothing, "script of nothing": nothing, "frame": "loaded", "form": "sent",
			"join": opaque, "join in JSON": nothing, "machines": nothing,
		},
		at("good.example") + "/page/good": {
			"post": value + "SET", "put": value + "SET", "read": value + "GET", "read nothing": `{"errorCode":100,`, "delete": value + "DELETE",
			"join": opaque, "machines": nothing,
		},
		clients.URL + "/page/own":                    {"post": value + "SET", "read": value + "GET"},
		clients.as("evil.example") + "/page/rebound": {"post": refused, "read": refused, "machines": refused, "join": refused},
		peers.as("evil.example") + "/page/rebound":   {"post": refused, "read": refused, "machines": refused, "join": refused},
	} {
		if len(saw[page]) != len(wants) {
			t.Errorf("%s reports %q", page, saw[page])
		}
		for what, want := range wants {
			if got := saw[page][what]; !strings.HasPrefix(got, want) || want == "" && got != "" {
				t.Errorf("%s, %s: it sees %q, want %q", page, what, got, want)
			}
		}
	}
	for request, want := range map[string]int{
		"POST /v1/keys/text": 403, "POST /v1/keys/fields": 403, "OPTIONS /v1/keys/put": 403, "PUT /v1/keys/put": 0,
		"OPTIONS /v1/keys/secret": 403, "DELETE /v1/keys/secret": 0, "OPTIONS /v2/members/1": 403, "DELETE /v2/members/1": 0,
		"GET /v1/keys/read": 403, "GET /v1/keys/opaque": 403, "POST /v1/keys/beacon": 403, "GET /v1/keys/socket": 403,
		"GET /v1/keys/image": 403, "GET /v1/keys/script": 403, "GET /v1/keys/nothing": 403, "GET /v1/keys/frame": 403, "POST /v1/keys/form": 403,
		"POST /v1/keys/good": 200, "OPTIONS /v1/keys/good": 200, "PUT /v1/keys/good": 200, "DELETE /v1/keys/good": 200, "GET /v1/keys/gone": 404,
		"POST /v1/keys/own": 200, "GET /v1/keys/own": 200,
		"POST /v1/keys/rebound": 403, "GET /v1/keys/secret": 403, "GET /v1/keys/linked": 200,
	} {
		if status := clients.status(request); status != want {
			t.Errorf("%s at the client port: %d, want %d", request, status, want)
		}
	}
	for request, want := range map[string]int{"POST /join": 403, "OPTIONS /join": 403, "GET /machines": 403} {
		if status := peers.status(request); status != want {
			t.Errorf("%s at the peer port: %d, want %d", request, status, want)
		}
	}
	var (
		listing []event
		keys    []string
	)
	if err := json.Unmarshal([]byte(s.do(get("/v1/keys/")).body), &listing); err != nil {
		t.Fatal(err)
	}
	for _, e := range listing {
		if !e.Dir {
			keys = append(keys, e.Key+"="+e.Value)
		}
	}
	if got := strings.Join(keys, " "); got != "/frame=kept /image=kept /linked=kept /opaque=kept /own=1 /read=kept /script=kept /secret=kept" {
		t.Errorf("what is left: %s", got)
	}
	s.want(get("/machines"), 200, s.client)
}

// browserReport maps each attempt of a page to what the page saw.
type browserReport struct {
	page string
	saw  map[string]string
}

// browserPage is a page that runs a script, reports, and goes on.
const browserPage = `<!DOCTYPE html><title>page</title><body><script type="module">
const C = %q, P = %q, report = %q, next = %q, saw = {};
async function attempt(what, how) {
	try { saw[what] = String(await how()) } catch { saw[what] = "an error" }
}
%s
await fetch(report, {method: "POST", mode: "no-cors", body: JSON.stringify(saw)});
location.href = next;
</script>`

// browse opens a page in a new browser, which resolves only the hosts of this test. It runs
// until the test ends.
func browse(t *testing.T, chromium, page string) {
	t.Helper()
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", // the sandbox refuses root
		"--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server", "--disable-sync",
		"--disable-background-networking", "--disable-component-update", "--disable-breakpad", "--disable-features=HttpsUpgrades",
		"--host-resolver-rules=MAP *.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--user-data-dir="+t.TempDir(), page)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended already; Wait reports how
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s\n%s", cmd, said.String())
		}
	})
}
