package discovery

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type outcome struct {
	list string
	err  error
}

// begin starts a search and returns where its outcome will be.
func begin(ctx context.Context, c *Client, self Member) chan outcome {
	done := make(chan outcome, 1)
	go func() {
		list, err := c.Cluster(ctx, self)
		done <- outcome{list, err}
	}()
	return done
}

// The first machines that register get the same list, whenever they come. Those that come later
// are refused and leave nothing behind. Whoever asks again gets the same answer.
func TestMembersComeOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegistry("3")
		c, _ := clientOf(t, s)
		var first []chan outcome
		for i, after := range []time.Duration{0, 3 * time.Hour, 7*time.Minute + 300*time.Millisecond} {
			time.Sleep(after)
			first = append(first, begin(t.Context(), c, machine(i+1)))
			synctest.Wait()
		}
		last := time.Now()
		for i, done := range first {
			if got := <-done; got.err != nil || got.list != listOf(1, 2, 3) {
				t.Errorf("machine %d: %q, %v", i+1, got.list, got.err)
			}
		}
		if late := time.Since(last); late > 0 {
			t.Errorf("the list came %v after the last member", late)
		}
		registered := s.registered()
		_, err := c.Cluster(t.Context(), machine(4))
		wantError(t, err, "-discovery http://discovery.example"+token, "the cluster is full", "3 members", listOf(1, 2, 3), "member add", "new token")
		if list, err := c.Cluster(t.Context(), machine(2)); err != nil || list != listOf(1, 2, 3) {
			t.Errorf("again: %q, %v", list, err)
		}
		if now := s.registered(); now != registered {
			t.Errorf("registered are %s, and were %s", now, registered)
		}
	})
}

// A search that is interrupted after the registration goes on where it was.
func TestGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegistry("2")
		c, _ := clientOf(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		interrupted := begin(ctx, c, machine(1))
		time.Sleep(time.Minute)
		cancel()
		if got := <-interrupted; !errors.Is(got.err, context.Canceled) {
			t.Errorf("interrupted: %q, %v", got.list, got.err)
		}
		other := begin(t.Context(), c, machine(2))
		for what, done := range map[string]chan outcome{"restarted": begin(t.Context(), c, machine(1)), "the other": other} {
			if got := <-done; got.err != nil || got.list != listOf(1, 2) {
				t.Errorf("%s: %q, %v", what, got.list, got.err)
			}
		}
	})
}

// Of two machines that want the last place at the same time, the one that registers second is
// told that the cluster is full.
func TestRaceForTheLastPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegistry("1")
		c, _ := clientOf(t, s)
		s.fault = func(_ int, _ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				s.fault = nil
				s.has("2", machine(2).value())
			}
			return false
		}
		_, err := c.Cluster(t.Context(), machine(1))
		wantError(t, err, "full", listOf(2))
		if list, err := c.Cluster(t.Context(), machine(2)); err != nil || list != listOf(2) {
			t.Errorf("%q, %v", list, err)
		}
	})
}

// However the service behaves while a machine waits for another one, it learns of it soon, and
// does not flood the service in the meantime.
func TestWaitingWithoutHelp(t *testing.T) {
	const before = time.Hour
	for name, test := range map[string]struct {
		fault  func(w http.ResponseWriter, r *http.Request) bool // of waiting
		within time.Duration
	}{
		"nothing comes back": {func(_ http.ResponseWriter, r *http.Request) bool { silent(r); return true }, waitTimeout},
		"it knows no waiting": {func(w http.ResponseWriter, r *http.Request) bool {
			w.Write([]byte(`{"action":"get","node":{"key":"/t"}}`))
			return true
		}, longestPause},
		"its history is too short": {func(w http.ResponseWriter, r *http.Request) bool {
			w.WriteHeader(http.StatusBadRequest)
			w.Write([]byte(`{"errorCode":401,"message":"The event in requested index is outdated and cleared"}`))
			return true
		}, longestPause},
		"a proxy ends it early": {func(w http.ResponseWriter, r *http.Request) bool {
			time.Sleep(20 * time.Second)
			w.WriteHeader(http.StatusGatewayTimeout)
			return true
		}, 20*time.Second + longestPause},
		"the index is missing": {func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.RawQuery, "waitIndex=12") {
				t.Errorf("waits with %s, not for what comes after index 11", r.URL.RawQuery)
			}
			return false
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRegistry("2")
				s.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
					if r.FormValue("wait") == "true" {
						return test.fault(w, r)
					}
					return false
				}
				var service http.Handler = s
				if name == "the index is missing" {
					service = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(unnumbered{w}, r) })
				}
				c, _ := clientOf(t, service)
				done := begin(t.Context(), c, machine(1))
				time.Sleep(before)
				synctest.Wait()
				if n := s.asked(""); n > int(before/longestPause)*3 {
					t.Errorf("%d requests in %v", n, before)
				}
				came := time.Now()
				s.has("2", machine(2).value())
				if got := <-done; got.err != nil || got.list != listOf(1, 2) {
					t.Errorf("%q, %v", got.list, got.err)
				}
				if late := time.Since(came); late > test.within {
					t.Errorf("noticed after %v, which should take %v at most", late, test.within)
				}
			})
		})
	}
}

