package watch

// Stats say how the subscribers are doing.
type Stats struct {
	// Watches is how many there are.
	Watches int
	// Subscribers is how many have watches: Behind of them wait to catch up, or are slow to take what
	// they have missed; CatchingUp are being served from the history; all others are current.
	Subscribers, Behind, CatchingUp int
}

// Stats returns the present ones, in constant time.
func (h *Hub) Stats() Stats {
	return Stats{Watches: h.watches, Subscribers: len(h.subs), Behind: h.states[behind], CatchingUp: h.states[catchingUp]}
}

// Lag returns how many entries there are from the first event that any subscriber may have missed to
// the newest one; 0 if all are current. It looks at all subscribers.
func (h *Hub) Lag() (most uint64) {
	next := h.next()
	for _, s := range h.subs {
		if s.state != current && s.cursor < next {
			most = max(most, next-s.cursor)
		}
	}
	return most
}

// become changes the state of a subscriber.
func (h *Hub) become(s *subscriber, state state) {
	h.states[s.state]--
	h.states[state]++
	s.state = state
}
