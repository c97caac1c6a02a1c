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
	// ErrOtherFounders says that too many machines of the list refuse to found a cluster with this one.
	ErrOtherFounders = errors.New("too many machines of the list belong to another cluster, or refuse this one")
)

// foundersTimeout bounds one question to another founder, so that one that does not answer holds nobody up.
const foundersTimeout = 3 * time.Second

// Founders are the machines with which this one founds a cluster.
type Founders struct {
	Cluster bootstrap.Cluster
	Self    store.Member // of Cluster
	Dial    Dial
	Log     *slog.Logger
}

// verdict is what one founder has answered in the last round.
type verdict struct {
	agrees, starting, refuses bool
	says                      string // for people, if it does not agree
}

// Agree asks the others again and again, until a majority of all founders, this one included, is there
// and has the same list. Whoever has lost its data is told so: its ID follows from its
// address, so it would come back as a voter that has forgotten its votes. Agree fails with
// ErrBootstrapped then, with ErrOtherFounders if no majority can have the same list, or when ctx ends.
//
// One that reads its data may know this one, so it is waited for. Of those that do not answer nobody
// can say whether they know it.
func (f Founders) Agree(ctx context.Context) error {
	all := f.Cluster.Members
	majority := len(all)/2 + 1
	verdicts := make(map[uint64]verdict)
	told := ""
	for {
		if err := f.askAll(ctx, verdicts); err != nil {
			return err
		}
		agree, starting, refuse := 1, 0, 0
		var missing, states []string
		for _, m := range all {
			v, asked := verdicts[m.ID]
			switch {
			case !asked: // this machine
			case v.agrees:
				agree++
			default:
				missing = append(missing, fmt.Sprintf("%s (%s): %s", m.Name, m.PeerURL, v.says))
				states = append(states, fmt.Sprint(m.Name, v.starting, v.refuses))
			}
			if v.refuses {
				refuse++
			}
			if v.starting {
				starting++
			}
		}
		switch {
		case len(all)-refuse < majority:
			return fmt.Errorf("%w: compare --initial-cluster and --initial-cluster-token of all: %s", ErrOtherFounders, strings.Join(missing, "; "))
		case agree >= majority && starting == 0:
			if refuse > 0 {
				f.Log.Warn("a machine of --initial-cluster refuses this one: a majority agrees, so it goes on without it", "because", strings.Join(missing, "; "))
			}
			return nil
		}
		if now := strings.Join(states, " "); now != told { // errors differ each time
			told = now
			f.Log.Info("waiting for a majority of the machines of --initial-cluster, and for those that still start", "there", agree, "of", len(all), "missing", strings.Join(missing, "; "))
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
	ctx, cancel := context.WithTimeout(ctx, foundersTimeout)
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
		case code == http.StatusConflict, code == transport.StatusUncertified:
			return verdict{refuses: true, says: reason}, nil
		}
		return verdict{says: says}, nil
	}
	var answer foundersAnswer
	if err := json.Unmarshal(data, &answer); err != nil {
		return verdict{says: "its answer is malformed: " + err.Error()}, nil
	}
	id := actors.MemberID(f.Self.ID)
	switch {
	case answer.MemberID != other.ID: // its word counts once, and that of this machine not at all
		return verdict{says: "another machine answers there, member " + actors.MemberID(answer.MemberID)}, nil
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
