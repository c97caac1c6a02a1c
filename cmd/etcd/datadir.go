package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"etcd/witness"
)

// place is a data directory as a start finds it.
type place struct {
	path string
	made []string // the directories that this start has to make, the innermost first
}

// inspect looks at a data directory, in which it creates nothing, and refuses one that is
// not of this program.
func inspect(path string, startOver bool) (place, error) {
	p := place{path: path}
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		p.made = append(p.made, dir)
	}
	if len(p.made) > 0 {
		return p, nil
	}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return p, errors.New("this is not a directory; name another one with -d")
	}
	found, err := recognise(os.DirFS(path))
	switch {
	case err != nil:
		if of, ok := errors.AsType[*fs.PathError](err); ok {
			err = of.Err // which directory is known
		}
		return p, err
	case found == logGone && !startOver:
		return p, errors.New("this machine has run here before (" + storedFile + " is there), and its log is gone. Nothing was changed. " +
			"Put back what was moved or deleted. If it is lost for good and the cluster has other members, remove this machine through one " +
			"of them (GET /v2/members, DELETE /v2/members/ID) and start it once with -f and -C; if it was alone, -f starts an empty cluster")
	case found != "" && found != logGone:
		return p, fmt.Errorf("this is %s, which this version does not read. Nothing was changed, and -f deletes none of it. "+
			"Choose another directory with -d; to take the keys over, start the etcd that wrote them and copy them from its API to this one", found)
	}
	return p, nil
}

// logGone is a directory of this program in which only the log is missing.
const logGone = "a directory without its log"

// recognise says whose data a directory holds if an empty store must not be started in
// it, and nothing if it is new or has a log of this program, which that judges itself.
func recognise(dir fs.FS) (found string, err error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return "", err
	}
	has := make(map[string]bool)
	damaged := false
	for _, e := range entries {
		name := e.Name()
		has[name] = true
		switch {
		case strings.HasSuffix(name, ".wal"), strings.HasSuffix(name, ".wal.new"), strings.HasSuffix(name, ".snap"):
			return "", nil
		case strings.HasSuffix(name, ".snap.bad"):
			damaged = true
		}
	}
	exists := func(name string) bool {
		_, err := fs.Stat(dir, name)
		return err == nil
	}
	switch {
	case exists("member/snap/db"):
		return "a data directory of etcd 3", nil
	case exists("snap/db") && has["wal"]:
		return "the directory member of a data directory of etcd 3", nil
	case exists("member/snap"), exists("member/wal"):
		return "a data directory of etcd 2", nil
	case has["snap"] && has["wal"]:
		return "the directory member of a data directory of etcd 2", nil
	case has["proxy"]:
		return "a data directory of a proxy of etcd 2", nil
	case has["log"] && (has["conf"] || has["snapshot"]):
		return "a data directory of etcd 0.x (log, conf, snapshot)", nil
	case has["standby_info"]:
		return "a data directory of a standby of etcd 0.4", nil
	case damaged, has[witness.FileName]:
		return logGone, nil
	case has[storedFile]:
		data, err := fs.ReadFile(dir, storedFile)
		if err != nil {
			return "", err
		}
		var s stored
		if json.Unmarshal(data, &s) != nil || s.Joining == 0 {
			return logGone, nil
		}
	}
	return "", nil
}

// discard removes what a refused start has left in a directory that it has made: nobody
// has become a member of anything there.
func (p place) discard() {
	if len(p.made) == 0 {
		return
	}
	for _, name := range []string{storedFile, autoTLSFile + ".crt", autoTLSFile + ".key", "lock"} {
		_ = os.Remove(filepath.Join(p.path, name)) // a directory that is not empty stays
	}
	for _, dir := range p.made {
		if os.Remove(dir) != nil {
			return
		}
	}
}
