package watch

// LimitStalled sets how many bytes ready lists may have before those of subscribers that wait for a batch to
// be written take no more.
func (h *Hub) LimitStalled(bytes int) { h.maxStalled = bytes }

// ReadyBytes returns how many bytes the values in all ready lists have.
func (h *Hub) ReadyBytes() int { return h.readyBytes }
