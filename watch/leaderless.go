package watch

// Leaderless ends the subscribers with watches that need a leader: after what is ready for them all
// their watches end with err. New ones are refused with it until Led is called.
func (h *Hub) Leaderless(err error) {
	h.leaderless = err
	for _, s := range h.sorted() {
		if !s.needsLeader() {
			continue
		}
		if s.state == catchingUp {
			s.ending = err
			continue
		}
		s.dequeue()
		h.endWith(s, err)
		h.enqueue(s)
	}
}

// Led says that there is a leader again.
func (h *Hub) Led() { h.leaderless = nil }

// endWith ends the watches of s that have no last event, behind what is ready for it.
func (h *Hub) endWith(s *subscriber, err error) {
	if s.state != behind { // what ends like this is offered nothing more
		h.become(s, behind)
		s.cursor = h.next()
	}
	for w := s.watches; w != nil; {
		following := w.next
		if w.final == nil {
			h.fail(w, err)
		}
		w = following
	}
}

func (s *subscriber) needsLeader() bool {
	for w := s.watches; w != nil; w = w.next {
		if w.NeedsLeader {
			return true
		}
	}
	return false
}
