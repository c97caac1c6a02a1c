package upstream

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	client "go.etcd.io/etcd/client/v2"
)

// TestClientMembers lets etcd's own client change the members of a cluster of three, and follow
// the cluster when its leader is killed.
func TestClientMembers(t *testing.T) {
	begin(t)
	machines := startCluster(t, *program, newURL(), newURL(), newURL())
	var urls []string
	for _, s := range machines {
		urls = append(urls, s.client)
	}
	c, ctx := newClient(t, client.Config{Endpoints: urls[:1], SelectionMode: client.EndpointSelectionPrioritizeLeader})
	keys, members := client.NewKeysAPI(c), client.NewMembersAPI(c)

	if err := c.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	known := c.Endpoints()
	slices.Sort(known)
	if !slices.Equal(known, urls) {
		t.Errorf("Sync has found %q, want %q", known, urls)
	}
	version, err := c.GetVersion(ctx)
	if err != nil || version.Server == "" || version.Cluster == "" {
		t.Errorf("version %+v, %v", version, err)
	}
	leader, err := members.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, listed(members.List(ctx)), listedServers(machines...))

	other, moved := newURL(), newURL()
	added, err := members.Add(ctx, other)
	if err != nil || added.ID == "" || added.Name != "" || !slices.Equal(added.PeerURLs, []string{other}) {
		t.Fatalf("added %+v, %v", added, err)
	}
	if _, err := members.Add(ctx, other); err == nil {
		t.Error("two members have one URL")
	}
	if err := members.Update(ctx, added.ID, []string{moved}); err != nil {
		t.Error(err)
	}
	expect(t, listed(members.List(ctx)), " at "+moved+" for \n"+listedServers(machines...))
	if err := members.Update(ctx, "1234567890abcdef", []string{other}); err == nil {
		t.Error("a member was updated that there is not")
	}
	if err := members.Remove(ctx, added.ID); err != nil {
		t.Error(err)
	}
	if err := members.Remove(ctx, "1234567890abcdef"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a member was removed that there is not: %v", err)
	}
	expect(t, listed(members.List(ctx)), listedServers(machines...))

	// The client goes on with the others, and sees what happens there from where it was.
	first, err := keys.Set(ctx, "/a", "1", nil)
	if err != nil {
		t.Fatal(err)
	}
	watcher := keys.Watcher("/a", &client.WatcherOptions{AfterIndex: first.Node.ModifiedIndex})
	for _, s := range machines {
		if s.client == leader.ClientURLs[0] {
			s.kill()
		}
	}
	waitUntil(t, "a write after the leader's end", func() bool {
		_, err := keys.Set(ctx, "/a", "2", nil)
		return err == nil
	})
	r, err := watcher.Next(ctx)
	expect(t, told(r, err), "set /a=2, before /a=1")
	expect(t, told(keys.Get(ctx, "/a", &client.GetOptions{Quorum: true})), "get /a=2")
	if err := c.Sync(ctx); err != nil {
		t.Error(err)
	}
	next, err := members.Leader(ctx)
	if err != nil || next.ID == leader.ID {
		t.Errorf("the next leader is %+v, %v", next, err)
	}
}

func listed(members []client.Member, err error) string {
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, m := range members {
		lines = append(lines, fmt.Sprintf("%s at %s for %s", m.Name, strings.Join(m.PeerURLs, " "), strings.Join(m.ClientURLs, " ")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func listedServers(machines ...*server) string {
	var lines []string
	for _, s := range machines {
		lines = append(lines, fmt.Sprintf("%s at %s for %s", s.name, s.peer, s.client))
	}
	return strings.Join(lines, "\n")
}
