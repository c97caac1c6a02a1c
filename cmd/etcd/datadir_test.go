package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRecognise checks whose data directories are told from new ones.
func TestRecognise(t *testing.T) {
	const joining = `{"name":"a","joining":"17"}`
	tests := []struct {
		name  string
		files map[string]string // a name that ends in a slash is a directory
		found string            // the beginning; empty: it may be used
	}{
		{"empty", nil, ""},
		{"a new disk", map[string]string{"lost+found/": ""}, ""},
		{"etcd 0.1", map[string]string{"conf": "", "log": "", "snapshot/": ""}, "a data directory of etcd 0.x"},
		{"etcd 0.4 without a snapshot", map[string]string{"conf": "", "log": ""}, "a data directory of etcd 0.x"},
		{"etcd 0.x, directories", map[string]string{"conf/": "", "log": "", "snapshot/": ""}, "a data directory of etcd 0.x"},
		{"etcd 2", map[string]string{"member/snap/0000000000000002-0000000000002711.snap": "", "member/wal/0000000000000000-0000000000000000.wal": ""}, "a data directory of etcd 2"},
		{"etcd 2 without a snapshot", map[string]string{"member/snap/": "", "member/wal/0000000000000000-0000000000000000.wal": ""}, "a data directory of etcd 2"},
		{"a proxy of etcd 2", map[string]string{"proxy/cluster": ""}, "a data directory of a proxy"},
		{"a proxy of etcd 2 that has heard of no cluster", map[string]string{"proxy/x": ""}, "a data directory of a proxy"},
		{"a standby of etcd 0.4", map[string]string{"standby_info": "{}"}, "a data directory of a standby"},
		{"etcd 3", map[string]string{"member/snap/db": "", "member/wal/0.tmp": ""}, "a data directory of etcd 3"},
		{"one directory too deep, etcd 3", map[string]string{"snap/db": "", "wal/": ""}, "the directory member"},
		{"one directory too deep, etcd 2", map[string]string{"snap/": "", "wal/": ""}, "the directory member"},
		{"ours", map[string]string{"0000000000000001.wal": "", "config.json": "{}", "lock": ""}, ""},
		{"ours, with a snapshot only", map[string]string{"0000000000000001-0000000000000009.snap": "", "config.json": "{}"}, ""}, // wal.Open says what is missing
		{"ours without its log", map[string]string{"config.json": `{"name":"a"}`, "lock": ""}, logGone},
		{"ours without its log, nor a readable configuration", map[string]string{"config.json": `{`}, logGone},
		{"ours, and only a damaged snapshot is left", map[string]string{"0000000000000001-0000000000000009.snap.bad": ""}, logGone},
		{"ours, and only what it knows of others is left", map[string]string{"witness": "", "lock": ""}, logGone},
		{"ours, killed while it joined", map[string]string{"config.json": joining, "lock": ""}, ""},
		{"ours, killed in the first steps", map[string]string{"lock": "", "0000000000000001.wal.tmp": "", "auto-tls.crt": ""}, ""},
	}
	for _, test := range tests {
		dir := fstest.MapFS{}
		for name, content := range test.files {
			if d, ok := strings.CutSuffix(name, "/"); ok {
				dir[d] = &fstest.MapFile{Mode: os.ModeDir | 0o700}
			} else {
				dir[name] = &fstest.MapFile{Data: []byte(content)}
			}
		}
		found, err := recognise(dir)
		if err != nil || !strings.HasPrefix(found, test.found) || (found == "") != (test.found == "") {
			t.Errorf("%s is taken for %q (%v), want %q", test.name, found, err, test.found)
		}
	}
}

// TestDiscard checks that a refused start removes the directories it has made, and no other.
func TestDiscard(t *testing.T) {
	above := t.TempDir()
	path := filepath.Join(above, "a", "b")
	p, err := inspect(path, false)
	if err != nil {
		t.Fatal(err)
	}
	use := func() {
		t.Helper()
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	use()
	p.discard()
	if left, err := os.ReadDir(above); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	use()
	if p, err = inspect(path, false); err != nil {
		t.Fatal(err)
	}
	p.discard()
	if _, err := os.Stat(filepath.Join(path, "lock")); err != nil {
		t.Error("a directory that was there before was touched")
	}
}
