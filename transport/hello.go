package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"etcd/apierror"
	"etcd/endpoint"
	"etcd/version"
)

const (
	// StreamPath is where a stream is requested, with GET.
	StreamPath = "/raft/stream"
	// SnapshotPath is where a snapshot is delivered, with POST.
	SnapshotPath = "/raft/snapshot"

	upgradeProtocol = "etcd-raft"

	headerProtocol  = "X-Etcd-Protocol"
	headerCommands  = "X-Etcd-Commands"
	headerSnapshots = "X-Etcd-Snapshots"
	headerCluster   = "X-Etcd-Cluster-Id"
	headerFrom      = "X-Etcd-From"
	headerTo        = "X-Etcd-To"
	headerClass     = "X-Etcd-Class"
	headerAddr      = "X-Etcd-Peer-Address"
	headerNonce     = "X-Etcd-Nonce"
	headerReach     = "X-Etcd-Reach"
	headerToken     = "X-Etcd-Token"

	// maxAnswer bounds the answer to a request, headers included, in bytes.
	maxAnswer = 64 << 10
	// maxMessage bounds what is quoted of a peer's error, in bytes.
	maxMessage = 2 << 10
)

// Protocol is the version that this program speaks with peers: handshakes, frames, and what the
// frames carry besides commands and snapshots. Two machines speak the highest version that
// both understand.
var Protocol = version.Range{Min: 4, Max: 4}

// Class separates what must not wait (heartbeats, votes, small responses) from
// bulk (appends). Each has its own connection.
type Class uint8

const (
	Control Class = 1
	Bulk    Class = 2

	classSnapshot Class = 3
)

var classNames = map[Class]string{Control: "control", Bulk: "bulk", classSnapshot: "snapshot"}

// String is the name of the class, as it stands in the handshake.
func (c Class) String() string {
	if name, ok := classNames[c]; ok {
		return name
	}
	return strconv.Itoa(int(c))
}

func parseClass(name string) (Class, bool) {
	for c, n := range classNames {
		if n == name {
			return c, true
		}
	}
	return 0, false
}

// Hello is what a machine tells of itself in a handshake, and which member it means to reach.
// Both sides send it: the dialer in its request, the accepting side in its answer.
type Hello struct {
	ClusterID, From, To uint64
	// Class is [Control] or [Bulk] for a stream, and "snapshot" as a string for a
	// snapshot.
	Class Class
	// Addr is the peer address that the dialer claims, host:port. In an answer it is the
	// address that was dialled.
	Addr string
	// Nonce is that of the process.
	Nonce uint64
	// Token is what the dialer sends to nobody else, so that it can be asked back whether it
	// has sent it. An answer has none.
	Token string
	// Reach is how far the log of the machine reaches, in the caller's encoding.
	Reach string
	// Understood is what the program of the machine understands.
	Understood version.Understood
	// Rival is not sent: another process has a stream to this machine under the same member
	// ID.
	Rival bool
	// Asked is not sent: the result of asking the member back whether it has dialled. Nil as
	// long as it was not asked.
	Asked *Confirmation
	// Certified is not sent either: it checks whether the dialer's certificate names a host,
	// and its error says for people what is wrong. Nil if no certificates are required, and
	// in an answer.
	Certified Certified
}

// Certified returns why the certificate that the peer has shown on a connection does not name
// a host, a name or an IP address; nil if it does.
type Certified func(host string) error

// StatusUncertified refuses a machine whose certificate does not name the host that it claims
// to be.
const StatusUncertified = http.StatusUnauthorized

// StatusRefounded refuses a machine of the cluster that this one has left, with its data, to
// be a cluster of its own: see [Config.FormerClusterID]. It is not that the other one was
// removed: its cluster may be in the best of health.
const StatusRefounded = http.StatusFailedDependency

// Config is what all streams of one machine share.
type Config struct {
	// ClusterID and MemberID are those of this machine.
	ClusterID, MemberID uint64
	// FormerClusterID is a cluster that this member has left for good, with its data; 0 if
	// there is none. Its machines have to know.
	FormerClusterID uint64
	// Addr is the peer address of this machine, host:port.
	Addr string
	// Dial connects to the peer address of another machine. It must return when ctx
	// ends.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Heartbeat is the time without traffic after which a ping is sent.
	Heartbeat time.Duration
	// Dead is how long a stream may go without a sign of life: about an election
	// timeout, and at least three heartbeats. It also bounds dialling, the handshake,
	// and the pause between attempts.
	Dead time.Duration
	// Nonce is a random number that tells this process from others with its identity.
	Nonce uint64
	// Secret is random, too, and known to nobody else: it proves that this process has
	// dialled.
	Secret []byte
	// Commands and Snapshots are what the program of this machine understands.
	Commands, Snapshots version.Range
	// Reach is called at every handshake and returns how far the log of this machine reaches
	// durably; nil sends nothing. It is called from many goroutines.
	Reach func() string
	Log   *slog.Logger
}

