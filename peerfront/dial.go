package peerfront

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"

	"etcd/apierror"
	"etcd/httpfront"
)

const (
	// maxAnswer bounds the answer of another machine, in bytes.
	maxAnswer = 1 << 20
	// maxReason bounds how much of the reason for a refusal is quoted, in bytes.
	maxReason = 1 << 10
)

// Dial connects to the peer port at addr, host:port, over TLS if that is what this machine speaks.
type Dial func(ctx context.Context, addr string) (net.Conn, error)

// post sends a JSON document, and returns what is answered.
func (d Dial) post(ctx context.Context, url string, document any) (status int, answer []byte, err error) {
	body, err := json.Marshal(document)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", httpfront.TypeJSON)
	connect := func(ctx context.Context, _, addr string) (net.Conn, error) { return d(ctx, addr) }
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: connect, DialTLSContext: connect}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, answer, err
}

// refusal returns the code in an answer that is an error, the status if it has none, and why, for
// people.
func refusal(status int, answer []byte) (code int, reason string) {
	e := apierror.Error{Message: strings.TrimSpace(string(answer))}
	_ = json.Unmarshal(answer, &e) // otherwise the text says what it says
	reason = strings.TrimSpace(e.Message + " " + e.Cause)
	return cmp.Or(e.Code, status), reason[:min(len(reason), maxReason)]
}
