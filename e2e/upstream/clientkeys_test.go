package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	client "go.etcd.io/etcd/client/v2"
)

// newClient returns a client of etcd's own package, with a context that ends with the test.
func newClient(t *testing.T, config client.Config) (client.Client, context.Context) {
	t.Helper()
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	t.Cleanup(cancel)
	return c, ctx
}

// told says in a line what a client was answered.
func told(r *client.Response, err error) string {
	var refused client.Error
	switch {
	case errors.As(err, &refused):
		return fmt.Sprintf("%d %s [%s]", refused.Code, refused.Message, refused.Cause)
	case err != nil:
		return err.Error()
	case r.PrevNode != nil:
		return fmt.Sprintf("%s %s, before %s", r.Action, toldNode(r.Node), toldNode(r.PrevNode))
	default:
		return r.Action + " " + toldNode(r.Node)
	}
}

func toldNode(n *client.Node) string {
	if n == nil {
		return "nothing"
	}
	text := n.Key + "=" + n.Value
	if n.Dir {
		var nodes []string
		for _, child := range n.Nodes {
			nodes = append(nodes, toldNode(child))
		}
		text = n.Key + "/[" + strings.Join(nodes, " ") + "]"
	}
	if n.TTL != 0 && n.Expiration != nil && time.Until(*n.Expiration) > 0 {
		text += " for a time"
	}
	return text
}