// dial connects to an address. That is checked first, because it is written into the header of
// the request, and comes from other machines.
func (c *Config) dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := endpoint.CheckAddress(addr); err != nil {
		return nil, fmt.Errorf("this is no address of a machine: %w", err)
	}
	return c.Dial(ctx, addr)
}

// understood is what the program of this machine understands.
func (c *Config) understood() version.Understood {
	return version.Understood{Protocol: Protocol, Commands: c.Commands, Snapshots: c.Snapshots}
}

func (c *Config) reach() string {
	if c.Reach == nil {
		return ""
	}
	return c.Reach()
}

// Hello is what this machine sends to a member that it dials at addr, host:port, for a stream
// or a snapshot.
func (c *Config) Hello(to uint64, addr string, class Class) Hello {
	return Hello{ClusterID: c.ClusterID, From: c.MemberID, To: to, Class: class, Addr: c.Addr, Nonce: c.Nonce, Reach: c.reach(), Token: c.token(to, addr), Understood: c.understood()}
}

// RefusedError is an error answer of the member that was dialled. An error answer of anything
// else at its address is an ordinary error.
type RefusedError struct {
	// Status is the HTTP status: that of the [Verdict] of the member, or [StatusRefounded].
	Status int
	// Message says why.
	Message string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the other machine answered %d: %s", e.Status, e.Message)
}

// EncodeRefusal makes the payload of a [KindRefusal].
func EncodeRefusal(status int, message string) []byte { return newErrorBody(status, message) }

// DecodeRefusal reads what EncodeRefusal wrote.
func DecodeRefusal(payload []byte) (*RefusedError, error) {
	var e apierror.Error
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("transport: a refusal: %w", err)
	}
	return &RefusedError{e.Code, legible(e.Cause)}, nil
}

func newErrorBody(status int, cause string) []byte {
	b, err := json.Marshal(apierror.OfHTTP(status, cause))
	if err != nil {
		panic(err) // an int and two strings always marshal
	}
	return b
}

// upgraded is a connection after the handshake.
type upgraded struct {
	*timedConn
	other  Hello // the peer's answer
	r      *bufio.Reader
	budget *io.LimitedReader // what r may still read, in bytes
}

// open dials addr and does the handshake. The error is a *RefusedError when the
// member itself refused it. The connection is closed when ctx ends.
func open(ctx context.Context, cfg Config, addr, method, path string, h Hello) (*upgraded, error) {
	dialling, cancel := context.WithTimeout(ctx, cfg.Dead)
	defer cancel()
	raw, err := cfg.dial(dialling, addr)
	if err != nil {
		return nil, err
	}
	c := newTimedConn(raw, cfg.Dead)
	context.AfterFunc(ctx, func() { _ = raw.Close() }) // it may be closed already
	u, err := handshake(c, addr, method, path, h)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return u, nil
}

// identify puts into an answer who answers whom, in the cluster that the dialer has named.
func (h *Hello) identify(answer *fasthttp.ResponseHeader, member uint64) {
	answer.Set(headerCluster, fmt.Sprintf("%016x", h.ClusterID))
	answer.Set(headerFrom, fmt.Sprintf("%016x", member))
	answer.Set(headerTo, fmt.Sprintf("%016x", h.From))
}

// identified reports whether an answer to h is that of the member that was dialled. Anything
// may listen at its address by now, or be in front of it.
func (h *Hello) identified(answer http.Header) bool {
	for header, want := range map[string]uint64{headerCluster: h.ClusterID, headerFrom: h.To, headerTo: h.From} {
		if got, err := strconv.ParseUint(answer.Get(header), 16, 64); err != nil || got != want {
			return false
		}
	}
	return true
}

