package discovery

import (
	"errors"
	"testing"
	"unicode"

	"etcd/bootstrap"
	"etcd/store"
)

// Whatever a service answers, it becomes a list that is valid, or an error that can be shown.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"action":"get","node":{"key":"/t","dir":true,"nodes":[{"key":"/t/1f","value":"a=http://10.0.0.1:2380","createdIndex":7},{"key":"/t/2","value":"b=http://b:1,b=http://c:1","createdIndex":5}]}}`))
	f.Add(200, []byte(`{"node":{"nodes":[{"key":"/t/_config"},{"key":""},{"key":"/t/2","value":"a=b=http://c:1"}]}}`))
	f.Add(404, []byte(`{"errorCode":100,"message":"Key not found","cause":"/t","index":5}`))
	f.Add(412, []byte(`{"errorCode":105}`))
	f.Add(500, []byte("\x1b[31m"))
	f.Add(200, []byte(`{"node":{"value":"3"}}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		n, err := parseAnswer(status, body)
		if (n == nil) == (err == nil) {
			t.Fatalf("node %v and error %v", n, err)
		}
		if err != nil {
			fitToShow(t, err)
			return
		}
		if size, err := parseSize(n.Value); err != nil {
			fitToShow(t, err)
		} else if size < 1 || size > store.MaxMembers {
			t.Errorf("size %d", size)
		}
		all := registrations(n)
		list, err := together(all)
		if err != nil {
			fitToShow(t, err)
			return
		}
		if len(all) == 0 {
			return
		}
		if c, err := bootstrap.Parse(list, ""); err != nil || len(c.Members) != len(all) {
			t.Errorf("%d registrations are the list %s: %v", len(all), list, err)
		}
	})
}

// A machine that may register is found again in the list, by its name and its URL.
func FuzzMember(f *testing.F) {
	f.Add("infra0", "http://10.0.0.1:2380")
	f.Add("a=b", "http://[::1]:2380")
	f.Add("a,b", "http://a:1,c=http://b:1")
	f.Add("a", "b=http://a:1")
	f.Add(" a", "http://a:1 ")
	f.Fuzz(func(t *testing.T, name, url string) {
		m := Member{Name: name, PeerURL: url}
		if err := m.check(); err != nil {
			fitToShow(t, err)
			return
		}
		c, err := bootstrap.Parse(m.value(), "")
		if found, ok := c.Named(name); err != nil || !ok || found.PeerURL != url || len(c.Members) != 1 {
			t.Errorf("%+v is listed as %s, %v", m, c, err)
		}
	})
}

func fitToShow(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, errNotFound) || errors.Is(err, errExists) {
		return
	}
	text := err.Error()
	if len(text) > 2000 {
		t.Errorf("an error of %d bytes", len(text))
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			t.Errorf("%q is in an error: %q", r, text)
		}
	}
}
