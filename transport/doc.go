// Package transport carries bytes between the machines of a cluster, on the peer
// port: framed streams for Raft messages and forwarded proposals, and snapshots.
//
// It owns the frame format, the handshake, the life of outgoing streams (a [Sender]
// per class and member) and of incoming ones (one [Receiver] per machine), their
// queues, deadlines and back-off, and the transfer of snapshots.
//
// It promises that
//   - frames of one stream arrive in order, whole and undamaged, or the stream ends
//     with an error that says why; there is never more than one stream of a class
//     from a member;
//   - [Sender.Send] never blocks: what does not fit into the bounded queue, or was
//     queued when the connection broke, is dropped and counted. Raft sends again;
//   - a member that has gone silent is noticed within [Config.Dead];
//   - control frames never wait behind bulk ones, which have their own connection;
//   - a machine is refused that belongs to another cluster, mistook this machine for
//     another, or is refused by the caller's [Admit], which may have the member asked
//     back first; and no stream of a process is replaced by one of another process with the same ID
//     while it lives, unless the caller says that the new one supersedes it;
//   - what strangers can cause is bounded: dials, questions in flight, log lines;
//   - a snapshot is held in memory by neither side, and is acked only after the receiver
//     reported it durable. Nothing of it reaches the receiver before the caller wants it,
//     and never more than was announced.
//
// It must never look into a payload, decide who is a member, retry a frame, or know
// actors. It reports through callbacks.
//
// # On the wire
//
// A stream starts as an HTTP/1.1 request, "GET /raft/stream" with the headers of
// [Hello], answered 101, with the peer's own Hello, or with an error in the JSON shape of
// the API. The member that was dialled identifies itself either way: it repeats the cluster
// ID of the request, and the IDs of both members. A machine that is not that member tells
// no IDs. After 101 the dialer may still refuse the peer. From then on the connection
// carries frames (see [AppendFrame]). The dialer sends a ping every [Config.Heartbeat], with
// the time in it. The accepting side writes nothing but pongs: one for each ping, which repeats
// that time, so that the dialer learns how long the round trip took; and one without whenever
// bytes arrive, or were handled, and the last pong is half a heartbeat old. A pong thus confirms progress, and a receiver that
// is slow but working is not taken for dead.
//
// A snapshot starts likewise, with "POST /raft/snapshot". After 101 come a frame with
// the length of the body and the Raft message, frames with pieces of the body, and a last one with the length
// and CRC-32C of the whole. The receiver answers with an HTTP response: 204 once it
// is durable, or an error, which may come at any time and ends the transfer.
package transport
