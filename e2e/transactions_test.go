package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"etcd/internal/history"
)

// txnPause keeps histories short enough to be judged, and unknownPause those with a few unknown outcomes.
const (
	txnPause     = 20 * time.Millisecond
	unknownPause = 300 * time.Millisecond
)

// transactions is a group of clients of the v3 API that share a few keys, through all members of a new cluster, and
// record every answer. Nobody else may write keys of v3.
type transactions struct {
	t         testing.TB
	addresses []string
	begin     time.Time
	ctx       context.Context
	stop      context.CancelFunc
	wg        sync.WaitGroup

	paused sync.RWMutex // held by each client during a transaction

	mu   sync.Mutex
	txns []history.Txn
}

// pause lets the clients finish what they do, and begin nothing more until resume.
func (w *transactions) pause()  { w.paused.Lock() }
func (w *transactions) resume() { w.paused.Unlock() }

func startTransactions(t testing.TB, clients int, seed uint64, addresses []string) *transactions {
	w := &transactions{t: t, addresses: addresses, begin: time.Now()}
	w.ctx, w.stop = context.WithCancel(t.Context())
	for id := range clients {
		c := &txnClient{transactions: w, id: id, at: id, rng: rand.New(rand.NewPCG(seed, uint64(id)+100)), seen: map[string]int64{}}
		w.wg.Go(c.run)
	}
	t.Cleanup(w.finish)
	return w
}

func (w *transactions) finish() {
	w.stop()
	w.wg.Wait()
}

// check ends the clients and checks what they have seen.
func (w *transactions) check() {
	w.t.Helper()
	w.finish()
	done := 0
	for _, t := range w.txns {
		if t.Outcome == history.Done {
			done++
		}
	}
	w.t.Logf("%d transactions, %d of unknown outcome", len(w.txns), len(w.txns)-done)
	if done == 0 {
		w.t.Error("no transaction was done")
	}
	if err := history.CheckKeyspace(w.txns); err != nil {
		w.t.Error(err)
	}
}

// txnClient sends one transaction after another.
type txnClient struct {
	*transactions
	id, at int // at is the member it uses
	rng    *rand.Rand
	serial int
	conn   *grpc.ClientConn
	seen   map[string]int64 // revisions of keys when it last met them
}

func (c *txnClient) run() {
	defer c.leave()
	for c.ctx.Err() == nil {
		if c.conn == nil {
			conn, err := grpc.NewClient("passthrough:///"+c.addresses[c.at%len(c.addresses)], grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				c.t.Error(err)
				return
			}
			c.conn = conn
		}
		c.paused.RLock()
		next := txnPause
		if c.operate() == history.Unknown {
			next = unknownPause
		}
		c.paused.RUnlock()
		select {
		case <-time.After(next):
		case <-c.ctx.Done():
		}
	}
}

func (c *txnClient) leave() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// operate carries out a random transaction, and records and returns the outcome: Missing, which is not recorded, if it
// was not done. After a failure the client moves to the next
// member.
func (c *txnClient) operate() history.Outcome {
	t := c.draw()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), workloadLimit)
	defer cancel()
	t.Call = time.Since(c.begin)
	err := c.send(ctx, &t)
	t.Return = time.Since(c.begin)
	if err != nil {
		c.leave()
		c.at++
		if wasNotDone(err) {
			return history.Missing
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.txns = append(c.txns, t)
	return t.Outcome
}

// wasNotDone reports whether an error guarantees that nothing was done: there was no connection, or the server says so.
func wasNotDone(err error) bool {
	if status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "Error while dialing") {
		return true
	}
	return slices.ContainsFunc([]error{rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCNotCapable, rpctypes.ErrGRPCRequestTooManyRequests}, func(nothing error) bool {
		return err.Error() == nothing.Error()
	})
}

