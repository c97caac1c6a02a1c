package httpfront

import (
	"errors"
	"path"
	"strings"
	"unicode/utf8"
)

var (
	errEscape = errors.New("invalid escape in the path")
	errUTF8   = errors.New("the path is not valid UTF-8")
	errNUL    = errors.New("the path contains NUL")
	errLong   = errors.New("the path is too long")
)

// cleanedPath is the path of a request.
type cleanedPath struct {
	path  string // clean, and valid UTF-8
	slash bool   // it ended in a slash, which is cut off
	odd   error  // why most routes do not take it; nil: they do
}

// cleanPath decodes the path of a request line and cleans it: empty, "." and ".."
// components are resolved, escaped or not, and "%2F" separates like "/". A "+" stays a
// "+".
func cleanPath(raw []byte) (clean cleanedPath, err error) {
	p, err := unescape(raw)
	if err != nil {
		return cleanedPath{}, err
	}
	if p == "" || p[0] != '/' {
		p = "/" + p
	}
	odd := checkKey(p)
	if errors.Is(odd, errUTF8) {
		p = string([]rune(p)) // with U+FFFD for each byte that is not
	}
	return cleanedPath{path.Clean(p), strings.HasSuffix(p, "/"), odd}, nil
}

// CleanKey cleans a key that a client has sent in a parameter, as if it were in the path. It is valid
// when the exchange is over.
func CleanKey(key string) (string, error) {
	if len(key) > maxURI {
		return "", errLong
	}
	if err := checkKey(key); err != nil {
		return "", err
	}
	return path.Clean("/" + key), nil
}

// checkKey returns why most routes do not take a path.
func checkKey(p string) error {
	switch {
	case !utf8.ValidString(p):
		return errUTF8
	case strings.IndexByte(p, 0) >= 0:
		return errNUL
	}
	return nil
}

// unescape decodes percent escapes.
func unescape(raw []byte) (string, error) {
	if strings.IndexByte(string(raw), '%') < 0 {
		return string(raw), nil
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			out = append(out, raw[i])
			continue
		}
		if i+2 >= len(raw) {
			return "", errEscape
		}
		high, low := unhex(raw[i+1]), unhex(raw[i+2])
		if high < 0 || low < 0 {
			return "", errEscape
		}
		out = append(out, byte(high<<4|low))
		i += 2
	}
	return string(out), nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// trimRoute cuts prefix off a clean path: "/v1/keys/a" under "/v1/keys" is "/a", and
// "/v1/keys" itself is the root. ok is false if clean is not under prefix.
func trimRoute(clean, prefix string) (key string, ok bool) {
	rest, ok := strings.CutPrefix(clean, prefix)
	switch {
	case !ok:
		return "", false
	case rest == "":
		return "/", true
	case rest[0] == '/':
		return rest, true
	}
	return "", false
}
