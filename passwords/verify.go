package passwords

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const (
	// maxVerified bounds the credentials that are kept, and keptFor for how long.
	maxVerified = 4096
	keptFor     = 10 * time.Minute
	// maxGuesses is how many wrong passwords an address may send at once, of which one a second is
	// forgiven. maxGuessing bounds the addresses of which that is known.
	maxGuesses  = 50
	maxGuessing = 4096
)

// flight is a comparison that all wait for who have come with the same credentials.
type flight struct {
	done chan struct{}
	err  error
}

// Verified reports whether a user has shown this password not long ago, and the user's hash is still
// the same. It does not wait.
func (c *Checker) Verified(user, password, hash string) bool {
	key := c.keyOf(user, password, hash)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isVerified(key)
}

func (c *Checker) isVerified(key [32]byte) bool {
	until, ok := c.verified[key]
	return ok && c.now().Before(until)
}

// Verify returns nil if the password is that of the user whose hash is given, and else one of the errors
// of this package. An empty hash is that of a user who is not there. from is the address of the client.
// It takes long, and waits until the deadline at most.
func (c *Checker) Verify(from, user, password, hash string, deadline time.Time) error {
	key := c.keyOf(user, password, hash)
	from = network(from)
	c.mu.Lock()
	switch {
	case c.isVerified(key):
		c.mu.Unlock()
		return nil
	case c.wrong[from].level(c.now()) >= maxGuesses:
		c.mu.Unlock()
		return ErrGuessing
	}
	f, joins := c.flights[key]
	if !joins {
		f = &flight{done: make(chan struct{})}
		c.flights[key] = f
	}
	c.mu.Unlock()
	if !joins {
		f.err = c.work(deadline, func() error { return c.compare(password, hash) })
	} else if !wait(f.done, deadline) {
		return ErrBusy
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !joins {
		delete(c.flights, key)
		close(f.done)
		if f.err == nil {
			c.keep(key)
		}
	}
	if f.err == ErrWrong {
		c.blame(from)
	}
	return f.err
}

// wait waits until done is closed, and reports whether that was before the deadline.
func wait(done <-chan struct{}, deadline time.Time) bool {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case <-done:
		return true
	case <-timeout.C:
		return false
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

// keyOf returns what tells credentials from all others, and tells nobody what they are.
func (c *Checker) keyOf(user, password, hash string) [32]byte {
	var room [256]byte
	b := append(room[:0], c.secret[:]...)
	for _, text := range []string{user, password} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return sha256.Sum256(append(b, hash...))
}

// keep keeps credentials that were verified, for a while. The caller holds mu.
func (c *Checker) keep(key [32]byte) {
	now := c.now()
	if len(c.verified) >= maxVerified {
		for key, until := range c.verified {
			if !now.Before(until) {
				delete(c.verified, key)
			}
		}
	}
	makeRoom(c.verified, maxVerified)
	c.verified[key] = now.Add(keptFor)
}

// makeRoom drops any one entry if there are as many as there may be.
func makeRoom[K comparable, V any](m map[K]V, most int) {
	if len(m) < most {
		return
	}
	for k := range m {
		delete(m, k)
		return
	}
}

// bucket counts the wrong passwords of an address.
type bucket struct {
	wrong float64
	at    time.Time
}

// level returns how many of them are not forgiven yet.
func (b bucket) level(now time.Time) float64 { return math.Max(0, b.wrong-now.Sub(b.at).Seconds()) }

// blame counts a wrong password. The caller holds mu.
func (c *Checker) blame(from string) {
	now := c.now()
	if len(c.wrong) >= maxGuessing {
		for from, b := range c.wrong {
			if b.level(now) == 0 {
				delete(c.wrong, from)
			}
		}
	}
	b := c.wrong[from]
	if b.at.IsZero() {
		makeRoom(c.wrong, maxGuessing)
	}
	c.wrong[from] = bucket{b.level(now) + 1, now}
}

// network returns what is slowed down as one: an IPv4 address, or the network of an IPv6 address, all of
// which one client may have.
func network(addr string) string {
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "" // a socket of this host
	}
	ip := parsed.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return ip.String()
	}
	return prefix.String()
}
