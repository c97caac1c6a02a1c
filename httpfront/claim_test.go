package httpfront

import (
	"net/http"
	"testing"
)

// Who a client says it is, is what net/http reads in the same header.
func FuzzBasic(f *testing.F) {
	for _, seed := range []string{"Basic cm9vdDpzZWNyZXQ=", "basic Og==", "Basic  cm9vdDpzZWNyZXQ=", "Basic cm9vdA==", "Bearer cm9vdDpzZWNyZXQ=", "Basic", "Basic cm9v\r\ndDpzZWNyZXQ=", "Basic /w==:", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		user, password, ok := parseBasic(value)
		r := &http.Request{Header: http.Header{"Authorization": {value}}}
		wantUser, wantPassword, wantOK := r.BasicAuth()
		if ok != wantOK || ok && (user != wantUser || password != wantPassword) {
			t.Errorf("%q: %q, %q, %v; net/http has %q, %q, %v", value, user, password, ok, wantUser, wantPassword, wantOK)
		}
	})
}
