package e2e

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"etcd/credentials/certtest"
)

// TestRotation replaces the CA and all certificates of three machines and of their
// clients under load, in the order that docs/tls.md gives. No request fails, neither
// on existing connections nor on new ones.
func TestRotation(t *testing.T) {
	t.Parallel()
	oldCA, newCA := certtest.New("old CA"), certtest.New("new CA")
	oldClient := identity{oldCA.Issue("client"), []*certtest.CA{oldCA}}
	c := startSecure(t, oldCA)

	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	var kept, fresh atomic.Int64 // requests on existing connections, and on new ones
	for id := range 6 {
		client := &persistentClient{addresses: c.addresses(), at: id}
		count := &kept
		if id%2 == 1 {
			count = &fresh
		}
		wg.Go(func() {
			defer client.leave()
			key := "/v1/keys/rotation/" + strconv.Itoa(id)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				value := strconv.Itoa(i)
				for _, q := range []request{post(key, "value", value), get(key)} {
					answer, err := client.do(q)
					e, eventErr := answer.event()
					if err != nil || answer.status != 200 || eventErr != nil || e.Value != value {
						t.Errorf("client %d: request %d: %s: %d %s %v", id, i, q.method, answer.status, answer.body, err)
						return
					}
					count.Add(1)
					if count == &fresh {
						client.leave()
						client.at++
					}
				}
			}
		})
	}
	goesOn := func() {
		enoughKept, enoughFresh := kept.Load()+100, fresh.Load()+100
		waitUntil(t, "load", func() bool {
			return kept.Load() >= enoughKept && fresh.Load() >= enoughFresh || t.Failed()
		})
	}
	goesOn()
	c.client.Store(identity{oldClient.own, []*certtest.CA{oldCA, newCA}}.config())
	for _, s := range c.members {
		c.trust(s, oldCA, newCA)
		goesOn()
	}
	for _, s := range c.members {
		c.show(s, newCA.Issue("new "+s.name))
		goesOn()
	}
	c.client.Store(identity{newCA.Issue("new client"), []*certtest.CA{oldCA, newCA}}.config())
	goesOn()
	for _, s := range c.members {
		c.trust(s, newCA)
		goesOn()
	}
	newClient := identity{newCA.Issue("new client"), []*certtest.CA{newCA}}
	c.client.Store(newClient.config())
	goesOn()
	end()
	wg.Wait()
	t.Logf("%d requests on connections that stay, %d on new ones", kept.Load(), fresh.Load())

	for _, s := range c.members {
		if name := c.subject(s); name != "new "+s.name {
			t.Errorf("%s shows the certificate of %s", s.name, name)
		}
		for who, id := range map[string]identity{
			"who shows the old certificate": {oldClient.own, newClient.trusted},
			"who trusts the old CA":         {newClient.own, oldClient.trusted},
		} {
			conn, err := dialTLS(s.client, id.config())
			if err == nil {
				_, err = conn.roundTrip(get("/version"))
				conn.Close()
			}
			if err == nil {
				t.Errorf("%s serves a client %s", s.name, who)
			}
		}
	}
	// The machines, too, need only the new files to connect to each other.
	for _, s := range c.members {
		s.kill()
		s.start()
	}
	c.checkSameState()
	late := c.newMember()
	c.secure(late, identity{oldCA.Issue(late.name), []*certtest.CA{oldCA, newCA}})
	code, _, stderr := run(t, nil, append(late.flags(), "-C", c.members[0].peer, "-r", "1")...)
	if code != 1 || !strings.Contains(stderr, "unknown certificate authority") {
		t.Errorf("a machine of the old CA joins: exit code %d\n%s", code, stderr)
	}
}
