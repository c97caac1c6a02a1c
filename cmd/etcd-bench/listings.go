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
	"time"
)

// listers is how many clients list the directory, each in a loop.
const listers = 2

// measureListings makes a directory with the given number of children and measures writes to
// it, alone and while it is being listed.
func measureListings(base, ours string, l load, children, rounds int, period time.Duration, out io.Writer) error {
	t, err := startOurs(base, ours, "ours", nil)
	if err != nil {
		return err
	}
	defer t.stop()
	l.keys = children
	if err := l.fill(t); err != nil {
		return fmt.Errorf("making the directory: %w", err)
	}
	var alone, beside result
	var lists int64
	for range rounds {
		r, err := l.measure(t, write, period)
		if err != nil {
			return err
		}
		alone.add(r)
		stop := listAll(t)
		r, err = l.measure(t, write, period)
		n, failed := stop()
		if err := errors.Join(err, failed); err != nil {
			return err
		}
		lists += n
		beside.add(r)
	}
	fmt.Fprintf(out, "a directory of %d children, values of %d bytes, %d connections that write, %d clients that list, %.1f lists/s\n\n",
		children, l.size, l.connections, listers, float64(lists)/beside.elapsed.Seconds())
	fmt.Fprintln(out, "| writes | op/s | p50 ms | p99 ms | p99.9 ms | max ms |\n|---|---:|---:|---:|---:|---:|")
	for _, row := range []struct {
		name string
		r    *result
	}{{"alone", &alone}, {"beside listings", &beside}} {
		fmt.Fprintf(out, "| %s | %.0f | %.2f | %.2f | %.2f | %.2f |\n", row.name, row.r.rate(),
			row.r.percentile(50), row.r.percentile(99), row.r.percentile(99.9), row.r.percentile(100))
	}
	fmt.Fprintf(out, "| ratio | %.2f | %.1f | %.1f | %.1f | %.1f |\n", beside.rate()/alone.rate(),
		beside.percentile(50)/alone.percentile(50), beside.percentile(99)/alone.percentile(99),
		beside.percentile(99.9)/alone.percentile(99.9), beside.percentile(100)/alone.percentile(100))
	return nil
}

// listAll lists the directory of the keys in a loop until stop is called, which returns the
// number of listings.
func listAll(t *target) (stop func() (lists int64, err error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var lists atomic.Int64
	errs := make(chan error, listers)
	var wg sync.WaitGroup
	for range listers {
		wg.Go(func() {
			for {
				err := list(ctx, "http://"+t.address+strings.TrimSuffix(t.prefix, "/"))
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

func list(ctx context.Context, url string) error {
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
