package httpfront

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

const (
	typeOctets = "application/octet-stream"
	typeEvents = "text/event-stream"
)

// RawMediaType returns the media type in which a client wants the bare value, or "" if it wants
// JSON. It gets JSON unless it prefers one of the two others: by a higher quality, or
// because it names it and accepts JSON only by a wildcard. "*/*" is JSON, and so is
// "application/json, text/plain, */*", the default of libraries that understand both.
func RawMediaType(h *fasthttp.RequestHeader) string {
	lines := h.PeekAll(fasthttp.HeaderAccept)
	if len(lines) == 0 || len(lines) == 1 && string(lines[0]) == "*/*" {
		return ""
	}
	accept := string(bytes.Join(lines, []byte{','}))
	var json, text, octets preference
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		q := quality(params)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case TypeJSON:
			json.update(3, q)
		case "text/plain":
			text.update(3, q)
		case typeOctets:
			octets.update(3, q)
		case "application/*":
			json.update(2, q)
		case "text/*":
			text.update(2, q)
		case "*/*":
			json.update(1, q)
		}
	}
	raw, mediaType := text, "text/plain"
	if octets.beats(text) {
		raw, mediaType = octets, typeOctets
	}
	if !raw.beats(json) {
		return ""
	}
	return mediaType
}

// AcceptsEvents reports whether a client wants server-sent events: it names their type, and wants
// no JSON more than that.
func AcceptsEvents(h *fasthttp.RequestHeader) bool {
	var events, json preference
	for _, line := range h.PeekAll(fasthttp.HeaderAccept) {
		for part := range strings.SplitSeq(string(line), ",") {
			name, params, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case typeEvents:
				events.update(3, quality(params))
			case TypeJSON:
				json.update(3, quality(params))
			}
		}
	}
	return events.beats(json)
}

// preference is how much a client wants a media type: the quality of the most specific range
// that includes it (3: by name, 2: application/* or text/*, 1: */*, 0: none).
type preference struct {
	specificity int
	quality     float64
}

func (p *preference) update(specific int, quality float64) {
	if specific > p.specificity {
		*p = preference{specific, quality}
	}
}

func (p preference) beats(other preference) bool {
	switch {
	case p.quality == 0:
		return false
	case p.quality != other.quality:
		return p.quality > other.quality
	}
	return p.specificity > other.specificity
}

// quality returns the q of a media range; 1 if there is none or it is invalid.
func quality(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			if q, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil && q >= 0 && q <= 1 {
				return q
			}
		}
	}
	return 1
}

// RawValue answers with the value of a key and nothing else, byte for byte.
type RawValue struct{ MediaType, Value string }

func (b RawValue) Write(resp *fasthttp.Response) {
	resp.Header.SetContentType(b.MediaType)
	resp.Header.Set(fasthttp.HeaderXContentTypeOptions, "nosniff") // a value may look like a web page
	if len(b.Value) <= MaxWhole {
		resp.SetBodyString(b.Value)
		return
	}
	WriteText(resp, nil, Gaps{{value: b.Value, bare: true}})
}
