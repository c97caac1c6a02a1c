package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"etcd/credentials/certtest"
)

// testCA signs the certificates of these tests.
var testCA = sync.OnceValue(func() *certtest.CA { return certtest.New("test") })

// A handshake that does not end times out.
func TestHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		c := newTLSConn(server, &tls.Config{Certificates: []tls.Certificate{testCA().Issue("server").TLS()}})
		defer c.Close()
		_, err := c.Read(make([]byte, 1))
		if failed, ok := errors.AsType[handshakeError](err); !ok || !errors.Is(failed.error, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := client.Write([]byte{recordTypeHandshake}); err == nil {
			t.Error("the connection is still open")
		}
	})
}

// Closing does not wait for a client that no longer reads: a stop closes one idle connection
// after the other.
func TestCloseDoesNotWait(t *testing.T) {
	for name, closing := range map[string]func(*tlsConn) error{"close": (*tlsConn).Close, "half": (*tlsConn).CloseWrite} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				defer client.Close()
				c := newTLSConn(server, &tls.Config{
					Certificates:           []tls.Certificate{testCA().Issue("server").TLS()},
					SessionTicketsDisabled: true, // the client would have to read them
				})
				defer c.Close()
				shaken := make(chan error)
				go func() {
					shaken <- tls.Client(client, &tls.Config{InsecureSkipVerify: true}).Handshake()
				}()
				if err := errors.Join(c.handshake(), <-shaken); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				_ = closing(c)
				if took := time.Since(start); took > closeTimeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
