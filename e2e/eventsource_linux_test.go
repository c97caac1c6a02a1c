package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	followedEvents = 100_000
	followWriters  = 50
	followLimit    = 4 * time.Minute
)

// followPage follows a prefix with the EventSource of the browser, and reports what it has seen when
// the last key is written.
const followPage = `<!DOCTYPE html><title>page</title><body><script type="module">
const saw = {events: 0, missed: 0, twice: 0, disordered: 0, opened: 0, others: []}, next = {};
const report = () => fetch("/page/report", {method: "POST", body: JSON.stringify(saw)});
let last = 0;
const source = new EventSource("/v1/watch/followed");
source.onopen = () => { saw.opened++; if (saw.opened == 1) report() };
source.onmessage = (message) => {
	const event = JSON.parse(message.data);
	if (event.index <= last || message.lastEventId != event.index) saw.disordered++;
	last = event.index;
	const [, , writer, number] = event.key.split("/");
	if (writer == "end") { source.close(); report(); return }
	const want = next[writer] ?? 0;
	if (+number > want) saw.missed += number - want; else if (+number < want) saw.twice++;
	next[writer] = Math.max(want, +number + 1);
	saw.events++;
};
for (const name of ["gone", "closing"]) source.addEventListener(name, (message) => saw.others.push(name + " " + message.lastEventId));
</script>`

// followReport is what the page has seen.
type followReport struct {
	Events, Missed, Twice, Disordered, Opened int
	Others                                    []string
}

// TestEventSource follows a prefix in a real browser, which knows nothing but Last-Event-ID, while
// three machines restart one after the other.
func TestEventSource(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium (of the package chromium)")
	}
	c := startCluster(t, 3)
	// The browser is connected with the machine that restarts next, as it would be in the worst case.
	var restarting atomic.Int32
	proxy := anyMachine(t, func() []string {
		addresses, at := c.addresses(), int(restarting.Load())%3
		return append(addresses[at:], addresses[:at]...)
	})
	reports := make(chan followReport, 2)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, followPage)
	})
	mux.HandleFunc("POST /page/report", func(_ http.ResponseWriter, r *http.Request) {
		var report followReport
		if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
			t.Errorf("a report: %v", err)
		}
		reports <- report
	})
	mux.Handle("/", proxy)
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	t.Cleanup(site.CloseClientConnections) // or it would wait for the stream
	limit := time.After(followLimit)
	next := func(what string) followReport {
		t.Helper()
		select {
		case report := <-reports:
			return report
		case <-limit:
			t.Fatalf("%s: no report within %s", what, followLimit)
			panic("not reached")
		}
	}
	browse(t, chromium, site.URL+"/page/")
	next("the stream is open")

	begun := time.Now()
	var written atomic.Int64
	var writing sync.WaitGroup
	for id := range followWriters {
		client := &persistentClient{addresses: c.addresses(), at: id}
		writing.Go(func() {
			defer client.leave()
			for i := range followedEvents / followWriters {
				answer, err := client.do(post(fmt.Sprintf("/v1/keys/followed/%d/%d", id, i), "value", strconv.Itoa(i)))
				if err != nil || answer.status != 200 {
					t.Errorf("writer %d: %d: %d %s %v", id, i, answer.status, answer.body, err)
					return
				}
				written.Add(1)
			}
		})
	}
	for i, s := range c.members {
		enough := int64(followedEvents * (i + 1) / (len(c.members) + 1))
		for written.Load() < enough && !t.Failed() {
			pause(t, 10*time.Millisecond)
		}
		s.stop()
		restarting.Add(1)
		s.start()
	}
	writing.Wait()
	wrote := time.Since(begun)
	c.members[0].event(post("/v1/keys/followed/end", "value", "1"))
	saw := next("the end of the stream")
	if saw.Events != followedEvents || saw.Missed != 0 || saw.Twice != 0 || saw.Disordered != 0 {
		t.Errorf("the browser sees %+v, want %d events", saw, followedEvents)
	}
	if saw.Opened < 2 {
		t.Errorf("its stream was opened %d times: no restart has cut it off", saw.Opened)
	}
	for _, other := range saw.Others {
		if other[:len("gone")] == "gone" {
			t.Errorf("it is told that it has missed something: %q", saw.Others)
		}
	}
	t.Logf("%d events, written in %s, seen after %s; the stream was opened %d times; other events: %q",
		saw.Events, wrote.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond), saw.Opened, saw.Others)
}

// anyMachine is a proxy that forwards each request to the first of the machines that listens.
func anyMachine(t *testing.T, machines func() []string) http.Handler {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		for _, address := range machines() {
			c, err := d.DialContext(ctx, "tcp", address)
			if err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
				return c, err
			}
		}
		return nil, syscall.ECONNREFUSED
	}
	return &httputil.ReverseProxy{
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "machine"})
			r.Out.Host = r.In.Host
		},
	}
}
