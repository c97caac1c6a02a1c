package httpfront

import (
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"
)

// The errors about answers for which -max-answer-memory has nothing left.
var (
	errAnswerMemory   = errors.New("httpfront: too many bytes of answers that were not read yet")
	errAnswerOfChange = errors.New("httpfront: too many bytes of answers that were not read yet for one about a change")
)

// answerMemory counts what answers keep in memory until their clients have taken them, but for small
// ones: that of what they are rendered from, which the state may have replaced meanwhile, and that of
// what was rendered. What several answers share counts once.
type answerMemory struct {
	limit   func() int64
	refused atomic.Uint64 // answers

	mu   sync.Mutex
	used int64
	held map[span]int // how many answers have it
}

// span is a string as memory.
type span struct {
	begin *byte
	len   int
}

func spanOf(s string) span { return span{unsafe.StringData(s), len(s)} }

// hold counts strings for one more answer, and reports whether there is room for them.
func (m *answerMemory) hold(parts []string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		m.held = make(map[span]int)
	}
	before := m.used
	for _, part := range parts {
		s := spanOf(part)
		if m.held[s]++; m.held[s] == 1 {
			m.used += int64(s.len)
		}
	}
	if m.used <= m.limit() || m.used == before {
		return true
	}
	m.drop(parts)
	m.refused.Add(1)
	return false
}

// during counts strings while something is done, unless they are small. It fails with errAnswerMemory if
// there is no room for them.
func (m *answerMemory) during(parts []string, do func() error) error {
	size := 0
	for _, part := range parts {
		size += len(part)
	}
	if size <= maxLight {
		return do()
	}
	if !m.hold(parts) {
		return errAnswerMemory
	}
	defer m.release(parts)
	return do()
}

// release undoes hold.
func (m *answerMemory) release(parts []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(parts)
}

// drop is release for callers that hold mu.
func (m *answerMemory) drop(parts []string) {
	for _, part := range parts {
		s := spanOf(part)
		if m.held[s]--; m.held[s] == 0 {
			delete(m.held, s)
			m.used -= int64(s.len)
		}
	}
	if len(m.held) == 0 {
		m.held = nil // a map does not shrink
	}
}

// hasRoom reports whether there is room for so many bytes now, and counts an answer that is refused.
func (m *answerMemory) hasRoom(n int) bool {
	if m.bytes()+int64(n) <= m.limit() {
		return true
	}
	m.refused.Add(1)
	return false
}

// bytes returns how many bytes are counted.
func (m *answerMemory) bytes() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}