// draw returns a read, a write, or a transaction that moves a key if it is as the client has met it.
func (c *txnClient) draw() history.Txn {
	c.serial++
	keys, value := c.rng.Perm(5), fmt.Sprintf("%d-%d", c.id, c.serial)
	one, other := fmt.Sprint("key", keys[0]), fmt.Sprint("key", keys[1])
	t := history.Txn{Client: c.id}
	switch p := c.rng.IntN(10); {
	case p < 3:
		t.Then = []history.Step{{Action: history.Get, Key: one}}
	case p < 5:
		t.Then = []history.Step{{Action: history.Set, Key: one, Value: value}}
	case p < 6:
		t.Then = []history.Step{{Action: history.Get, Key: one}, {Action: history.Get, Key: other}}
	default:
		t.If = []history.Condition{{Key: one, Mod: c.seen[one]}}
		t.Then = []history.Step{{Action: history.Set, Key: other, Value: value}, {Action: history.Delete, Key: one}}
		t.Else = []history.Step{{Action: history.Get, Key: one}, {Action: history.Get, Key: other}}
	}
	return t
}

// send sends a transaction and notes the answer. Those without conditions and with a single step are requests of
// their own.
func (c *txnClient) send(ctx context.Context, t *history.Txn) error {
	kv := etcdserverpb.NewKVClient(c.conn)
	if len(t.If) == 0 && len(t.Then) == 1 {
		op := operation(t.Then[0])
		if put := op.GetRequestPut(); put != nil {
			answer, err := kv.Put(ctx, put)
			if err == nil {
				c.note(t, answer.Header, true, []history.KeyValue{found(answer.PrevKv)})
			}
			return err
		}
		answer, err := kv.Range(ctx, op.GetRequestRange())
		if err == nil {
			c.note(t, answer.Header, true, []history.KeyValue{found(answer.Kvs...)})
		}
		return err
	}
	q := &etcdserverpb.TxnRequest{}
	for _, condition := range t.If {
		q.Compare = append(q.Compare, &etcdserverpb.Compare{
			Key: []byte(condition.Key), Target: etcdserverpb.Compare_MOD, TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: condition.Mod},
		})
	}
	for _, s := range t.Then {
		q.Success = append(q.Success, operation(s))
	}
	for _, s := range t.Else {
		q.Failure = append(q.Failure, operation(s))
	}
	answer, err := kv.Txn(ctx, q)
	if err != nil {
		return err
	}
	var all []history.KeyValue
	for _, r := range answer.Responses {
		switch {
		case r.GetResponsePut() != nil:
			all = append(all, found(r.GetResponsePut().PrevKv))
		case r.GetResponseDeleteRange() != nil:
			all = append(all, found(r.GetResponseDeleteRange().PrevKvs...))
		default:
			all = append(all, found(r.GetResponseRange().GetKvs()...))
		}
	}
	c.note(t, answer.Header, answer.Succeeded, all)
	return nil
}

// note records an answer.
func (c *txnClient) note(t *history.Txn, header *etcdserverpb.ResponseHeader, succeeded bool, all []history.KeyValue) {
	t.Outcome, t.Revision, t.Succeeded, t.Found = history.Done, header.Revision, succeeded, all
	steps := t.Then
	if !succeeded {
		steps = t.Else
	}
	for i, s := range steps {
		switch {
		case s.Action == history.Set:
			c.seen[s.Key] = header.Revision
		case s.Action == history.Delete:
			delete(c.seen, s.Key)
		case i < len(all):
			c.seen[s.Key] = all[i].Mod
		}
	}
}

func operation(s history.Step) *etcdserverpb.RequestOp {
	key := []byte(s.Key)
	switch s.Action {
	case history.Set:
		return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{
			RequestPut: &etcdserverpb.PutRequest{Key: key, Value: []byte(s.Value), PrevKv: true},
		}}
	case history.Delete:
		return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{Key: key, PrevKv: true},
		}}
	}
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &etcdserverpb.RangeRequest{Key: key}}}
}

// found returns a single key, zero if there is none.
func found(kvs ...*mvccpb.KeyValue) history.KeyValue {
	if len(kvs) == 0 || kvs[0] == nil {
		return history.KeyValue{}
	}
	return history.KeyValue{Value: string(kvs[0].Value), Create: kvs[0].CreateRevision, Mod: kvs[0].ModRevision, Version: kvs[0].Version}
}
