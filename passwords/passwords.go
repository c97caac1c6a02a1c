package passwords

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// The costs that hashes can have: each makes them twice as dear.
const (
	MinCost     = bcrypt.MinCost
	DefaultCost = bcrypt.DefaultCost
	MaxCost     = bcrypt.MaxCost
)

// maxWaiting bounds those who wait for a processor to hash or compare for them.
const maxWaiting = 64

var (
	// ErrWrong means that the user is not there, or has another password.
	ErrWrong = errors.New("passwords: wrong user or password")
	// ErrBusy means that too many passwords are waiting to be verified, or this one has for too long.
	ErrBusy = errors.New("passwords: too many are to be verified")
	// ErrGuessing means that too many wrong ones have come from an address.
	ErrGuessing = errors.New("passwords: too many wrong ones have come from this address")
)

// Checker hashes and verifies passwords. It may be used by any goroutine.
type Checker struct {
	cost    int
	dummy   func() string // what is compared for a user who is not there
	workers chan struct{} // a semaphore
	waiting chan struct{} // a semaphore, the workers included
	now     func() time.Time

	secret  [32]byte
	mu      sync.Mutex
	right   memory // credentials that were compared
	wrong   memory
	flights map[credentials]*flight
	guesses map[string]bucket // by the address
}

// New returns a checker that makes hashes of the given cost.
func New(cost int) *Checker {
	workers := max(1, runtime.GOMAXPROCS(0)/2)
	c := &Checker{
		cost: cost, now: time.Now,
		workers: make(chan struct{}, workers), waiting: make(chan struct{}, workers+maxWaiting),
		right: make(memory), wrong: make(memory), flights: make(map[credentials]*flight), guesses: make(map[string]bucket),
	}
	_, _ = rand.Read(c.secret[:]) // never fails
	c.dummy = sync.OnceValue(func() string {
		hash, err := bcrypt.GenerateFromPassword(c.secret[:16], cost)
		if err != nil {
			panic(err) // of a cost that was checked
		}
		return string(hash)
	})
	return c
}

// Hash returns the hash of a password. It waits until the deadline at most, and fails with ErrBusy.
func (c *Checker) Hash(password string, deadline time.Time) (hash string, err error) {
	err = c.work(deadline, func() error {
		made, err := bcrypt.GenerateFromPassword(input(password), c.cost)
		hash = string(made)
		return err
	})
	return hash, err
}

// work runs what takes a processor for long.
func (c *Checker) work(deadline time.Time, run func() error) error {
	select {
	case c.waiting <- struct{}{}:
		defer func() { <-c.waiting }()
	default:
		return ErrBusy
	}
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case c.workers <- struct{}{}:
		defer func() { <-c.workers }()
	case <-timeout.C:
		return ErrBusy
	}
	return run()
}

// maxInput is how much of its input bcrypt looks at, in bytes.
const maxInput = 72

// input returns what is hashed: the password, or a digest of one that is too long to be hashed whole.
func input(password string) []byte {
	if len(password) <= maxInput {
		return []byte(password)
	}
	sum := sha512.Sum384([]byte(password))
	return base64.StdEncoding.AppendEncode(nil, sum[:])
}
