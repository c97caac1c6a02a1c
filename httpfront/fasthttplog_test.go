package httpfront_test

import (
	"strings"
	"testing"

	"etcd/httpfront"
	"etcd/httpfront/fronttest"
)

// A request that cannot be read may have a password or a value just where it goes wrong. What is
// wrong with it is logged at level debug, and nothing of the request.
func TestUnreadableRequestsAreNotLogged(t *testing.T) {
	var log fronttest.LogBuffer
	s := serve(t, fronttest.WithTLS, func(c *httpfront.Config) { c.Log = log.Logger() })
	for wrong, request := range map[string]string{
		`invalid header value`:       "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic secret\x01\r\n\r\n",
		`missing colon`:              "POST /v1/keys/a HTTP/1.1\r\nHost: a\r\nvalue=\\\"secret\r\n\r\n",
		`error when reading request`: "\"value\"=\"secret\r\n\r\n",
		`unsupported transfer-en`:    "PUT /v2/keys/a?value=secret HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: secret\r\n\r\n",
	} {
		c := s.Dial()
		c.Send("%s", request)
		c.Reply("GET")
		c.WantClosed()
		logged := ""
		s.Eventually("it is logged: "+wrong, func() bool {
			logged += log.Take()
			return strings.Contains(logged, "error when serving connection") && strings.Contains(logged, wrong)
		})
		if strings.Contains(logged, "secret") {
			t.Errorf("logged:\n%s", logged)
		}
	}
}
