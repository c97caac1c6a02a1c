package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// listers is how many clients list the directory, each in a loop.
const listers = 2

// besideListings makes a directory with many children and measures writes to it, alone and
// while it is being listed.
func (b *bench) besideListings() error {
	return b.alone(named(b.systems, ours), func(c *cluster) error {
		l := load{connections: typical, keys: b.children, size: b.size}
		if err := l.fill(c); err != nil {
			return fmt.Errorf("making the directory: %w", err)
		}
		var alone, beside result
		var total int64
		for round := range b.rounds {
			b.say("%d children, round %d of %d", b.children, round+1, b.rounds)
			r, err := l.measure(c, write, b.period)
			if err != nil {
				return err
			}
			alone.add(r)
			stop := listAll(c)
			r, err = l.measure(c, write, b.period)
			n, failed := stop()
			if err := errors.Join(err, failed); err != nil {
				return err
			}
			total += n
			beside.add(r)
		}
		at := params{Machines: 1, Connections: typical, Keys: b.children}
		values := beside.requestMetrics()
		values[lists] = float64(total) / beside.elapsed.Seconds()
		delete(values, cpuPerOp) // it includes the listings
		b.report.add(figure{Work: workListings, System: fmt.Sprintf("ours, beside %d clients that list it", listers), At: at, Values: values, Latencies: beside.distribution()})
		b.report.add(figure{Work: workListings, System: "ours, alone", At: at, Values: alone.requestMetrics(), Latencies: alone.distribution()})
		return nil
	})
}

// listAll lists the directory of the keys in a loop until stop is called, which returns the
// number of listings.
func listAll(c *cluster) (stop func() (lists int64, err error)) {
	ctx, cancel := context.WithCancel(context.Background())
	url := "http://" + c.members[0].clients + strings.TrimSuffix(c.http.keys, "/")
	var lists atomic.Int64
	errs := make(chan error, listers)
	var wg sync.WaitGroup
	for range listers {
		wg.Go(func() {
			for {
				err := listOnce(ctx, url)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					errs <- err
					return
				}
				lists.Add(1)
			}
		})
	}
	return func() (int64, error) {
		cancel()
		wg.Wait()
		close(errs)
		return lists.Load(), <-errs
	}
}

func listOnce(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("listing: %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
