package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"etcd/wal/vfs"
)

// kind classifies a file by its name.
type kind int

const (
	otherFile kind = iota // not of this program
	strayFile             // has the suffix of a segment or snapshot, but not its name
	segmentFile
	snapshotFile
	newSegmentFile // of a Refound
	newSnapshotFile
	badSnapshotFile
	temporaryFile
)

// kindOf classifies a name. Only names exactly as this program writes them, to the last
// digit, are its own.
func kindOf(name string) kind {
	if _, ok := parseSegmentName(name); ok {
		return segmentFile
	}
	if _, ok := parseSnapshotName(name); ok {
		return snapshotFile
	}
	if stem, ok := strings.CutSuffix(name, tempSuffix); ok {
		received, ok := strings.CutPrefix(stem, receivedPrefix)
		switch of := kindOf(received); {
		case of == snapshotFile, !ok && (of == segmentFile || of == newSegmentFile || of == newSnapshotFile):
			return temporaryFile
		}
		return otherFile
	}
	if stem, ok := strings.CutSuffix(name, newSuffix); ok {
		switch kindOf(stem) {
		case segmentFile:
			return newSegmentFile
		case snapshotFile:
			return newSnapshotFile
		}
		return otherFile
	}
	if stem, ok := strings.CutSuffix(name, badSuffix); ok && kindOf(stem) == snapshotFile {
		return badSnapshotFile
	}
	if strings.HasSuffix(name, segmentSuffix) || strings.HasSuffix(name, snapshotSuffix) {
		return strayFile
	}
	return otherFile
}

// IsOwn reports whether this package uses a name.
func IsOwn(name string) bool {
	kind := kindOf(name)
	return name == LockName || kind != otherFile && kind != strayFile
}

// IsLog reports whether a name is that of a part of a log, so that there is something to open.
func IsLog(name string) bool {
	switch kindOf(name) {
	case segmentFile, snapshotFile, newSegmentFile:
		return true
	}
	return false
}

// IsDamaged reports whether a name is that of a snapshot that Open has set aside as damaged.
func IsDamaged(name string) bool { return kindOf(name) == badSnapshotFile }

// file is a file of this program in a directory.
type file struct {
	name string
	kind kind
}

// Check refuses a directory in which a file has the name of a segment or snapshot and cannot
// be one, or has the suffix of one with another name. It changes nothing.
func Check(fsys vfs.FS) error {
	_, err := survey(fsys)
	return err
}

// survey lists the files of this program, sorted by name. It fails as Check does.
func survey(fsys vfs.FS) (files []file, err error) {
	names, err := fsys.List()
	if err != nil {
		return nil, fmt.Errorf("wal: list directory: %w", err)
	}
	for _, name := range names {
		f := file{name, kindOf(name)}
		if f.kind == otherFile {
			continue
		}
		err := f.check(fsys)
		switch {
		case errors.Is(err, fs.ErrNotExist): // another process is changing the directory
		case f.kind == strayFile && errors.Is(err, vfs.ErrNotRegular): // not a renamed part of a log
		case err != nil:
			return nil, err
		default:
			files = append(files, f)
		}
	}
	return files, nil
}

func (f file) check(fsys vfs.FS) error {
	open, err := fsys.Open(f.name)
	switch {
	case err == nil:
		defer open.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, vfs.ErrNotRegular):
		return fmt.Errorf("wal: %w", err)
	}
	what, magic, otherwise := "segment", segmentMagic, "If it is one and damaged: "+remedy
	if strings.Contains(f.name, snapshotSuffix) {
		what, magic, otherwise = "snapshot", snapshotMagic, "If it is one and damaged, an older one and the log may do instead"
	}
	if f.kind == strayFile { // whatever is in it: it may have been edited as well as renamed
		return fmt.Errorf("wal: %q ends like a %s, and this is not the name of a %[2]s: it may be one that was renamed. Give it back its name, or move it away", f.name, what)
	}
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	head := make([]byte, len(magic))
	n, _ := open.ReadAt(head, 0) // a read error is reported when the file is needed
	if !Resembles(head[:n], magic) {
		return fmt.Errorf("wal: %s has the name of a %s and does not begin like one of this program: move it away. %s", f.name, what, otherwise)
	}
	return nil
}

// Resembles reports whether a file that begins with head may once have begun with magic.
// Damage flips bits, zeroes a block or cuts off the end.
func Resembles(head []byte, magic string) bool {
	head = head[:min(len(head), len(magic))]
	right, wrong := 0, 0
	for i, b := range head {
		switch b {
		case magic[i]:
			right++
		case 0:
		default:
			wrong++
		}
	}
	return wrong == 0 || 2*right >= len(head)
}
