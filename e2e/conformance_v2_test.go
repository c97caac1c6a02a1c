package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestConformanceV2 replays the requests recorded with etcd 3.4.23.
func TestConformanceV2(t *testing.T) {
	v2Oracle.replayAll(t)
}

var v2Oracle = &oracle{
	recording:  "testdata/v2-etcd-3.4.23.jsonl",
	deviations: "testdata/v2-deviations.json",
	document:   "../docs/api-v2.md",
	reason:     regexp.MustCompile(`^(\d+\.|\|) .{20}`), // one of the numbered differences, or a row of a table
	rules:      v2Rules,
	keys:       "/v2/keys",
	flags: func(name string) []string {
		switch name {
		case "cors_star":
			return []string{"-cors", "*"}
		case "ep_auth":
			return []string{"--bcrypt-cost", "4"} // a password takes seconds with the race detector
		case "watch_history_cleared":
			return []string{"-m", "1000"} // as many as etcd keeps
		case "snapshot_then_restart":
			return []string{"--snapshot-count", "10"}
		}
		return nil
	},
	begin: func(r *replay) {
		r.vars = strings.NewReplacer("$CLIENT", r.server.client, "$PEER", r.server.peer)
		const fresh = 3 // the index of etcd's store before the first command
		text := r.server.do(get("/v2/keys/")).header.Get("X-Etcd-Index")
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			r.t.Fatalf("X-Etcd-Index is %q", text)
		}
		r.indexes.learn(fresh, index)
	},
	node: func(body any) object {
		answer, _ := body.(object)
		node, _ := answer.get("node").(object)
		return node
	},
	expired: func(r *replay, missing reply) bool {
		index, err := strconv.ParseUint(missing.header.Get("X-Etcd-Index"), 10, 64)
		return err == nil && index > r.indexes.highest
	},
	headers: (*replay).headersV2,
	fields: func(r *replay, s recordedStep) map[string]func(want, got any) string {
		return map[string]func(want, got any) string{
			"modifiedIndex": r.indexes.same,
			"createdIndex":  r.indexes.same,
			"index":         r.indexes.same,
			"key":           r.indexes.sameKey,
			"cause": func(want, got any) string {
				text, _ := want.(string)
				return sameText(r.translateCause(s, text), got)
			},
		}
	},
	asRecorded: func(r *replay, body string) string {
		return shownIndex.ReplaceAllStringFunc(body, func(field string) string {
			name, text, _ := strings.Cut(field, ":")
			for _, pair := range r.indexes.pairs {
				if strconv.FormatUint(pair[1], 10) == text {
					return name + ":" + strconv.FormatUint(pair[0], 10)
				}
			}
			return field
		})
	},
	frame: frameV2,
}

var (
	shownIndex    = regexp.MustCompile(`"(modified|created)Index":\d+`)
	comparedIndex = regexp.MustCompile(`\[(\d+) != (\d+)\]`)
	clearedIndex  = regexp.MustCompile(`\[(\d+)/(\d+)\]`)
)

// translateCause replaces recorded indexes by ours in what an error says: that which the request has
// given, and that which it was compared with.
func (r *replay) translateCause(s recordedStep, cause string) string {
	ours := func(text string) string { return r.rewrite(0)("index", text) }
	cause = comparedIndex.ReplaceAllStringFunc(cause, func(text string) string {
		m := comparedIndex.FindStringSubmatch(text)
		if m[1] != s.Request.field("prevIndex") {
			return text // values that are numbers
		}
		return "[" + ours(m[1]) + " != " + ours(m[2]) + "]"
	})
	return clearedIndex.ReplaceAllStringFunc(cause, func(text string) string {
		m := clearedIndex.FindStringSubmatch(text)
		return "[" + ours(m[1]) + "/" + ours(m[2]) + "]"
	})
}

// recordedHeaders are the headers of which the recording says whether they were there.
var recordedHeaders = []string{"Content-Type", "X-Etcd-Index", "X-Etcd-Cluster-Id", "X-Raft-Index", "X-Raft-Term", "Allow", "Location"}

var (
	decimal = regexp.MustCompile(`^[1-9]\d*$`)
	hex64   = regexp.MustCompile(`^[0-9a-f]{1,16}$`)
)

