package passwords

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// checker returns a checker with a clock that moves only when it is told to.
func checker() (c *Checker, clock *time.Time) {
	c = New(MinCost)
	clock = new(time.Now())
	c.now = func() time.Time { return *clock }
	return c, clock
}

func soon() time.Time { return time.Now().Add(time.Minute) }

func hash(t *testing.T, c *Checker, password string) string {
	t.Helper()
	h, err := c.Hash(password, soon())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestVerify(t *testing.T) {
	c, _ := checker()
	long := strings.Repeat("a", 100)
	for _, password := range []string{"pw", "p\x00w", "p\x00x", long, long + "b"} {
		h := hash(t, c, password)
		if strings.Contains(h, password) {
			t.Errorf("the hash tells the password: %s", h)
		}
		for _, other := range []string{"pw", "p\x00w", "p\x00x", long, long + "b", ""} {
			want := ErrWrong
			if other == password {
				want = nil
			}
			if err := c.Verify("10.0.0.1:1", "al", other, h, soon()); err != want {
				t.Errorf("%q for %q: %v", other, password, err)
			}
		}
	}
	if err := c.Verify("10.0.0.1:1", "nobody", "pw", "", soon()); err != ErrWrong {
		t.Errorf("a user who is not there: %v", err)
	}
}

// What was found out is remembered for a while, for exactly these credentials.
func TestRecall(t *testing.T) {
	c, clock := checker()
	h, newer := hash(t, c, "pw"), hash(t, c, "pw")
	recall := func(user, password, hash string) string {
		known, err := c.Recall(user, password, hash)
		return fmt.Sprint(known, err)
	}
	unknown, right, wrong := "false <nil>", "true <nil>", fmt.Sprint(true, ErrWrong)
	if got := recall("al", "pw", h); got != unknown {
		t.Errorf("before: %s", got)
	}
	if err := c.Verify("10.0.0.1:1", "al", "pw", h, soon()); err != nil {
		t.Fatal(err)
	}
	_ = c.Verify("10.0.0.1:1", "al", "no", h, soon())
	for _, test := range []struct{ user, password, hash, want string }{
		{"al", "pw", h, right}, {"al", "no", h, wrong},
		{"al", "pw", newer, unknown}, {"al", "no", newer, unknown}, {"bo", "pw", h, unknown}, {"alp", "w", h, unknown}, {"al", "pw", "", unknown},
	} {
		if got := recall(test.user, test.password, test.hash); got != test.want {
			t.Errorf("%s %s: %s, want %s", test.user, test.password, got, test.want)
		}
	}
	*clock = clock.Add(keptFor)
	if got := recall("al", "pw", h); got != unknown {
		t.Errorf("after %s: %s", keptFor, got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	now := time.Now()
	m := make(memory)
	for i := range 3 * maxKept {
		m.keep(credentials{byte(i), byte(i >> 8), byte(i >> 16)}, now.Add(time.Duration(i)*time.Second))
		if len(m) > maxKept {
			t.Fatalf("%d are kept", len(m))
		}
	}
}

// Whoever guesses is slowed down, and nobody else: neither other addresses, nor who is known already, nor
// who sends the same wrong password again and again.
func TestGuessing(t *testing.T) {
	c, clock := checker()
	h := hash(t, c, "pw")
	verify := func(from, user, password string) error { return c.Verify(from, user, password, h, soon()) }
	if err := verify("10.0.0.1:1", "al", "pw"); err != nil {
		t.Fatal(err)
	}
	for range 2 * maxGuesses {
		if err := verify("10.0.0.1:1", "al", "the same"); err != ErrWrong {
			t.Fatalf("the same wrong password: %v", err)
		}
	}
	for i := range maxGuesses - 1 {
		if err := verify(fmt.Sprintf("10.0.0.1:%d", i), fmt.Sprint(i), "no"); err != ErrWrong {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	for _, test := range []struct {
		from, user, password string
		want                 error
	}{
		{"10.0.0.1:9", "al", "another", ErrGuessing},
		{"10.0.0.1:9", "bo", "pw", ErrGuessing},
		{"10.0.0.1:9", "al", "pw", nil},
		{"10.0.0.2:9", "al", "another", ErrWrong},
		{"[::ffff:10.0.0.1]:9", "al", "one more", ErrGuessing},
	} {
		if err := verify(test.from, test.user, test.password); err != test.want {
			t.Errorf("%s %s %s: %v, want %v", test.from, test.user, test.password, err, test.want)
		}
	}
	*clock = clock.Add(time.Second)
	if err := verify("10.0.0.1:9", "bo", "pw"); err != nil {
		t.Errorf("after a second: %v", err)
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1:5": "10.0.0.1", "[::1]:5": "::/64", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64", "[fe80::1%eth0]:5": "fe80::/64", "@": "", "": "",
	} {
		if got := network(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// Those who come with the same credentials wait for one comparison; of all others few wait.
func TestManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := checker()
		h := hash(t, c, "pw")
		for range cap(c.workers) { // all of them are busy
			c.workers <- struct{}{}
		}
		for range 10 * maxWaiting {
			go func() {
				if err := c.Verify("10.0.0.1:1", "al", "pw", h, soon()); err != nil {
					t.Errorf("one of many: %v", err)
				}
			}()
		}
		synctest.Wait()
		if len(c.waiting) != 1 {
			t.Errorf("%d wait for the same", len(c.waiting))
		}
		if err := c.Verify("10.0.0.1:1", "bo", "pw", h, time.Now().Add(time.Second)); err != ErrBusy {
			t.Errorf("after the deadline: %v", err)
		}
		for range cap(c.waiting) - 1 {
			c.waiting <- struct{}{}
		}
		if err := c.Verify("10.0.0.1:1", "bo", "pw", h, soon()); err != ErrBusy {
			t.Errorf("one too many: %v", err)
		}
		if _, err := c.Hash("pw", soon()); err != ErrBusy {
			t.Errorf("one hash too many: %v", err)
		}
		for range cap(c.workers) {
			<-c.workers
		}
	})
}