// unnumbered is an answer without the header that says the index.
type unnumbered struct{ http.ResponseWriter }

func (u unnumbered) WriteHeader(status int) {
	u.Header().Del("X-Etcd-Index")
	u.ResponseWriter.WriteHeader(status)
}

// A service that comes back is asked until it does; one that does not is given up after some time,
// with what was wrong the last time. All of it is logged, but not every second.
func TestServiceOutOfReach(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request)
		says  string
	}{
		"nobody listens":   {func(http.ResponseWriter, *http.Request) { refused() }, "unexpected EOF"},
		"silent":           {func(_ http.ResponseWriter, r *http.Request) { silent(r) }, "no answer within 10s"},
		"overloaded":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, "status 429"},
		"without a leader": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"errorCode":301}`, 500) }, "status 500"},
		"in an election":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"errorCode":300}`, 400) }, "300"},
	} {
		for when, down := range map[string]func(time.Duration) bool{
			"at first":      func(since time.Duration) bool { return since < patience-longestPause-requestTimeout },
			"for ever":      func(time.Duration) bool { return true },
			"later":         func(since time.Duration) bool { return since > time.Hour && since < time.Hour+patience/2 },
			"later forever": func(since time.Duration) bool { return since > time.Hour },
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newRegistry("2")
					c, log := clientOf(t, s)
					began := time.Now()
					s.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
						if !down(time.Since(began)) {
							return false
						}
						test.fault(w, r)
						return true
					}
					done := begin(t.Context(), c, machine(1))
					time.Sleep(2 * time.Hour)
					synctest.Wait()
					if n := strings.Count(log.String(), "cannot be reached; retrying"); n == 0 || n > 40 {
						t.Errorf("%d lines say that it cannot be reached:\n%s", n, log)
					}
					if strings.Contains(when, "ever") {
						got := <-done
						wantError(t, got.err, "could not be reached for", "4m", "whether it runs", test.says)
						return
					}
					s.has("2", machine(2).value())
					if got := <-done; got.err != nil || got.list != listOf(1, 2) {
						t.Errorf("%q, %v", got.list, got.err)
					}
				})
			})
		}
	}
}

// An answer that is lost, and a member of the service that lags behind, make no difference.
func TestLostAndStaleAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegistry("2")
		c, _ := clientOf(t, s)
		s.has("2", machine(2).value())
		stale := 0
		s.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.Method == http.MethodPut && s.asked("PUT") == 1:
				s.has("1", r.FormValue("value"))
				refused()
			case r.Method == http.MethodGet && s.asked("PUT") > 0 && r.URL.RawQuery == "" && stale < 3:
				stale++
				s.answer(w, http.StatusOK, node{Key: token, Dir: true})
				return true
			}
			return false
		}
		if list, err := c.Cluster(t.Context(), machine(1)); err != nil || list != listOf(2, 1) {
			t.Errorf("%q, %v", list, err)
		}
		if stale != 3 {
			t.Errorf("%d stale answers", stale)
		}
	})
}

