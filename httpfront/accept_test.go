package httpfront

import (
	"testing"

	"github.com/valyala/fasthttp"
)

func TestRawType(t *testing.T) {
	const text = "text/plain"
	for accept, want := range map[string]string{
		"":                                  "",
		"*/*":                               "", // curl
		"application/json":                  "",
		"application/json, text/plain, */*": "", // axios
		"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8": "", // browsers
		"text/plain":                                       text,
		"Text/Plain; charset=utf-8":                        text,
		"text/*":                                           text,
		"application/octet-stream":                         typeOctets,
		"text/plain, */*":                                  text,
		"*/*, application/octet-stream":                    typeOctets,
		"text/plain, */*; q=0.01":                          text, // jQuery
		"text/plain;q=0.5, */*":                            "",
		"text/plain;q=0.5, application/json":               "",
		"text/plain, application/json;q=0.9":               text,
		"text/plain;q=0, */*":                              "",
		"application/*, text/plain":                        text,
		"application/octet-stream;q=0.4, text/plain;q=0.5": text,
		"text/plain;q=0.4, application/octet-stream;q=0.5": typeOctets,
		"text/plain, application/octet-stream":             text,
		"text/plain;q=much":                                text,
		"image/png":                                        "",
		",;,=":                                             "",
	} {
		var h fasthttp.RequestHeader
		h.Set("Accept", accept)
		if got := RawMediaType(&h); got != want {
			t.Errorf("Accept: %s gives %q, want %q", accept, got, want)
		}
	}
}

func TestRawTypeOfSeveralLines(t *testing.T) {
	var h fasthttp.RequestHeader
	h.Add("Accept", "*/*")
	h.Add("Accept", "text/plain")
	if got := RawMediaType(&h); got != "text/plain" {
		t.Errorf("two lines of Accept give %q", got)
	}
}

func TestAcceptsEvents(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                    false,
		"*/*":                                 false,
		"application/json":                    false,
		"text/event-stream":                   true, // browsers
		"Text/Event-Stream; charset=utf-8":    true,
		"text/event-stream, */*":              true,
		"application/json, text/event-stream": false, // it understands both
		"application/json;q=0.9, text/event-stream": true,
		"text/event-stream;q=0":                     false,
		"text/*":                                    false,
	} {
		var h fasthttp.RequestHeader
		h.Set("Accept", accept)
		if got := AcceptsEvents(&h); got != want {
			t.Errorf("Accept: %s asks for a stream: %t, want %t", accept, got, want)
		}
	}
}