// expect compares what a client was told, and fails with the line of the caller.
func expect(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestClientKeys(t *testing.T) {
	begin(t)
	c, ctx := newClient(t, client.Config{Endpoints: []string{startServer(t, *program).client}})
	keys := client.NewKeysAPI(c)
	get := func(key string, o *client.GetOptions) string { return told(keys.Get(ctx, key, o)) }
	set := func(key, value string, o *client.SetOptions) string { return told(keys.Set(ctx, key, value, o)) }
	del := func(key string, o *client.DeleteOptions) string { return told(keys.Delete(ctx, key, o)) }

	expect(t, get("/a", nil), "100 Key not found [/a]")
	expect(t, told(keys.Update(ctx, "/a", "0")), "100 Key not found [/a]")
	expect(t, told(keys.Create(ctx, "/a", "1")), "create /a=1")
	expect(t, told(keys.Create(ctx, "/a", "2")), "105 Key already exists [/a]")
	expect(t, told(keys.Update(ctx, "/a", "2")), "update /a=2, before /a=1")
	expect(t, set("/a", "ä & b=c;+%2F", nil), "set /a=ä & b=c;+%2F, before /a=2")
	expect(t, get("a", &client.GetOptions{Quorum: true}), "get /a=ä & b=c;+%2F")
	expect(t, set("/a", "", &client.SetOptions{TTL: time.Hour}), "set /a= for a time, before /a=ä & b=c;+%2F")
	expect(t, set("/a", "", &client.SetOptions{TTL: time.Minute, Refresh: true, PrevExist: client.PrevExist}), "update /a= for a time, before /a= for a time")
	expect(t, set("/a", "3", &client.SetOptions{PrevExist: client.PrevNoExist}), "105 Key already exists [/a]")

	last, err := keys.Set(ctx, "/a", "3", nil)
	if err != nil {
		t.Fatal(err)
	}
	index := last.Node.ModifiedIndex
	if last.Index != index || last.ClusterID == "" {
		t.Errorf("answered index %d of a node of index %d, in cluster %q", last.Index, index, last.ClusterID)
	}
	expect(t, set("/a", "4", &client.SetOptions{PrevValue: "2"}), "101 Compare failed [[2 != 3]]")
	expect(t, set("/a", "4", &client.SetOptions{PrevIndex: 1}), fmt.Sprintf("101 Compare failed [[1 != %d]]", index))
	expect(t, set("/a", "4", &client.SetOptions{PrevIndex: index, PrevValue: "3"}), "compareAndSwap /a=4, before /a=3")
	expect(t, set("/a", "5", &client.SetOptions{PrevValue: "4", NoValueOnSuccess: true}), "compareAndSwap nothing")
	expect(t, del("/a", &client.DeleteOptions{PrevValue: "4"}), "101 Compare failed [[4 != 5]]")
	expect(t, del("/a", &client.DeleteOptions{PrevIndex: index}), fmt.Sprintf("101 Compare failed [[%d != %d]]", index, indexOf(t, ctx, keys, "/a")))
	expect(t, del("/a", &client.DeleteOptions{PrevValue: "5", PrevIndex: indexOf(t, ctx, keys, "/a")}), "compareAndDelete /a=, before /a=5")
	expect(t, del("/a", nil), "100 Key not found [/a]")

	expect(t, set("/d", "", &client.SetOptions{Dir: true}), "set /d/[]")
	expect(t, set("/d", "", &client.SetOptions{Dir: true}), "102 Not a file [/d]")
	expect(t, set("/d", "", &client.SetOptions{Dir: true, PrevExist: client.PrevExist, TTL: time.Hour}), "update /d/[] for a time, before /d/[]")
	expect(t, set("/d/x/2", "2", nil), "set /d/x/2=2")
	expect(t, set("/d/x/1", "1", nil), "set /d/x/1=1")
	expect(t, set("/d/_hidden", "1", nil), "set /d/_hidden=1")
	expect(t, set("/d/x/1/y", "1", nil), "104 Not a directory [/d/x/1]")
	expect(t, get("/d", nil), "get /d/[/d/x/[]] for a time")
	expect(t, get("/d", &client.GetOptions{Recursive: true, Sort: true}), "get /d/[/d/x/[/d/x/1=1 /d/x/2=2]] for a time")
	expect(t, del("/d", nil), "102 Not a file [/d]")
	expect(t, del("/d", &client.DeleteOptions{Dir: true}), "108 Directory not empty [/d]")
	expect(t, del("/d", &client.DeleteOptions{Recursive: true, Dir: true}), "delete /d/[], before /d/[] for a time")
	expect(t, del("/", &client.DeleteOptions{Recursive: true, Dir: true}), "107 Root is read only [/]")

	var names []string
	for _, value := range []string{"one", "two", "three"} {
		r, err := keys.CreateInOrder(ctx, "/queue", value, &client.CreateInOrderOptions{TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, r.Node.Key)
	}
	expect(t, get("/queue", &client.GetOptions{Sort: true}),
		fmt.Sprintf("get /queue/[%s=one for a time %s=two for a time %s=three for a time]", names[0], names[1], names[2]))

	// With a prefix the keys of others are out of reach.
	prefixed := client.NewKeysAPIWithPrefix(c, "/v2/keys/queue")
	expect(t, told(prefixed.Set(ctx, "/in", "here", nil)), "set /queue/in=here")

	expired, err := keys.Set(ctx, "/short", "life", &client.SetOptions{TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	watcher := keys.Watcher("/short", &client.WatcherOptions{AfterIndex: expired.Node.ModifiedIndex})
	expect(t, told(watcher.Next(ctx)), "expire /short=, before /short=life")
}

func indexOf(t *testing.T, ctx context.Context, keys client.KeysAPI, key string) uint64 {
	t.Helper()
	r, err := keys.Get(ctx, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Node.ModifiedIndex
}

// TestClientWatchers follows the events of a key and of a directory, from now on and from an
// index on, and sees each of them once and in order.
func TestClientWatchers(t *testing.T) {
	begin(t)
	machine := startServer(t, *program)
	c, ctx := newClient(t, client.Config{Endpoints: []string{machine.client}})
	keys := client.NewKeysAPI(c)
	first, err := keys.Set(ctx, "/w/a", "0", nil)
	if err != nil {
		t.Fatal(err)
	}
	const writes = 50
	type seen struct {
		who    string
		values []string
	}
	results := make(chan seen)
	follow := func(who, key string, o *client.WatcherOptions, n int) {
		w := keys.Watcher(key, o)
		go func() {
			s := seen{who: who}
			for len(s.values) < n {
				r, err := w.Next(ctx)
				s.values = append(s.values, told(r, err))
				if err != nil {
					break
				}
			}
			results <- s
		}()
	}
	var ofKey, ofDir []string
	before := "/w/a=0"
	for i := 1; i <= writes; i++ {
		now := fmt.Sprintf("/w/a=%d", i)
		ofKey = append(ofKey, "set "+now+", before "+before)
		ofDir = append(ofDir, ofKey[i-1], fmt.Sprintf("set /w/b/%d=x", i))
		before = now
	}
	want := map[string][]string{
		"from now on":      ofKey[:1], // a second request may come too late for what was not there yet
		"key":              ofKey,
		"directory":        ofDir,
		"directory itself": {"delete /w/[], before /w/[]"},
	}
	follow("from now on", "/w/a", nil, 1)
	waitForWatchers(t, machine, 1)
	follow("key", "/w/a", &client.WatcherOptions{AfterIndex: first.Node.ModifiedIndex}, writes)
	follow("directory", "/w", &client.WatcherOptions{AfterIndex: first.Node.ModifiedIndex, Recursive: true}, 2*writes)
	follow("directory itself", "/w", &client.WatcherOptions{AfterIndex: first.Node.ModifiedIndex}, 1)
	for i := 1; i <= writes; i++ {
		if _, err := keys.Set(ctx, "/w/a", fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Set(ctx, fmt.Sprintf("/w/b/%d", i), "x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := keys.Delete(ctx, "/w", &client.DeleteOptions{Recursive: true}); err != nil {
		t.Fatal(err)
	}
	for range want {
		s := <-results
		if got, want := strings.Join(s.values, "\n"), strings.Join(want[s.who], "\n"); got != want {
			t.Errorf("%s: the watcher has seen\n%s\nwant\n%s", s.who, got, want)
		}
	}

	waiting, cancel := context.WithCancel(ctx)
	end := make(chan error)
	go func() {
		_, err := keys.Watcher("/w", nil).Next(waiting)
		end <- err
	}()
	waitForWatchers(t, machine, 1)
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Errorf("a watch that was canceled ends with %v", err)
	}
	waitForWatchers(t, machine, 0)
}
