package httpfront

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

const (
	// maxFields bounds the fields of a form; a body of nothing but "&a&a" would take many
	// times its length.
	maxFields = 100
	// maxQuoted bounds, in bytes, how much of a client's name or type an error repeats.
	maxQuoted = 64
)

// Form holds the parameters of a request: those of the body before those of the
// query, each in the order in which they were sent.
type Form []Field

// Field is one parameter.
type Field struct{ Name, Value string }

// Get returns the first field with that name. Names are case sensitive.
func (f Form) Get(name string) (value string, ok bool) {
	for _, field := range f {
		if field.Name == name {
			return field.Value, true
		}
	}
	return "", false
}

// readForm appends to f the parameters of a request. Whatever it cannot read whole is an
// error that names it: to drop a condition or a time to live would make it a different
// request.
func readForm(f Form, header *fasthttp.RequestHeader, body, query string) (Form, error) {
	if body != "" {
		for _, coding := range header.PeekAll(fasthttp.HeaderContentEncoding) {
			if len(coding) > 0 && !bytes.EqualFold(coding, []byte("identity")) {
				return nil, fmt.Errorf("a body in Content-Encoding %s is not understood", quoted(string(coding)))
			}
		}
		var err error
		if f, err = readFields(f, header.ContentType(), body); err != nil {
			return nil, err
		}
	}
	return appendPairs(f, query)
}

// TypeForm is the type of the bodies that curl and nearly all clients send.
const TypeForm = "application/x-www-form-urlencoded"

func readFields(f Form, contentType []byte, body string) (Form, error) {
	mediaType, boundary := TypeForm, ""
	if string(contentType) != TypeForm { // not worth parsing
		var params map[string]string
		var err error
		if mediaType, params, err = mime.ParseMediaType(string(contentType)); err != nil {
			mediaType = string(contentType)
		}
		boundary = params["boundary"]
	}
	switch mediaType {
	case TypeForm:
		return appendPairs(f, body)
	case "multipart/form-data":
		return readMultipart(multipart.NewReader(strings.NewReader(body), boundary))
	case "":
		return nil, errors.New("a body without Content-Type is not understood; send a form: " + TypeForm + " or multipart/form-data")
	}
	return nil, fmt.Errorf("a body of type %s is not understood; send a form: %s or multipart/form-data", quoted(mediaType), TypeForm)
}

// appendPairs adds the pairs of an urlencoded string.
func appendPairs(f Form, encoded string) (Form, error) {
	for encoded != "" {
		var pair string
		pair, encoded, _ = strings.Cut(encoded, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, fmt.Errorf("the name of field %s has %w", quoted(rawName), escapeError(err))
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, fmt.Errorf("%s has %w", quoted(name), escapeError(err))
		}
		if len(f) == maxFields {
			return nil, errTooManyFields
		}
		f = append(f, Field{name, value})
	}
	return f, nil
}

// badEscape is the error of [url.QueryUnescape] in words for clients.
type badEscape struct{ url.EscapeError }

func (e badEscape) Error() string {
	return fmt.Sprintf("the invalid escape %q; a %% is sent as %%25 (curl: --data-urlencode, with -G for the query)", string(e.EscapeError))
}

// Unwrap returns the error of the library.
func (e badEscape) Unwrap() error { return e.EscapeError }

func escapeError(err error) error {
	bad, ok := errors.AsType[url.EscapeError](err)
	if !ok {
		bad = "%"
	}
	return badEscape{bad}
}

var errTooManyFields = fmt.Errorf("more than %d fields", maxFields)

// readMultipart reads the fields of a multipart body.
func readMultipart(r *multipart.Reader) (Form, error) {
	var f Form
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			return f, nil
		}
		if err != nil {
			return nil, errors.New("the multipart body breaks off or is badly formed")
		}
		_, disposition, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		name := part.FormName()
		_, isFile := disposition["filename"]
		switch {
		case err != nil || name == "":
			return nil, errors.New("a part of the multipart body has no name")
		case isFile:
			return nil, fmt.Errorf("%s is a file and not a field (curl: --data-urlencode '%s@file' sends what is in a file as a field)", quoted(name), truncated(name))
		case len(f) == maxFields:
			return nil, errTooManyFields
		}
		switch coding := part.Header.Get("Content-Transfer-Encoding"); strings.ToLower(coding) {
		case "", "7bit", "8bit", "binary": // quoted-printable is decoded and not seen here
		default:
			return nil, fmt.Errorf("%s is in Content-Transfer-Encoding %s, which is not understood", quoted(name), quoted(coding))
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, fmt.Errorf("%s breaks off or is badly encoded", quoted(name))
		}
		f = append(f, Field{name, string(value)})
	}
}

// quoted quotes what a client sent, or its beginning.
func quoted(s string) string { return strconv.Quote(truncated(s)) }

func truncated(s string) string {
	if len(s) > maxQuoted {
		return s[:maxQuoted] + "..."
	}
	return s
}
