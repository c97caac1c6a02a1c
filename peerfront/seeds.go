package peerfront

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// joinInterval is the pause between two rounds of asking all seeds.
const joinInterval = time.Second

var (
	// ErrNoSeed says that no seed can be joined, however often this machine retries.
	ErrNoSeed = errors.New("none of the given machines can be joined")
	// ErrPlain is what a Dial fails with if the peer does not speak TLS and this machine
	// does: a retry there does not help.
	ErrPlain = errors.New("speaks plain HTTP with other machines, and this machine TLS; start both with -serverCert and -serverKey, or both without")
)

// Seeds are the machines that are asked to let this one join.
type Seeds struct {
	Addrs   []string // of their peer ports, host:port
	Dial    Dial
	Rounds  int           // how often each is asked
	Timeout time.Duration // of one request
	Log     *slog.Logger
}

// Join asks one seed after the other until one lets this machine join, the cluster has
// refused it (ErrRefused, ErrUncertified), or a retry would not help (ErrNoSeed). It fails
// after the last round, or when ctx ends.
func (s Seeds) Join(ctx context.Context, request JoinRequest) (answer *JoinAnswer, err error) {
	err = s.untilOne(ctx, "cannot join yet", func(ctx context.Context, addr string) error {
		answer, err = s.joinVia(ctx, addr, request)
		if err == nil {
			s.Log.Info("joining the cluster", "through", addr, "members", len(answer.Members))
		}
		return err
	})
	return answer, err
}

// untilOne asks one seed after the other until one gives what is asked for. ask returns the errors
// that Join does.
func (s Seeds) untilOne(ctx context.Context, notYet string, ask func(ctx context.Context, addr string) error) error {
	var failures []string
	for round := range s.Rounds {
		if round > 0 {
			select {
			case <-time.After(joinInterval):
			case <-ctx.Done():
			}
		}
		failures = failures[:0]
		permanent := 0
		for _, addr := range s.Addrs {
			attempt, cancel := context.WithTimeout(ctx, s.Timeout)
			err := ask(attempt, addr)
			cancel()
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err == nil, errors.Is(err, ErrRefused), errors.Is(err, ErrUncertified):
				return err
			case errors.Is(err, ErrNoMember), errors.Is(err, ErrPlain):
				permanent++
			}
			failures = append(failures, err.Error())
			s.Log.Warn(notYet, "round", round+1, "of", s.Rounds, "error", err)
		}
		if permanent == len(s.Addrs) {
			return fmt.Errorf("%w: %s", ErrNoSeed, strings.Join(failures, "; "))
		}
	}
	return fmt.Errorf("cannot join through any machine of %s: %s", strings.Join(s.Addrs, ","), strings.Join(failures, "; "))
}
