// Package sim runs a whole cluster in one goroutine at a time, on simulated clocks,
// disks and networks, so that a number reproduces every run.
//
// It owns the machines' surroundings and nothing of the machines: each is the real
// [actors.Machine] with its real actors and cores, on a [actors.Host] that gives every
// actor's next message, every timer, every frame between machines and every operation
// of a disk to one seeded scheduler. It owns as well what goes wrong (faults), what
// clients do (clients, watchers, the operator), and the judgement (oracle).
//
// It promises that
//   - a seed is a run: the same seed gives the same trace, byte for byte, in every
//     process of the same program;
//   - a crash keeps what a real one would: after a power cut only what was synced, and
//     of the rest any part;
//   - whatever an invariant forbids ends the run at once, with the reason and the
//     simulated time.
//
// It must never be part of the server, read a real clock, or reach into an actor: it
// sees the messages between them and what clients see.
package sim
