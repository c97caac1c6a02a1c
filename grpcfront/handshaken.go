package grpcfront

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// handshaken are the credentials of a server whose connections have had their TLS handshake, if they
// have any, before they came. They only tell the handlers of it.
type handshaken struct{}

// ServerHandshake implements [credentials.TransportCredentials].
func (handshaken) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	c := raw.(*conn)
	level := credentials.NoSecurity
	if _, ok := c.tls(); ok {
		level = credentials.PrivacyAndIntegrity
	}
	return raw, authInfo{credentials.CommonAuthInfo{SecurityLevel: level}, c}, nil
}

// authInfo is the AuthInfo of a peer.
type authInfo struct {
	credentials.CommonAuthInfo
	conn *conn
}

// AuthType implements [credentials.AuthInfo].
func (i authInfo) AuthType() string {
	if _, ok := i.TLS(); ok {
		return "tls"
	}
	return "insecure"
}

// TLS returns the state of the connection's TLS, with the client's certificate; ok is false without it.
func (i authInfo) TLS() (state tls.ConnectionState, ok bool) { return i.conn.tls() }

// connOf returns the connection of a call.
func connOf(ctx context.Context) *conn {
	p, _ := peer.FromContext(ctx)
	return p.AuthInfo.(authInfo).conn
}

// ClientHandshake implements [credentials.TransportCredentials]. A server does none.
func (handshaken) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.ErrUnsupported
}

// Info implements [credentials.TransportCredentials].
func (handshaken) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements [credentials.TransportCredentials].
func (h handshaken) Clone() credentials.TransportCredentials { return h }

// OverrideServerName implements [credentials.TransportCredentials].
func (handshaken) OverrideServerName(string) error { return errors.ErrUnsupported }
