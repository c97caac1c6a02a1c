package watch

// Stats say how the subscribers are doing.
type Stats struct {
	// Watches is how many there are.
	Watches int
	// Subscribers is how many have watches: Behind of them wait to catch up, CatchingUp are
	// doing so, and all others are current.
	Subscribers, Behind, CatchingUp int
	// Lag is how many entries the subscriber that was furthest behind had to catch up with when
	// the pass under way began; 0 if there is none.
	Lag uint64
}

// Stats returns the present ones, in constant time.
func (h *Hub) Stats() Stats {
	s := Stats{Watches: h.watches, Subscribers: len(h.subs), Behind: h.waiting.len}
	if h.catchUp != nil {
		s.CatchingUp, s.Lag = len(h.catchUp.subs), h.catchUp.lag
	}
	return s
}
