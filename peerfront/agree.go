package peerfront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"etcd/actors"
	"etcd/bootstrap"
	"etcd/endpoint"
	"etcd/store"
	"etcd/transport"
)

var (
	// ErrBootstrapped says that a machine with an empty data directory has been a member before.
	ErrBootstrapped = errors.New("has already been bootstrapped")
	// ErrOtherFounders says that too many machines of the list were given another one.
	ErrOtherFounders = errors.New("too many machines of the list belong to another cluster")
)

// startingPatience is for how many rounds a founder waits for machines that are there and read their
// data: they may know it.
const startingPatience = 30

// Founders are the machines with which this one founds a cluster.
type Founders struct {
	Cluster bootstrap.Cluster
	Self    store.Member // of Cluster
	Dial    Dial
	Timeout time.Duration // of one request
	Log     *slog.Logger
}

// verdict is what one founder has answered in the last round.
type verdict struct {
	agrees, starting, differs bool
	says                      string // for people, if it does not agree
}

// Agree asks the others again and again, until a majority of all founders, this one included, is there
// and has the same list. Whoever has lost its data is told so: its ID follows from its
// address, so it would come back as a voter that has forgotten its votes. Agree fails with
// ErrBootstrapped then, with ErrOtherFounders if no majority can have the same list, with
// ErrUncertified, or when ctx ends.
//
// A minority may start before the others are there, and is believed that it is new: whether that is
// true only the others could know.
func (f Founders) Agree(ctx context.Context) error {
	all := f.Cluster.Members
	majority := len(all)/2 + 1
	verdicts := make(map[uint64]verdict)
	told := ""
	for round := 0; ; round++ {
		if err := f.askAll(ctx, verdicts); err != nil {
			return err
		}
		agree, starting, differ := 1, 0, 0
		var missing []string
		for _, m := range all {
			v, asked := verdicts[m.ID]
			switch {
			case !asked: // this machine
			case v.agrees:
				agree++
			default:
				missing = append(missing, fmt.Sprintf("%s (%s): %s", m.Name, m.PeerURL, v.says))
			}
			if v.differs {
				differ++
			}
			if v.starting {
				starting++
			}
		}
		switch {
		case len(all)-differ < majority:
			return fmt.Errorf("%w: compare --initial-cluster and --initial-cluster-token of all: %s", ErrOtherFounders, strings.Join(missing, "; "))
		case agree >= majority && (starting == 0 || round >= startingPatience):
			if differ > 0 {
				f.Log.Warn("a machine of --initial-cluster belongs to another cluster: a majority agrees, so this one goes on without it", "because", strings.Join(missing, "; "))
			}
			return nil
		}
		if now := strings.Join(missing, "; "); now != told {
			told = now
			f.Log.Info("waiting for a majority of the machines of --initial-cluster", "there", agree, "of", len(all), "missing", now)
		}
		select {
		case <-time.After(joinInterval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// askAll asks all others that do not agree yet, at once.
func (f Founders) askAll(ctx context.Context, verdicts map[uint64]verdict) error {
	others := slices.DeleteFunc(slices.Clone(f.Cluster.Members), func(m store.Member) bool { return m.ID == f.Self.ID || verdicts[m.ID].agrees })
	answers, errs := make([]verdict, len(others)), make([]error, len(others))
	var asking sync.WaitGroup
	for i, m := range others {
		asking.Go(func() { answers[i], errs[i] = f.ask(ctx, m) })
	}
	asking.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, m := range others {
		if errs[i] != nil {
			return errs[i]
		}
		verdicts[m.ID] = answers[i]
	}
	return nil
}

// ask asks one other founder. An error is final.
func (f Founders) ask(ctx context.Context, other store.Member) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	addr, err := endpoint.Address(other.PeerURL)
	if err != nil {
		return verdict{}, err // Parse has checked it
	}
	status, data, err := f.Dial.post(ctx, endpoint.Scheme(f.Self.PeerURL)+"://"+addr+foundersPath, foundersRequest{
		ClusterID: f.Cluster.ID, MemberID: f.Self.ID, PeerURL: f.Self.PeerURL, List: f.Cluster.String(),
	})
	if err != nil {
		return verdict{says: err.Error()}, nil
	}
	if status != http.StatusOK {
		code, reason := refusal(status, data)
		says := fmt.Sprintf("answers %d: %s", code, reason)
		switch {
		case status == http.StatusServiceUnavailable:
			return verdict{starting: true, says: says}, nil
		case code == http.StatusConflict:
			return verdict{differs: true, says: reason}, nil
		case code == transport.StatusUncertified:
			return verdict{}, fmt.Errorf("%w: %s %s", ErrUncertified, other.PeerURL, says)
		}
		return verdict{says: says}, nil
	}
	var answer foundersAnswer
	if err := json.Unmarshal(data, &answer); err != nil {
		return verdict{says: "its answer is malformed: " + err.Error()}, nil
	}
	id := actors.MemberID(f.Self.ID)
	switch {
	case answer.Removed:
		return verdict{}, fmt.Errorf("member %s %w, and was removed from the cluster, says %s: its ID never comes back. To have this machine in the cluster again, add it "+
			`(curl %s/v2/members -H "Content-Type: application/json" -d '{"peerURLs":["%s"]}') and start it with --initial-cluster-state existing`,
			id, ErrBootstrapped, other.PeerURL, answer.ClientURL, f.Self.PeerURL)
	case answer.HasRun:
		return verdict{}, fmt.Errorf("member %s %w, says %s, and here is no data of it. It may have forgotten its votes, so it cannot go on. "+
			"If its data is in another directory, give that one (-d, --data-dir). If its data is lost, %s",
			id, ErrBootstrapped, other.PeerURL, replace(f.Self.ID, f.Self.PeerURL, answer.ClientURL))
	}
	return verdict{agrees: true}, nil
}
