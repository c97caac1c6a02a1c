package server

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// unlimited is what version 1 says if there is no limit: it is rounded down to a page, whose size differs.
const unlimited = 1 << 60

// cgroupLimit returns the lowest limit of memory of the control groups that the process is in, in bytes, and
// the file that has it; 0: there is none. In a container the path of a group may be that outside, and what
// is mounted is the group itself.
func cgroupLimit(root fs.FS) (bytes int64, file string) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, "" // another system
	}
	for line := range strings.Lines(string(groups)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		mount, names := "", []string(nil)
		switch {
		case id == "0" && controllers == "":
			mount, names = "sys/fs/cgroup", []string{"memory.max", "memory.high"}
		case controllers == "memory":
			mount, names = "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}
		default:
			continue
		}
		for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
			for _, name := range names {
				at := path.Join(mount, dir, name)
				if n := readLimit(root, at); n > 0 && (bytes == 0 || n < bytes) {
					bytes, file = n, "/"+at
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return bytes, file
}

// readLimit returns the limit in a file, 0 if there is none.
func readLimit(root fs.FS, file string) int64 {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= unlimited { // "max"
		return 0
	}
	return n
}
