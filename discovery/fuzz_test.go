package discovery

import (
	"errors"
	"strings"
	"testing"
	"unicode"

	"etcd/endpoint"
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
		} else if size < 1 || size > maxSize {
			t.Errorf("size %d", size)
		}
		all := registrations(n)
		list, err := together(all)
		if err != nil {
			fitToShow(t, err)
			return
		}
		names, urls := map[string]bool{}, map[string]bool{}
		for _, r := range all {
			m, err := parseMember(r.value)
			if err != nil || names[m.Name] || !strings.Contains(list, r.value) {
				t.Errorf("%s is not one member of %s: %v", r.value, list, err)
			}
			names[m.Name] = true
			for _, url := range m.PeerURLs {
				if urls[url] || endpoint.CheckURL(url) != nil || endpoint.CheckName(m.Name) != nil {
					t.Errorf("%s is in %s", url, list)
				}
				urls[url] = true
			}
		}
	})
}

// A member that can be listed is read as it was written, up to the order of its URLs.
func FuzzMember(f *testing.F) {
	f.Add("infra0", "http://10.0.0.1:2380", "https://a.example:1")
	f.Add("a=b", "http://[::1]:2380", "")
	f.Add("a,b", "http://a:1,c=http://b:1", "=")
	f.Fuzz(func(t *testing.T, name, url, another string) {
		m := Member{Name: name, PeerURLs: []string{url, another}}
		if err := m.check(); err != nil {
			fitToShow(t, err)
			return
		}
		again, err := parseMember(m.value())
		if err != nil || again.Name != name || again.value() != m.value() || len(again.PeerURLs) != 2 {
			t.Errorf("%+v is read as %+v, %v", m, again, err)
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