// headersV2 compares the headers of an answer.
func (r *replay) headersV2(want expectation, got reply) string {
	return headersDiffer(func(name string) string { return want.headers[name] }, got.header, r.indexes.same)
}

// headersDiffer says which of the headers is another one than is wanted, "" if none is. Indexes are compared
// by same.
func headersDiffer(want func(name string) string, got http.Header, same func(want, got any) string) string {
	for _, name := range recordedHeaders {
		w, g, diff := want(name), got.Get(name), ""
		switch {
		case w == "" && g == "":
		case w == "" || g == "":
			diff = fmt.Sprintf("is %q, want %q", g, w)
		case name == "X-Etcd-Index":
			diff = same(w, g)
		case name == "X-Raft-Index" || name == "X-Raft-Term":
			if !decimal.MatchString(g) {
				diff = fmt.Sprintf("is %q", g)
			}
		case name == "X-Etcd-Cluster-Id":
			if !hex64.MatchString(g) {
				diff = fmt.Sprintf("is %q", g)
			}
		case w != g:
			diff = fmt.Sprintf("is %q, want %q", g, w)
		}
		if diff != "" {
			return name + " " + diff
		}
	}
	return ""
}

// frameV2 makes headers and the newline at the end fit a body that was not recorded.
func frameV2(s recordedStep, e *expectation) {
	answer, _ := e.body.(object)
	if answer == nil {
		_, lines := e.body.([]any)
		e.newline = lines
		if !lines {
			e.headers = map[string]string{"Content-Type": "text/plain; charset=utf-8"}
		}
		return
	}
	index, action := answer.get("index"), answer.get("action")
	e.newline = index != nil || action != nil
	if s.Status != nil && e.status == *s.Status && e.newline {
		return // the same headers
	}
	e.headers = map[string]string{"Content-Type": "application/json"}
	switch {
	case action == "get":
		index = currentIndex
	case action != nil:
		node, _ := answer.get("node").(object)
		index = node.get("modifiedIndex")
	}
	if index != nil {
		e.headers["X-Etcd-Index"], e.headers["X-Etcd-Cluster-Id"] = fmt.Sprint(index), "*"
	}
	if action != nil {
		e.headers["X-Raft-Index"], e.headers["X-Raft-Term"] = "*", "*"
	}
}

var v2Rules = []rule{
	{"index of a refused request", func(s recordedStep, e *expectation) bool {
		if s.Headers["X-Etcd-Index"] != "0" {
			return false
		}
		e.headers["X-Etcd-Index"] = currentIndex
		e.body = mapFields(e.body, "index", func(any) any { return currentIndex })
		return true
	}},
	{"sorted", func(s recordedStep, e *expectation) bool {
		sorted := sortNodes(e.body)
		differ := compareJSON(e.body, sorted, "", nil) != ""
		e.body = sorted
		return differ
	}},
	{"version", func(s recordedStep, e *expectation) bool {
		if stepPath(s) != "/version" || s.Request.Method != "GET" {
			return false
		}
		e.body = versionBody
		return true
	}},
}

// sortNodes returns a body with the nodes of directories in order.
func sortNodes(body any) any {
	return mapFields(body, "nodes", func(nodes any) any {
		list, _ := nodes.([]any)
		sorted := make([]any, len(list))
		for i, node := range list {
			sorted[i] = sortNodes(node)
		}
		slices.SortFunc(sorted, func(a, b any) int {
			x, _ := a.(object).get("key").(string)
			y, _ := b.(object).get("key").(string)
			return cmp.Compare(x, y)
		})
		return sorted
	})
}

// learnRepeated pairs the indexes of a request that was repeated. The recording has only the last of
// them; etcd's are consecutive.
func (r *replay) learnRepeated(s recordedStep, i int, got reply) {
	last, err := strconv.ParseUint(s.Headers["X-Etcd-Index"], 10, 64)
	if err != nil {
		return // v1 shows none
	}
	recorded := last - uint64(s.Repeated-1-i)
	if diff := r.indexes.same(json.Number(strconv.FormatUint(recorded, 10)), got.header.Get("X-Etcd-Index")); diff != "" {
		r.t.Fatalf("request %d: X-Etcd-Index %s", i, diff)
	}
}
