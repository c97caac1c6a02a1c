package passwords

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// maxKept bounds the right credentials that are kept, and the wrong ones, and keptFor for how long.
	maxKept = 4096
	keptFor = 10 * time.Minute
	// maxGuesses is how many different wrong passwords an address may send at once, of which one a
	// second is forgiven. maxGuessing bounds the addresses of which that is known.
	maxGuesses  = 50
	maxGuessing = 4096
)

// credentials tell a user, a password and a hash from all others, and tell nobody what they are.
type credentials [32]byte

// of returns the credentials of a user who shows a password, and has the hash.
func (c *Checker) of(user, password, hash string) credentials {
	var room [256]byte
	b := append(room[:0], c.secret[:]...)
	for _, text := range []string{user, password} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return sha256.Sum256(append(b, hash...))
}

// memory has credentials, and until when they are kept.
type memory map[credentials]time.Time

func (m memory) has(key credentials, now time.Time) bool {
	until, ok := m[key]
	return ok && now.Before(until)
}

func (m memory) keep(key credentials, now time.Time) {
	makeRoom(m, maxKept, func(until time.Time) bool { return !now.Before(until) })
	m[key] = now.Add(keptFor)
}

// makeRoom drops what is over if there is as much as there may be, and else anything.
func makeRoom[K comparable, V any](m map[K]V, most int, over func(V) bool) {
	if len(m) < most {
		return
	}
	for k, v := range m {
		if over(v) {
			delete(m, k)
		}
	}
	for k := range m {
		if len(m) < most {
			return
		}
		delete(m, k)
	}
}

// Recall returns what Verify has returned for the same credentials not long ago; known is false if that
// is not known. It does not wait.
func (c *Checker) Recall(user, password, hash string) (known bool, err error) {
	key := c.of(user, password, hash)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recall(key)
}

func (c *Checker) recall(key credentials) (known bool, err error) {
	now := c.now()
	switch {
	case c.right.has(key, now):
		return true, nil
	case c.wrong.has(key, now):
		return true, ErrWrong
	}
	return false, nil
}

// flight is a comparison for which all wait who have come with the same credentials.
type flight struct {
	done chan struct{}
	err  error
}

// Verify returns nil if the password is that of the user whose hash is given, and else one of the errors
// of this package. An empty hash is that of a user who is not there. from is the address of the client.
// It takes long, and waits until the deadline at most.
func (c *Checker) Verify(from, user, password, hash string, deadline time.Time) error {
	key := c.of(user, password, hash)
	from = network(from)
	c.mu.Lock()
	if known, err := c.recall(key); known {
		c.mu.Unlock()
		return err
	}
	if f, joins := c.flights[key]; joins {
		c.mu.Unlock()
		return f.wait(deadline)
	}
	if c.guesses[from].level(c.now()) >= maxGuesses {
		c.mu.Unlock()
		return ErrGuessing
	}
	f := &flight{done: make(chan struct{})}
	c.flights[key] = f
	c.mu.Unlock()

	f.err = c.work(deadline, func() error { return c.compare(password, hash) })
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, key)
	close(f.done)
	switch f.err {
	case nil:
		c.right.keep(key, c.now())
	case ErrWrong:
		c.wrong.keep(key, c.now())
		c.blame(from)
	}
	return f.err
}

// wait waits for the end of a flight, until the deadline.
func (f *flight) wait(deadline time.Time) error {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case <-f.done:
		return f.err
	case <-timeout.C:
		return ErrBusy
	}
}

// compare takes as long for a user who is not there as for others.
func (c *Checker) compare(password, hash string) error {
	dummy, there := c.dummy(), hash != ""
	if !there {
		hash = dummy
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), input(password)) != nil || !there {
		return ErrWrong
	}
	return nil
}

// bucket counts the wrong passwords of an address.
type bucket struct {
	wrong float64
	at    time.Time
}

// level returns how many of them are not forgiven yet.
func (b bucket) level(now time.Time) float64 { return max(0, b.wrong-now.Sub(b.at).Seconds()) }

// blame counts a wrong password. The caller holds mu.
func (c *Checker) blame(from string) {
	now := c.now()
	level := c.guesses[from].level(now)
	makeRoom(c.guesses, maxGuessing, func(b bucket) bool { return b.level(now) == 0 })
	c.guesses[from] = bucket{level + 1, now}
}

// network returns what is slowed down as one: an IPv4 address, or the network of an IPv6 address, all of
// which one client may have.
func network(addr string) string {
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "" // a socket of this host
	}
	ip := parsed.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		panic(err) // 64 bits are few enough
	}
	return prefix.String()
}
