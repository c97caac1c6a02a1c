package raftnode

// role is who leads, as of the last call of Work: Raft may know more already.
type role struct {
	term       uint64
	leader     uint64 // 0: nobody known
	leads      bool   // this machine does
	since      int    // tick at which it began to
	reported   Leader // what Work reported last
	leaderless int    // ticks without a leader
	succession succession
	firstTerm  uint64 // that of the log at the start
}
