package vfs

import (
	"errors"
	"fmt"
	"io/fs"
)

// UnsafeError says that a user who is neither that of this process nor root decides what is
// in a file or directory. Its message ends with what to do.
type UnsafeError struct {
	Path, Reason, Remedy string
}

func (e *UnsafeError) Error() string { return e.Path + " " + e.Reason + ": " + e.Remedy }

// notRegular refuses what is at path; kind names it, such as "a symbolic link".
func notRegular(path, kind string) error {
	return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf(
		"%w, but %s, which is not followed or opened: it was not made by this program; find out by whom, and move it away", ErrNotRegular, kind)}
}

// linkedElsewhere refuses a file that has more than one name.
func linkedElsewhere(path string) error {
	return &fs.PathError{Op: "open", Path: path, Err: errors.New(
		"it has another name as well (a hard link), and what is written here would change it there: " +
			"if the content is this machine's, give a copy of it this name; otherwise move it away")}
}
