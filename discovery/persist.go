package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// How long and how often somebody is asked who does not answer.
const (
	requestTimeout = 10 * time.Second
	firstPause     = 500 * time.Millisecond
	longestPause   = 10 * time.Second
	patience       = 5 * time.Minute
)

// transient is an error after which it makes sense to ask again.
type transient struct{ error }

func (t transient) Unwrap() error { return t.error }

// persist asks until there is an answer, or an error that asking again would not change. It gives
// up when patience is at its end, or ctx. whom is for people.
func persist[T any](ctx context.Context, whom string, log *slog.Logger, ask func(context.Context) (T, error)) (T, error) {
	var none T
	began, pause := time.Now(), firstPause
	for {
		attempt, cancel := context.WithTimeout(ctx, requestTimeout)
		answer, err := ask(attempt)
		timedOut := attempt.Err() != nil
		cancel()
		_, again := errors.AsType[transient](err)
		switch {
		case err == nil:
			return answer, nil
		case ctx.Err() != nil:
			return none, ctx.Err()
		case !again:
			return none, err
		case timedOut:
			err = fmt.Errorf("no answer within %v", requestTimeout)
		}
		if tried := time.Since(began); tried+pause > patience {
			return none, fmt.Errorf("%s could not be reached for %v, see whether it runs and whether this machine can reach it; the last time: %w",
				whom, tried.Round(time.Second), err)
		}
		log.Warn(whom+" cannot be reached; retrying", "in", pause, "error", err)
		if err := sleep(ctx, pause); err != nil {
			return none, err
		}
		pause = longer(pause)
	}
}

func longer(pause time.Duration) time.Duration { return max(firstPause, min(2*pause, longestPause)) }

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
