package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"etcd/wal"
	"etcd/wal/vfs"
	"etcd/witness"
)

// dataDir is a data directory as a start finds it.
type dataDir struct {
	path    string
	shared  bool     // others may write in it
	fsys    vfs.FS   // nil while there is no directory
	created []string // the missing directories that this start creates, innermost first
	foreign []string // the files of others in it, if this program has never run there
}

// inspect examines a data directory without creating anything, and refuses one that is not of
// this program, or not safe from other users. shared says that these are trusted with it.
func inspect(path string, shared, startOver bool) (*dataDir, error) {
	p := &dataDir{path: path, shared: shared}
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		return nil, errors.New("this is not a directory; name another one with -d")
	}
	if !shared {
		if err := vfs.CheckDir(path); err != nil {
			return nil, withoutPath(err)
		}
	}
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		p.created = append(p.created, dir)
	}
	if len(p.created) > 0 {
		return p, nil
	}
	found, err := detectOtherEtcd(os.DirFS(path))
	if err != nil {
		return nil, withoutPath(err)
	}
	if found != "" {
		return nil, fmt.Errorf("this is %s, which this version does not read. Nothing was changed, and -f deletes none of it. "+
			"Choose another directory with -d; to take the keys over, start the etcd that wrote them and copy them from its API to this one", found)
	}
	if err := p.open(); err != nil {
		return nil, err
	}
	if err := errors.Join(wal.Check(p.fsys), witness.Check(p.fsys)); err != nil {
		return nil, err
	}
	s, err := loadStored(p.fsys)
	if err != nil {
		return nil, err
	}
	names, err := p.fsys.List()
	if err != nil {
		return nil, err
	}
	switch {
	case slices.ContainsFunc(names, wal.IsLog):
	case !startOver && hasRun(names, s):
		return nil, errors.New("this machine has run here before (" + storedFile + " or another file of it is there), and its log is gone. Nothing was changed. " +
			"Put back what was moved or deleted. If it is lost for good and the cluster has other members, remove this machine through one " +
			"of them (GET /v2/members, DELETE /v2/members/ID) and start it once with -f and -C; if it was alone, -f starts an empty cluster")
	default:
		p.foreign = slices.DeleteFunc(names, isOwn)
	}
	return p, nil
}

// withoutPath returns an error without the path, which the caller adds itself.
func withoutPath(err error) error {
	if of, ok := errors.AsType[*fs.PathError](err); ok {
		return of.Err
	}
	return err
}

// hasRun reports whether these files are of a machine that was a member of a cluster.
func hasRun(names []string, s stored) bool {
	return slices.Contains(names, witness.FileName) || slices.ContainsFunc(names, wal.IsDamaged) ||
		slices.Contains(names, storedFile) && s.Joining == 0 && s.Founders == ""
}

// isOwn reports whether a name is one that this program uses, or that every filesystem has.
func isOwn(name string) bool {
	return wal.IsOwn(name) || witness.IsOwn(name) || isLeftover(name) ||
		slices.Contains(ownFiles, name) || name == "lost+found"
}

// detectOtherEtcd names the other version of etcd to which a directory belongs; "" if to none.
func detectOtherEtcd(dir fs.FS) (found string, err error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return "", err
	}
	has := make(map[string]bool)
	for _, e := range entries {
		if wal.IsLog(e.Name()) {
			return "", nil
		}
		has[e.Name()] = true
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
	}
	return "", nil
}

// open opens the directory, creating it if it is missing.
func (p *dataDir) open() (err error) {
	if p.shared {
		p.fsys, err = vfs.SharedDir(p.path)
	} else {
		p.fsys, err = vfs.Dir(p.path)
	}
	return err
}

// acquire creates the directory if it is missing, and locks it against other processes until
// the result is closed. Nothing else is written before.
func (p *dataDir) acquire() (io.Closer, error) {
	if p.fsys == nil {
		if err := p.open(); err != nil {
			return nil, err
		}
	}
	lock, err := wal.Lock(p.fsys)
	if err != nil {
		return nil, err
	}
	if err := removeLeftovers(p.fsys); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// warn logs what is suspicious about the directory but no reason to refuse it.
func (p *dataDir) warn(log *slog.Logger) {
	if p.shared {
		if err := vfs.CheckDir(p.path); err != nil {
			log.Warn("-trust-data-dir: other users can change what this machine holds and does", "because", err)
		}
	}
	if len(p.foreign) > 0 {
		log.Warn("the data directory is new to this machine, and not empty: is it the right one? What was there is left alone",
			"data", p.path, "files", len(p.foreign), "one", p.foreign[0])
	}
}

// discard removes what a refused start has left in a directory that it created: nobody has
// become a member with it.
func (p *dataDir) discard() {
	if len(p.created) == 0 || p.fsys == nil {
		return
	}
	if names, err := p.fsys.List(); err != nil || slices.ContainsFunc(names, wal.IsLog) {
		return // what belongs to a log stays with it
	}
	for _, name := range append(slices.Clone(ownFiles), wal.LockName) {
		_ = p.fsys.Remove(name) // a directory that is not empty stays
	}
	for _, dir := range p.created {
		if os.Remove(dir) != nil {
			return
		}
	}
}