// What cannot become a cluster is said at once, and what to do about it. Nothing is registered.
func TestNoCluster(t *testing.T) {
	body := func(status int, body string) func(int, http.ResponseWriter, *http.Request) bool {
		return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			w.Write([]byte(body))
			return true
		}
	}
	with := func(size string, registered ...string) *registry {
		s := newRegistry(size)
		for i, value := range registered {
			s.has(string(rune('a'+i)), value)
		}
		return s
	}
	broken := func(fault func(int, http.ResponseWriter, *http.Request) bool) *registry {
		s := newRegistry("3")
		s.fault = fault
		return s
	}
	unknown := func(n int, w http.ResponseWriter, r *http.Request) bool {
		return body(404, `{"errorCode":100,"message":"Key not found"}`)(n, w, r)
	}
	for name, test := range map[string]struct {
		service *registry
		self    Member
		says    []string
	}{
		"unknown token":           {broken(unknown), machine(1), []string{"does not know this token", "make a new one"}},
		"no size":                 {with(""), machine(1), []string{"no _config/size", "make a new token"}},
		"size 0":                  {with("0"), machine(1), []string{`"0"`, "1 to 99", "new token"}},
		"negative size":           {with("-3"), machine(1), []string{`"-3"`}},
		"huge size":               {with("100"), machine(1), []string{`"100"`}},
		"a word for a size":       {with("three\x1b[31m"), machine(1), []string{`"three\x1b[31m"`}},
		"web page":                {broken(body(200, "<html>\n")), machine(1), []string{"status 200", `"<html>\n"`, "URL of a token?"}},
		"no such page":            {broken(body(404, "404 page not found")), machine(1), []string{"404", "URL of a token?"}},
		"JSON of something else":  {broken(body(200, `{"version":"1"}`)), machine(1), []string{"URL of a token?"}},
		"JSON of other types":     {broken(body(200, `{"node":7}`)), machine(1), []string{"URL of a token?"}},
		"nothing":                 {broken(body(204, "")), machine(1), []string{"204"}},
		"not allowed":             {broken(body(401, `{"errorCode":110,"message":"The request requires user authentication"}`)), machine(1), []string{"110", "authentication"}},
		"endless":                 {broken(body(200, strings.Repeat(" ", maxAnswer+1))), machine(1), []string{"longer than"}},
		"long word":               {broken(body(404, strings.Repeat("x", 10_000))), machine(1), []string{`xxx"...`}},
		"name taken":              {with("3", "infra1=http://10.0.0.9:2380"), machine(1), []string{"name infra1", "http://10.0.0.9:2380", "has not registered", "-name"}},
		"URL taken":               {with("3", "x=http://10.0.0.1:2380"), machine(1), []string{"same peer URL", "has not registered", "-initial-advertise-peer-urls"}},
		"others with one name":    {with("3", listOf(7), "infra7=http://10.0.0.8:2380"), machine(1), []string{"name infra7", "http://10.0.0.8:2380", "new token"}},
		"others with one URL":     {with("3", listOf(7), "b=http://10.0.0.7:2380"), machine(1), []string{"same peer URL", "new token"}},
		"other without a URL":     {with("3", "infra7"), machine(1), []string{`machine "a"`, `"infra7"`, "NAME=URL"}},
		"other with a bad URL":    {with("3", "infra7=http://10.0.0.7"), machine(1), []string{"not a valid peer URL", "port"}},
		"other with a bad name":   {with("3", "a/b=http://10.0.0.7:2380"), machine(1), []string{"not a valid name", "slash"}},
		"other with two names":    {with("3", listOf(7, 8)), machine(1), []string{"more than one machine"}},
		"other with two URLs":     {with("3", listOf(7)+",infra7=http://10.0.0.8:2380"), machine(1), []string{"one peer URL"}},
		"other with nothing":      {with("3", ""), machine(1), []string{`machine "a"`, "names no machine"}},
		"other with a long name":  {with("3", strings.Repeat("x", 10_000)+"=http://10.0.0.7:2380"), machine(1), []string{"longer than"}},
		"another scheme":          {with("3", "b=https://10.0.0.7:2380"), machine(1), []string{"by another scheme", "has not registered"}},
		"another name than then":  {with("3", "old=http://10.0.0.10:2380"), Member{ID: 10, Name: "new", PeerURL: "http://10.0.0.10:2380"}, []string{`"old=http://10.0.0.10:2380"`, "new=http://10.0.0.10:2380", "as before"}},
		"full":                    {with("1", listOf(7)), machine(1), []string{"full"}},
		"own name with an equals": {with("3"), Member{ID: 1, Name: "a=b", PeerURL: "http://10.0.0.1:2380"}, []string{"equals sign", "-name"}},
		"own URL is bad":          {with("3"), Member{ID: 1, Name: "a", PeerURL: "http://10.0.0.1"}, []string{"port", "-initial-advertise-peer-urls"}},
		"no URL":                  {with("3"), Member{ID: 1, Name: "a"}, []string{"-initial-advertise-peer-urls"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.service.changed = make(chan struct{}) // one of this bubble
				c, _ := clientOf(t, test.service)
				began := time.Now()
				list, err := c.Cluster(t.Context(), test.self)
				wantError(t, err, test.says...)
				if list != "" || time.Since(began) > 0 {
					t.Errorf("the list is %q, after %v", list, time.Since(began))
				}
				if err != nil && (len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\x1b")) {
					t.Errorf("not fit to be shown: %v", err)
				}
				if n := test.service.asked("PUT"); n > 0 {
					t.Error("the machine has registered")
				}
			})
		})
	}
}

// A machine is registered under its ID, in hexadecimal without leading zeros, as etcd does it.
func TestRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegistry("1")
		c, _ := clientOf(t, s)
		self := Member{ID: 0xabc, Name: "a", PeerURL: "https://[2001:db8::1]:2380"}
		if list, err := c.Cluster(t.Context(), self); err != nil || list != "a=https://[2001:db8::1]:2380" {
			t.Errorf("%q, %v", list, err)
		}
		if got := s.registered(); got != "abc a=https://[2001:db8::1]:2380" {
			t.Errorf("registered: %s", got)
		}
	})
}

// The end of the context ends a search at once, whatever it is waiting for.
func TestCancel(t *testing.T) {
	for name, fault := range map[string]func(n int, w http.ResponseWriter, r *http.Request) bool{
		"waiting for members": nil,
		"no answer":           func(_ int, _ http.ResponseWriter, r *http.Request) bool { silent(r); return true },
		"between attempts":    func(int, http.ResponseWriter, *http.Request) bool { refused(); return true },
		"between looks": func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if r.FormValue("wait") == "true" {
				w.WriteHeader(400)
				return true
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newRegistry("2")
				s.fault = fault
				c, _ := clientOf(t, s)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Millisecond)
				defer cancel()
				began := time.Now()
				_, err := c.Cluster(ctx, machine(1))
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != 2*time.Minute+time.Millisecond {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}
