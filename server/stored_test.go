package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStored checks that -i is recommended where it helps, and nowhere else.
func TestStored(t *testing.T) {
	tests := []struct {
		name, stored string
		given        Config // ClientAddr and PeerAddr of it
		says         string // empty: it is accepted
		hint         bool
	}{
		{"nothing stored", "", Config{}, "", false},
		{"flags win", `{"name":"","clientAddr":"4001x","peerAddr":""}`, Config{ClientAddr: "4005"}, "", false},
		{"no JSON", `{`, Config{}, "config.json is not", false},
		{"an address that is none", `{"name":"","clientAddr":"4001x","peerAddr":""}`, Config{}, "config.json", true},
		{"an address that -s has taken", `{"name":"","clientAddr":"127.0.0.1:7005","peerAddr":""}`, Config{PeerAddr: "7005"}, "different ports", true},
		{"no file", "directory", Config{}, "a directory", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := tempDataDir(t)
			path := filepath.Join(dir, storedFile)
			var err error
			switch test.stored {
			case "":
			case "directory":
				err = os.Mkdir(path, 0o700)
			default:
				err = os.WriteFile(path, []byte(test.stored), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			c := Defaults()
			c.ClientAddr, c.PeerAddr = test.given.ClientAddr, test.given.PeerAddr
			p := &dataDir{path: dir}
			if err := p.open(); err != nil {
				t.Fatal(err)
			}
			_, err = c.withStored(p)
			switch {
			case (err == nil) != (test.says == ""):
				t.Errorf("the error is %v", err)
			case err != nil && (!strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "start with -i") != test.hint):
				t.Errorf("%q: want %q, and -i recommended %v", err, test.says, test.hint)
			}
		})
	}
}
