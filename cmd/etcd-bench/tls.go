package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"etcd/credentials/certtest"
)

// Titles of what is compared between TLS and plain HTTP.
const (
	workDials           = "TLS: a new connection with one local read"
	workIdleTLSWatchers = "TLS: idle watchers"
)

// handshakes is how many connections do theirs at a time.
const handshakes = 8

// overTLS compares this project's server over TLS with itself over plain HTTP.
func (b *bench) overTLS() error {
	plain := named(b.systems, ours)[0]
	secure, err := b.secure(plain)
	if err != nil {
		return err
	}
	both := []*system{secure, plain}
	err = b.titled("TLS: ", func() error {
		return b.requestsTo(both, 1, b.loads(typical), []operation{write, localRead, linearizableRead})
	})
	if err != nil {
		return err
	}
	if err := b.newConnections(secure, plain); err != nil {
		return err
	}
	watchers := idleKinds[0]
	watchers.work = workIdleTLSWatchers
	return b.measureIdle(watchers, both)
}

// secure returns this project's server with a certificate.
func (b *bench) secure(plain *system) (*system, error) {
	ca := certtest.New("bench")
	pair := ca.Issue("bench")
	cert, key := b.path("cert"), b.path("key")
	if err := errors.Join(os.WriteFile(cert, pair.Cert, 0o600), os.WriteFile(key, pair.Key, 0o600)); err != nil {
		return nil, err
	}
	d := *plain.http
	d.tls = &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	s := ownSystem(plain.version[0], &d, "-clientCert", cert, "-clientKey", key)
	s.name = oursTLS
	return s, nil
}

// newConnections measures what new connections cost.
func (b *bench) newConnections(secure, plain *system) error {
	all, err := b.startAll([]*system{secure, plain}, 1)
	if err != nil {
		return err
	}
	defer all.stop()
	resumed := *secure.http
	resumed.tls = resumed.tls.Clone()
	resumed.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	for _, kind := range []struct {
		name    string
		c       *cluster
		dialect *dialect
	}{
		{"ours, TLS, full handshake", all[0], secure.http}, {"ours, TLS, session resumed", all[0], &resumed}, {ours, all[1], plain.http},
	} {
		b.say("new connections: %s", kind.name)
		if err := (load{connections: 1, keys: b.keys, size: b.size}).fill(kind.c); err != nil {
			return err
		}
		cost, err := b.measureDials(kind.c, kind.dialect)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
		b.report.add(figure{Work: workDials, System: kind.name, At: params{Machines: 1}, Values: map[metric]float64{cpuPerDial: cost}})
	}
	return nil
}

// measureDials opens connections for a while, one request on each, and returns the CPU
// time of the server for one of them in µs.
func (b *bench) measureDials(c *cluster, d *dialect) (float64, error) {
	before, err := c.cpu()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	counts := make([]int, handshakes)
	errs := make(chan error, handshakes)
	var wg sync.WaitGroup
	for i := range handshakes {
		wg.Go(func() {
			for time.Since(begin) < b.period {
				one, err := d.connect(c.members[0], 1)
				if err == nil {
					one.SetDeadline(time.Now().Add(overtime))
					// Reading the answer reads a ticket for the next session as well.
					err = errors.Join(one.do(localRead, rand.IntN(b.keys)), one.Close())
				}
				if err != nil {
					errs <- err
					return
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	close(errs)
	after, err := c.cpu()
	if err := errors.Join(err, <-errs); err != nil {
		return 0, err
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64((after - before).Nanoseconds()) / 1000 / float64(total), nil
}
