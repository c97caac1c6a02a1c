// Command etcd-bench measures this etcd beside another one on the same machine in
// the same run.
//
// It starts both servers with their data on one filesystem, loads the same
// keys into them and then lets a number of keep-alive connections send one
// request after the other, in turns: write, linearizable read and local read
// against ours, then against the other, round after round. It prints a
// markdown table of throughput, latency and CPU time of the server process
// per request, with ratios.
//
// With -failover it starts three machines of each, kills the leaders of both in turns, again
// and again, and measures the time from the kill to the first write that a survivor
// acknowledges. Heartbeats and election timeouts are the same for both.
//
// With -reconnect it starts ours alone, writes 90,000 events, lets that many clients
// reconnect at once with a watch from before them, and measures how long a fresh event of
// another key takes to reach its watcher meanwhile.
//
// With -listings it starts ours alone, makes a directory of that many children, and measures
// writes to it alone and beside two clients that list it in a loop.
//
// With -tls it measures this project's server over TLS beside the same over plain
// HTTP: the operations above, the CPU time that a new connection costs, with and
// without a session to resume, and by how much the server's memory grows with idle
// watches.
//
// With -snapshots it loads a state of that many MiB and then writes 1.3 times as much over it. It
// measures the writes while a snapshot is being written and between snapshots, and the write
// amplification: how many bytes go to the disk for each byte of a value.
//
// The other server is Debian's etcd 3.4 with its v2 API (package
// etcd-server); without it only ours is measured. See run.sh for the usual
// call and -help for the parameters.
//
// It promises that the load generator is cheap: requests are made in advance
// and answers are only scanned for their end, on one processor. It must never
// be compared across machines or runs: only the ratios of one run mean
// something.
package main
