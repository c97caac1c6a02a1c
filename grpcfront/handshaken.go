package grpcfront

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
)

// handshaken are the credentials of a server whose connections have had their TLS handshake, if they
// have any, before they came. They only tell the handlers of it.
type handshaken struct{}

// ServerHandshake implements [credentials.TransportCredentials].
func (handshaken) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	state, ok := raw.(*conn).tls()
	if !ok {
		return raw, clearText{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}, nil
	}
	return raw, credentials.TLSInfo{
		State:          state,
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// clearText is the AuthInfo without TLS.
type clearText struct{ credentials.CommonAuthInfo }

// AuthType implements [credentials.AuthInfo].
func (clearText) AuthType() string { return "insecure" }

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