// handshake does the dialer's part of the handshake on a new connection.
func handshake(c *timedConn, addr, method, path string, h Hello) (*upgraded, error) {
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n"+
		"%s: %s\r\n%s: %s\r\n%s: %s\r\n%s: %016x\r\n%s: %016x\r\n%s: %016x\r\n%s: %s\r\n%s: %s\r\n%s: %016x\r\n%s: %s\r\n%s: %s\r\nContent-Length: 0\r\n\r\n",
		method, path, addr, upgradeProtocol, headerProtocol, h.Understood.Protocol,
		headerCommands, h.Understood.Commands, headerSnapshots, h.Understood.Snapshots, headerCluster, h.ClusterID,
		headerFrom, h.From, headerTo, h.To, headerClass, h.Class, headerAddr, h.Addr, headerNonce, h.Nonce, headerReach, h.Reach,
		headerToken, h.Token); err != nil {
		return nil, err
	}
	// The peer may ask back before it answers, which may take as long as to dial it.
	patience := c.readTimeout
	c.readTimeout = 2 * patience
	defer func() { c.readTimeout = patience }()
	budget := &io.LimitedReader{R: c, N: maxAnswer}
	r := bufio.NewReader(budget)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", noEOF(err))
	}
	status, message, err := readError(resp)
	switch identified := h.identified(resp.Header); {
	case err != nil:
		return nil, fmt.Errorf("handshake: %s answers %d: %w", addr, resp.StatusCode, err)
	case status == http.StatusUpgradeRequired:
		// Not even the headers that identify the member are the same in all versions.
		return nil, fmt.Errorf("handshake: %s answers %d: %s; its program and this one, which speaks %s, are too far apart: "+
			"stop all machines of the cluster, and start all with the same program; their data directories open", addr, status, message, h.Understood.Protocol)
	case !identified:
		return nil, fmt.Errorf("handshake: %s answers %d, not as the member that was asked: %s", addr, status, message)
	case status != http.StatusSwitchingProtocols:
		return nil, &RefusedError{status, message}
	}
	other := Hello{ClusterID: h.ClusterID, From: h.To, To: h.From, Class: h.Class, Addr: addr, Reach: resp.Header.Get(headerReach)}
	if other.Nonce, err = strconv.ParseUint(resp.Header.Get(headerNonce), 16, 64); err != nil {
		return nil, fmt.Errorf("handshake: %s of the answer is not a hexadecimal number", headerNonce)
	}
	if err := parseUnderstood(&other.Understood, resp.Header.Get); err != nil {
		return nil, fmt.Errorf("handshake: the answer: %w", err)
	}
	return &upgraded{c, other, r, budget}, nil
}

// readAnswer reads an HTTP response of at most [maxAnswer] bytes.
func readAnswer(r *bufio.Reader) (status int, message string, err error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, "", noEOF(err)
	}
	return readError(resp)
}

// readError reads why a request was refused.
func readError(resp *http.Response) (status int, message string, err error) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, http.StatusText(resp.StatusCode), nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, "", noEOF(err)
	}
	var e apierror.Error
	switch {
	case json.Unmarshal(body, &e) == nil && e.Cause != "":
		message = e.Cause
	case e.Message != "":
		message = e.Message
	default:
		message = http.StatusText(resp.StatusCode)
	}
	return resp.StatusCode, legible(message), nil
}

// legible makes a peer's text safe for a log, a terminal and an error: printable characters
// only, and a bounded number of them.
func legible(text string) string {
	cut := len(text) > maxMessage
	if cut {
		text = text[:maxMessage]
	}
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, text)
	if cut {
		text += "..."
	}
	return text
}

// noEOF returns err, but io.ErrUnexpectedEOF for io.EOF: the stream ended too early.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseUnderstood reads what the peer's program understands.
func parseUnderstood(u *version.Understood, header func(name string) string) (err error) {
	for _, of := range []struct {
		header string
		value  *version.Range
	}{{headerProtocol, &u.Protocol}, {headerCommands, &u.Commands}, {headerSnapshots, &u.Snapshots}} {
		if *of.value, err = version.Parse(header(of.header)); err != nil {
			return fmt.Errorf("%s: %w", of.header, err)
		}
	}
	return nil
}

// parseHello reads a dialer's handshake. A status other than 0 refuses it.
func parseHello(req *fasthttp.RequestHeader) (h Hello, status int, message string) {
	if up := string(req.Peek("Upgrade")); up != upgradeProtocol {
		return h, http.StatusUpgradeRequired, fmt.Sprintf("upgrade to %.40q is asked for, this is %q", up, upgradeProtocol)
	}
	spoken, err := version.Parse(string(req.Peek(headerProtocol)))
	if err != nil || spoken.Shared(Protocol) == 0 {
		return h, http.StatusUpgradeRequired, fmt.Sprintf("protocol version %.40q, this machine speaks %s", req.Peek(headerProtocol), Protocol)
	}
	for _, id := range []struct {
		header string
		value  *uint64
	}{{headerCluster, &h.ClusterID}, {headerFrom, &h.From}, {headerTo, &h.To}, {headerNonce, &h.Nonce}} {
		v, err := strconv.ParseUint(string(req.Peek(id.header)), 16, 64)
		if err != nil {
			return h, http.StatusBadRequest, id.header + " is not a hexadecimal number"
		}
		*id.value = v
	}
	var ok bool
	if h.Class, ok = parseClass(string(req.Peek(headerClass))); !ok {
		return h, http.StatusBadRequest, headerClass + " is unknown"
	}
	h.Addr = string(req.Peek(headerAddr))
	if err := endpoint.CheckAddress(h.Addr); err != nil {
		return h, http.StatusBadRequest, headerAddr + ": " + err.Error()
	}
	if h.Token = string(req.Peek(headerToken)); len(h.Token) != tokenSize {
		return h, http.StatusBadRequest, headerToken + " has not the length of a token"
	}
	h.Reach = string(req.Peek(headerReach))
	if err := parseUnderstood(&h.Understood, func(header string) string { return string(req.Peek(header)) }); err != nil {
		return h, http.StatusBadRequest, err.Error()
	}
	return h, 0, ""
}
