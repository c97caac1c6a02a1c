//go:build unix

package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	groupOrOthers = 0o022
	others        = 0o002
)

// user is the user whose files are trusted.
func user() uint32 { return uint32(os.Geteuid()) }

func owner(info fs.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }

// trusted reports whether uid may own what the user of this process relies on: root could
// change it anyway.
func trusted(uid uint32) bool { return uid == user() || uid == 0 }

// CheckDir refuses, with an *UnsafeError, a directory in which another user can write, or that
// anybody could replace by another one. It may be missing; nothing is created.
//
// Parent directories in which a group can write are accepted: with a umask of 0002 most are
// like that, for the group of a single user. So are those of another owner, whom the operator
// has trusted by choosing the path.
func CheckDir(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	there, err := checkWay(abs)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(there)
	if err != nil {
		return err
	}
	if real != there {
		if _, err := checkWay(real); err != nil {
			return err
		}
	}
	if there != abs {
		return nil
	}
	info, err := os.Stat(abs)
	if err != nil {
		return err
	}
	return checkDir(abs, info)
}

// checkDir judges the data directory itself.
func checkDir(path string, info fs.FileInfo) error {
	switch uid := owner(info); {
	case !info.IsDir():
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	case !trusted(uid):
		return &UnsafeError{path,
			fmt.Sprintf("belongs to user %d, who can put files into it, and this process is of user %d", uid, user()),
			fmt.Sprintf("chown %d %s, or run as its owner", user(), path)}
	case info.Mode().Perm()&groupOrOthers != 0:
		return &UnsafeError{path,
			fmt.Sprintf("has the mode %04o, so that others than its owner can put files into it", info.Mode().Perm()),
			"chmod go-w " + path}
	}
	return nil
}

// checkWay checks an absolute path component by component, and returns how far it exists.
func checkWay(path string) (there string, err error) {
	there = string(filepath.Separator)
	above, err := os.Stat(there)
	if err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(strings.Trim(path, there), there) {
		next := filepath.Join(there, name)
		info, err := os.Lstat(next)
		missing := errors.Is(err, fs.ErrNotExist)
		if err != nil && !missing {
			return "", err
		}
		if above.Mode().Perm()&others != 0 {
			switch {
			case above.Mode()&fs.ModeSticky == 0:
				return "", &UnsafeError{there,
					fmt.Sprintf("has the mode %04o, so that anybody can put another directory in the place of %s", above.Mode().Perm(), next),
					"chmod o-w " + there}
			case !missing && !trusted(owner(info)) && owner(info) != owner(above):
				return "", &UnsafeError{next,
					fmt.Sprintf("belongs to user %d, and in %s anybody can make such a directory or link", owner(info), there),
					"choose another place"}
			}
		}
		if missing {
			return there, nil
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			if info, err = os.Stat(next); err != nil {
				return "", err
			}
		}
		there, above = next, info
	}
	return there, nil
}

// check refuses anything but a regular file with one name, and, in a directory that is not
// shared, a file that another user owns or can write to. Whether others may read it is up to
// its owner.
func (d *dir) check(name string, st *unix.Stat_t) error {
	path, mode := d.join(name), uint32(st.Mode)
	if mode&unix.S_IFMT != unix.S_IFREG {
		return notRegular(path, kind(mode))
	}
	switch {
	case st.Nlink > 1: // in a shared directory, too: the other name may be elsewhere
		return linkedElsewhere(path)
	case d.shared:
		return nil
	case st.Uid != user():
		return &UnsafeError{path, fmt.Sprintf("belongs to user %d, and this process is of user %d", st.Uid, user()),
			fmt.Sprintf("if its content is this machine's, chown %d %s; otherwise move it away", user(), path)}
	case mode&groupOrOthers != 0:
		return &UnsafeError{path, fmt.Sprintf("has the mode %04o, so that others than its owner can write to it", mode&0o7777),
			"if its content is this machine's, chmod 600 " + path}
	}
	return nil
}

// kind names the type of a file that is not regular.
func kind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFSOCK:
		return "a socket"
	}
	return "a device"
}
