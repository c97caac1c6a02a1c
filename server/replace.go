package server

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"etcd/wal/vfs"
)

// maxOwnFile bounds the files that replaceFile writes, in bytes.
const maxOwnFile = 1 << 20

// ownFiles are the names that replaceFile writes.
var ownFiles = []string{storedFile, clientPair.cert, clientPair.key, peerPair.cert, peerPair.key}

// tempSuffix ends the names under which files are written. The sixteen hexadecimal digits
// before it are random, so that nobody else can have made a file of that name before.
const tempSuffix = ".tmp"

// readFile returns the content of a file that replaceFile wrote, nil if there is no such
// file, and whether nobody else could read it.
func readFile(fsys vfs.FS, name string) (data []byte, private bool, err error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, false, err
	}
	if size > maxOwnFile {
		return nil, false, fmt.Errorf("the file %s is longer than %d bytes and not of this program: move it away", name, maxOwnFile)
	}
	data = make([]byte, size)
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return nil, false, fmt.Errorf("%s: %w", name, err)
	}
	private, err = f.Private()
	return data, private, err
}

// replaceFile writes a file atomically, replacing one of the same name.
func replaceFile(fsys vfs.FS, name string, data []byte) error {
	temp := fmt.Sprintf("%s.%016x%s", name, randomID(), tempSuffix)
	return vfs.Replace(fsys, temp, name, func(f vfs.File) error {
		_, err := f.WriteAt(data, 0)
		return err
	})
}

// removeLeftovers removes what a crash in the middle of replaceFile has left.
func removeLeftovers(fsys vfs.FS) error {
	names, err := fsys.List()
	if err != nil {
		return err
	}
	for _, name := range slices.DeleteFunc(names, func(name string) bool { return !isLeftover(name) }) {
		f, err := fsys.Open(name)
		if err != nil {
			continue // not made by this program
		}
		if err := errors.Join(f.Close(), fsys.Remove(name)); err != nil {
			return err
		}
	}
	return nil
}

func isLeftover(name string) bool {
	stem, ok := strings.CutSuffix(name, tempSuffix)
	at := strings.LastIndexByte(stem, '.')
	if !ok || at < 0 || !slices.Contains(ownFiles, stem[:at]) {
		return false
	}
	digits := stem[at+1:]
	n, err := strconv.ParseUint(digits, 16, 64)
	return err == nil && fmt.Sprintf("%016x", n) == digits
}
