package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// recordedCase is one case of the recordings: a fresh server and the requests
// to it, step by step.
type recordedCase struct {
	Name  string         `json:"case"`
	Steps []recordedStep `json:"steps"`
}

// recordedStep is one step; its kind is given by the fields that are set.
type recordedStep struct {
	Request *recordedRequest `json:"request"`

	// The answer. Without one, Status is nil and Incomplete set. Of a long body
	// only length and digest were recorded.
	Status     *int              `json:"status"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	BodyLen    int               `json:"body_len"`
	BodySHA256 string            `json:"body_sha256"`
	Incomplete string            `json:"incomplete"`

	// A request in the background, and the step that receives its answer.
	Background      string `json:"background"`
	AnsweredAlready bool   `json:"answered_already"`
	HeadersAlready  bool   `json:"headers_already"`
	Collect         string `json:"collect"`

	Repeated int     `json:"repeated"` // {i} in the request counts from 0
	Sleep    float64 `json:"sleep"`    // seconds
	Restart  bool    `json:"restart"`
}

type recordedRequest struct {
	Method    string            `json:"method"`
	Path      string            `json:"path"`
	Form      []recordedField   `json:"form"`
	Multipart []recordedField   `json:"multipart"`
	Body      *string           `json:"body"`
	CType     string            `json:"ctype"`
	Headers   map[string]string `json:"headers"`
}

// recordedField is a form field, [name, value] in JSON. A long value is written as what it repeats.
type recordedField struct{ name, value string }

func (f *recordedField) UnmarshalJSON(data []byte) error {
	var pair [2]json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[0], &f.name); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[1], &f.value); err == nil {
		return nil
	}
	var special struct {
		Prefix string
		Repeat string
		Len    int
		B64    string
	}
	if err := json.Unmarshal(pair[1], &special); err != nil {
		return err
	}
	if special.Repeat != "" {
		f.value = special.Prefix + strings.Repeat(special.Repeat, special.Len)
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(special.B64)
	f.value = string(raw)
	return err
}

// fields returns the form of the request, whatever its encoding, as
// alternating names and values.
func (r *recordedRequest) fields() []string {
	var out []string
	for _, f := range append(r.Form, r.Multipart...) {
		out = append(out, f.name, f.value)
	}
	return out
}

// field returns the first value of a form or query field.
func (r *recordedRequest) field(name string) string {
	form := r.fields()
	for i := 0; i < len(form); i += 2 {
		if form[i] == name {
			return form[i+1]
		}
	}
	_, query, _ := strings.Cut(r.Path, "?")
	for part := range strings.SplitSeq(query, "&") {
		if value, ok := strings.CutPrefix(part, name+"="); ok {
			return value
		}
	}
	return ""
}

// wire builds the request to send. rewrite is applied to the values of index
// fields and to {i} counters.
func (r *recordedRequest) wire(rewrite func(name, value string) string) request {
	path, query, hasQuery := strings.Cut(rewrite("", r.Path), "?")
	if hasQuery {
		parts := strings.Split(query, "&")
		for i, part := range parts {
			if name, value, ok := strings.Cut(part, "="); ok {
				parts[i] = name + "=" + rewrite(name, value)
			}
		}
		path += "?" + strings.Join(parts, "&")
	}
	out := request{method: r.Method, target: path}
	form := r.fields()
	for i := 0; i < len(form); i += 2 {
		form[i+1] = rewrite(form[i], form[i+1])
	}
	contentType := r.CType
	switch {
	case r.Multipart != nil:
		contentType, out.body = encodeMultipart(form...)
	case r.Form != nil:
		out.body = encodeForm(form...)
		if contentType == "" {
			contentType = formType
		}
	case r.Body != nil:
		out.body = []byte(*r.Body)
	}
	if contentType != "" {
		out.header = append(out.header, [2]string{"Content-Type", contentType})
	}
	for name, value := range r.Headers {
		out.header = append(out.header, [2]string{name, value})
	}
	return out
}

// loadRecording reads a file of recorded cases, one a line.
func loadRecording[C any](path string) ([]C, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var cases []C
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c C
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("%s, case %d: %w", path, len(cases)+1, err)
		}
		cases = append(cases, c)
	}
	return cases, lines.Err()
}
