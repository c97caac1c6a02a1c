package httpfront

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"
)

// maxParts bounds the parts of a multipart body.
const maxParts = 100

// form holds the parameters of a request: those of the body before those of the
// query, each in the order in which they were sent.
type form []field

type field struct{ name, value string }

// get returns the first field with that name. Names are case sensitive.
func (f form) get(name string) (value string, ok bool) {
	for _, field := range f {
		if field.name == name {
			return field.value, true
		}
	}
	return "", false
}

// readForm collects the parameters of a request. A body that is neither urlencoded
// nor multipart has none, and a pair that is badly encoded is left out, as the
// servers of 2013 did: what misses is then refused by its own error.
func readForm(req *fasthttp.Request, query string) form {
	var f form
	if body := req.Body(); len(body) > 0 {
		f = readBody(string(req.Header.ContentType()), body)
	}
	return appendPairs(f, query)
}

// urlencoded is what curl and nearly everybody sends.
const urlencoded = "application/x-www-form-urlencoded"

func readBody(contentType string, body []byte) form {
	if contentType == urlencoded { // not worth parsing
		return appendPairs(nil, string(body))
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil
	}
	switch mediaType {
	case urlencoded:
		return appendPairs(nil, string(body))
	case "multipart/form-data":
		return readMultipart(multipart.NewReader(bytes.NewReader(body), params["boundary"]))
	}
	return nil
}

// appendPairs adds the pairs of an urlencoded string.
func appendPairs(f form, encoded string) form {
	for encoded != "" {
		var pair string
		pair, encoded, _ = strings.Cut(encoded, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			continue
		}
		f = append(f, field{name, value})
	}
	return f
}

// readMultipart takes the plain fields of a multipart body; files are not fields. A
// body that breaks off has none at all.
func readMultipart(r *multipart.Reader) form {
	var f form
	for range maxParts + 1 { // one more finds the end
		part, err := r.NextPart()
		if err == io.EOF {
			return f
		}
		if err != nil {
			return nil
		}
		if part.FormName() == "" || part.FileName() != "" {
			continue
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil
		}
		f = append(f, field{part.FormName(), string(value)})
	}
	return nil
}
