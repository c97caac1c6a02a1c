// Package sim runs a whole cluster in one goroutine at a time, on simulated clocks,
// disks and networks, so that a number reproduces every run.
//
// It owns the environment of the machines and nothing of the machines: each is the real
// [actors.Machine] with its real actors and cores, on an [actors.Host] that hands every
// message to an actor, every timer, every frame between machines and every disk operation
// to one seeded scheduler. It also owns the faults, the workload (clients, watchers, the
// operator) and the checks (oracle).
//
// It promises that
//   - a seed is a run: the same seed gives the same trace, byte for byte, in every
//     process of the same program;
//   - a crash keeps what a real one would: after a power cut everything that was synced,
//     and any part of the rest;
//   - a violated invariant ends the run at once, with the reason and the simulated time.
//
// It must never be part of the server, read a real clock, or reach into an actor: it
// sees the messages between them and what clients see.
package sim
