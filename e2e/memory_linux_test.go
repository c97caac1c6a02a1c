package e2e

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// wellBehaved are the requests of a client that must not notice the others.
var wellBehaved = []request{put("/v2/keys/behaves", "value", "well"), get("/v2/keys/behaves")}

// deaf connects a client that sends requests and reads no answer, into a buffer that holds little.
func (w *weighed) deaf(requests ...request) *net.TCPConn {
	w.t.Helper()
	c, err := dial(w.client)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	if err := c.tcp.SetReadBuffer(4 << 10); err != nil {
		w.t.Fatal(err)
	}
	if err := c.send(requests...); err != nil {
		w.t.Fatal(err)
	}
	return c.tcp
}

// set is a request to set a key to a value that is sent as it is.
func set(method, target, value string) request {
	return request{method: method, target: target, header: [][2]string{{"Content-Type", formType}}, body: []byte("value=" + value)}
}

// fill writes keys of a directory, which are numbered, on several connections.
func (w *weighed) fill(dir string, keys int, value string) {
	w.t.Helper()
	const conns, pipelined = 16, 32
	var clients sync.WaitGroup
	for i := range conns {
		c := w.dial()
		clients.Go(func() {
			defer c.Close()
			for key := i; key < keys; key += conns * pipelined {
				var batch bytes.Buffer
				n := 0
				for ; n < pipelined && key+n*conns < keys; n++ {
					batch.Write(set("PUT", fmt.Sprintf("/v2/keys%s/%07d", dir, key+n*conns), value).encode(w.client))
				}
				sent := make(chan error, 1)
				go func() {
					_, err := c.Write(batch.Bytes())
					sent <- err
				}()
				for range n {
					if r, err := c.receive("PUT"); err != nil || r.status >= 300 {
						w.t.Errorf("%d %.200s %v", r.status, r.body, err)
						return
					}
				}
				if err := <-sent; err != nil {
					w.t.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
}

// The memory of these tests: the quota, and what a machine may have with it.
const (
	testQuota     = 64 // MiB
	testMemory    = 3*testQuota + 200
	largeValue    = 10<<20 - 100 // bytes: -max-body has its name as well
	mediumValue   = 1 << 20
	answerRefused = "the answers that clients have not read yet are too large together; nothing was done. The limit is set by -max-answer-memory"
)

var memoryFlags = []string{"-quota", strconv.Itoa(testQuota << 20)}

// Clients that do not read have a machine keep little more than what it has anyway.
func TestMemoryOfAnswers(t *testing.T) {
	for name, load := range map[string]func(w *weighed){
		"watches of a large value": func(w *weighed) {
			for _, target := range []string{"/v1/watch/a", "/v2/keys/a?wait=true", "/v2/keys/a?wait=true&timeout=60", "/v1/watch/a?stream=true"} {
				for range 25 {
					w.deaf(get(target))
				}
			}
			w.waitWatchers(100)
			w.do(set("POST", "/v1/keys/a", strings.Repeat("<", largeValue)))
			w.waitWatchers(25) // the streams
		},
		"gets of large values": func(w *weighed) {
			value := strings.Repeat("<", mediumValue)
			w.do(set("PUT", "/v2/keys/other", value[1:]))
			for i := range 31 {
				w.do(set("PUT", fmt.Sprintf("/v2/keys/%d", i), value))
				for range 3 {
					w.deaf(get(fmt.Sprintf("/v1/keys/%d", i)))
					w.deaf(get(fmt.Sprintf("/v2/keys/%d", i)))
				}
			}
			waitUntil(w.t, "what these keep counts", func() bool { return w.metric(`etcd_http_answer_memory_bytes{port="client"}`) > 31*mediumValue })
			for i := range 5 {
				w.do(set("PUT", fmt.Sprintf("/v2/keys/more%d", i), "x"+value))
				w.deaf(get(fmt.Sprintf("/v2/keys/more%d", i)))
			}
			waitUntil(w.t, "an answer is refused", func() bool { return w.metric(`etcd_http_answers_refused_total{port="client"}`) > 0 })
			for target, want := range map[string]string{
				"/v1/keys/other": `{"errorCode":503,"message":"Service Unavailable","cause":"` + answerRefused + `"}`,
				"/v2/keys/other": `{"errorCode":503,"message":"Service Unavailable","cause":"` + answerRefused + `","index":`,
			} {
				if r := w.do(get(target)); r.status != 503 || !strings.HasPrefix(r.body, want) || r.header.Get("Retry-After") != "1" {
					w.t.Errorf("%s over the limit: %d %v %.300s", target, r.status, r.header, r.body)
				}
			}
		},
		"answers to large writes": func(w *weighed) {
			for i := range 12 {
				w.deaf(set("PUT", "/v2/keys/a", strings.Repeat("<", largeValue-i)))
			}
			waitUntil(w.t, "an answer is refused", func() bool { return w.metric(`etcd_http_answers_refused_total{port="client"}`) > 0 })
		},
		"listings while everything is overwritten": func(w *weighed) {
			value := strings.Repeat("x", 80<<10)
			for range 5 {
				w.fill("/d", 300, value)
				w.deaf(get("/v1/keys/d"))
				w.deaf(get("/v2/keys/d?recursive=true"))
			}
			const within = 15 * time.Second // half of the time after which every view goes
			last := time.Now()
			waitUntil(w.t, "the first of them are cut off", func() bool {
				views := w.metric("etcd_store_views")
				if time.Since(last) > within {
					w.t.Fatalf("%v views are still held after %s", views, within)
				}
				return views <= 4
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := weigh(t, memoryFlags...)
			beside := w.bystander(time.Millisecond, wellBehaved...)
			load(w)
			beside.report(name)
			w.within(name)
		})
	}
}

// A machine whose quota is used up has no more memory than is promised, whatever its clients do, also after
// a start, and gives back what it has no use for.
func TestMemoryFollowsTheQuota(t *testing.T) {
	w := weigh(t, append(memoryFlags, "-snapshot-count", "2000")...)
	beside := w.bystander(time.Millisecond, wellBehaved...)
	w.fill("/tiny", 20_000, "1") // which count 144 bytes each
	w.fill("/deep"+strings.Repeat("/d", 100), 2000, "1")
	value := strings.Repeat("<", mediumValue)
	for i := 0; ; i++ {
		r := w.do(set("PUT", fmt.Sprintf("/v2/keys/large/%d", i), value))
		if r.status == 507 {
			break
		}
		if r.status != 201 {
			t.Fatalf("%d %.200s", r.status, r.body)
		}
		if i >= 20 { // so many fit into what answers may keep, and others have to get theirs
			continue
		}
		for _, target := range []string{"/v2/keys/large/%d?wait=true", "/v1/watch/large/%d?stream=true", "/v1/keys/large/%d"} {
			w.deaf(get(fmt.Sprintf(target, i)))
		}
	}
	for round := range 4 {
		for _, target := range []string{"/v1/keys/tiny", "/v2/keys/?recursive=true", "/v2/keys/large"} {
			w.deaf(get(target))
		}
		for i := range 10 {
			w.do(set("PUT", fmt.Sprintf("/v2/keys/large/%d", i), value[round:]))
		}
		w.fill("/tiny", 5000, strconv.Itoa(round))
	}
	beside.report("everything")
	w.within("under load")
	w.stop()
	w.start()
	w.within("after a start")
	before := w.memory("VmRSS")
	for range 8 {
		if r := w.do(get("/v2/keys/?recursive=true")); r.status != 200 {
			t.Fatalf("%d %.200s", r.status, r.body)
		}
	}
	w.within("after listings")
	waitUntil(t, "memory is given back", func() bool { return w.memory("VmRSS") < before+50<<20 })
}

// within fails the test if the process has had more memory than is promised.
func (w *weighed) within(when string) {
	w.t.Helper()
	now, most := w.memory("VmRSS")>>20, w.memory("VmHWM")>>20
	w.t.Logf("%s: %d MiB of memory, %d at most", when, now, most)
	if most > testMemory {
		w.t.Errorf("%s: %d MiB of memory, want at most %d", when, most, testMemory)
	}
}
