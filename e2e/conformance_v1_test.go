package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestConformance replays the requests recorded with etcd 0.1.0.
func TestConformance(t *testing.T) {
	v1Oracle.replayAll(t)
}

var v1Oracle = &oracle{
	recording:  "testdata/v1-etcd-0.1.0.jsonl",
	deviations: "testdata/v1-deviations.json",
	document:   "../docs/api-v1.md",
	reason:     regexp.MustCompile(`^.{20}`),
	rules:      v1Rules,
	keys:       "/v1/keys",
	flags: func(name string) []string {
		if m, ok := strings.CutPrefix(name, "watch_history_m_"); ok {
			return []string{"-m", m}
		}
		return nil
	},
	begin: func(r *replay) {
		version := r.server.do(get("/")).body
		if !versionText.MatchString(version) {
			r.t.Fatalf("the version is %q", version)
		}
		r.vars = strings.NewReplacer("$CLIENT", r.server.client, "$PEER", r.server.peer, "$VERSION", version)
	},
	node: func(body any) object {
		node, _ := body.(object)
		return node
	},
	expired: func(*replay, reply) bool { return true },
	headers: func(_ *replay, want expectation, got reply) string {
		if got.status == 405 && got.header.Get("Allow") == "" {
			return "no Allow header"
		}
		if contentType := got.header.Get("Content-Type"); (want.body != nil || want.sha256 != "") && contentType != "application/json" {
			return fmt.Sprintf("the content type is %q", contentType)
		}
		return ""
	},
	frame: func(s recordedStep, e *expectation) {
		e.newline = strings.HasPrefix(stepPath(s), "/v2/keys") // which was not there yet
	},
	learn: func(r *replay, s recordedStep, body any) {
		recorded, err := parseJSON(s.Body)
		if err != nil {
			return
		}
		if old, ok := indexOf(recorded); ok {
			if ours, ok := indexOf(body); ok {
				r.indexes.learn(old, ours)
			}
		}
	},
}

// versionBody is what /version answers.
var versionBody = object{{"etcdserver", "*"}, {"etcdcluster", "*"}, {"release", "*"}}

// versionText is what the server answers at its root.
var versionText = regexp.MustCompile(`^etcd v\d+\.\d+\.\d+[-+.0-9A-Za-z]*$`)

// indexOf returns the index of an answer about one key.
func indexOf(body any) (uint64, bool) {
	o, ok := body.(object)
	if !ok {
		return 0, false
	}
	text, ok := o.get("index").(json.Number)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	return n, err == nil
}

var v1Rules = []rule{
	{"content type", func(s recordedStep, e *expectation) bool {
		return e.body != nil // checked with the headers
	}},
	{"version", func(s recordedStep, e *expectation) bool {
		if e.text != "etcd v0.1.0" {
			return false
		}
		switch stepPath(s) {
		case "/":
			e.text = "$VERSION"
		case "/version":
			e.text, e.body = "", versionBody
		default:
			return false
		}
		return true
	}},
	{"unknown path", func(s recordedStep, e *expectation) bool {
		if e.text != "etcd v0.1.0" {
			return false
		}
		e.status, e.text = 404, ""
		e.body = errorBody(404, "Not Found", "/"+strings.Trim(stepPath(s), "/"))
		return true
	}},
	{"wrong method", func(s recordedStep, e *expectation) bool {
		if e.status != 405 || s.Request.Method == "HEAD" {
			return false
		}
		e.body = errorBody(405, "Method Not Allowed", s.Request.Method)
		return true
	}},
	{"listing", func(s recordedStep, e *expectation) bool {
		key, isKey := strings.CutPrefix(stepPath(s), "/v1/keys")
		if !isKey || s.Request.Method != "GET" {
			return false
		}
		switch body := e.body.(type) {
		case object:
			key, err := url.PathUnescape("/" + strings.Trim(key, "/"))
			if err != nil || body.get("action") != "GET" || body.get("key") == key {
				return false
			}
			e.body = []any{body}
			return true
		case []any:
			sorted := slices.Clone(body)
			slices.SortFunc(sorted, func(a, b any) int {
				return strings.Compare(a.(object).get("key").(string), b.(object).get("key").(string))
			})
			e.body = sorted
			return compareJSON(body, sorted, "", nil) != ""
		}
		return false
	}},
	{"watch index", func(s recordedStep, e *expectation) bool {
		if s.Request == nil || s.Request.Method != "POST" || !strings.HasPrefix(stepPath(s), "/v1/watch/") {
			return false
		}
		if _, err := strconv.ParseUint(s.Request.field("index"), 10, 64); err == nil {
			return false
		}
		if s.Collect == "" {
			e.answered = true
			return true
		}
		*e = expectation{status: 400, body: errorBody(203, "The given index in POST form is not a number", "Watch From Index")}
		return true
	}},
}

func errorBody(code int, message, cause string) object {
	return object{
		{"errorCode", json.Number(strconv.Itoa(code))},
		{"message", message},
		{"cause", cause},
	}
}

// stepPath returns the path of a step's request without its query.
func stepPath(s recordedStep) string {
	if s.Request == nil {
		return ""
	}
	path, _, _ := strings.Cut(s.Request.Path, "?")
	return path
}
