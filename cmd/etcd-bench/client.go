package main

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// operation is a kind of request.
type operation int

const (
	write operation = iota
	linearizableRead
	localRead
	mixed // nine local reads, a write
)

func (op operation) String() string {
	return [...]string{"write", "linearizable read", "local read", "mixed: 90 % local reads, 10 % writes"}[op]
}

// client is one connection to a server. It does one thing at a time.
type client interface {
	// do sends one write or read of a key, and returns when it has succeeded.
	do(op operation, key int) error
	// watch asks for the next event of a key. The server may learn of it later.
	watch(key int) error
	// event waits for the event that was asked for last.
	event() error
	// SetDeadline bounds everything that follows, except where the protocol has limits of its own.
	SetDeadline(time.Time) error
	Close() error
}

type clients []client

func (all clients) Close() {
	atOnce(len(all), func(i int) error {
		all[i].Close() // nothing depends on how a connection ends
		return nil
	})
}

// dialers is how many connections are opened or closed at a time. It is more than one since a
// session of ZooKeeper begins and ends with a write to its log.
const dialers = 64

// atOnce calls a function with the numbers below n, a few at a time, and returns the first error.
func atOnce(n int, do func(i int) error) error {
	var next atomic.Int64
	errs := make(chan error, dialers)
	var wg sync.WaitGroup
	for range min(n, dialers) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := do(int(i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// each calls a function for all clients at once, and returns when all have returned.
func (all clients) each(do func(i int, c client) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { errs[i] = do(i, c) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // as thousands may fail in the same way
		}
	}
	return nil
}

var errUnsupported = errors.New("this server has no such request")
