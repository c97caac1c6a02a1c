package tree

import "strings"

// Clean reports whether path is clean: absolute, and without empty, "." and ".."
// components. It does not check for valid UTF-8: protobuf does.
func Clean(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for rest := path[1:]; path != "/"; {
		name, more, found := strings.Cut(rest, "/")
		if name == "" || name == "." || name == ".." {
			return false
		}
		if !found {
			break
		}
		rest = more
	}
	return true
}

// Parent returns the path of the directory that path is in. The root is in
// itself.
func Parent(path string) string {
	if slash := strings.LastIndexByte(path, '/'); slash > 0 {
		return path[:slash]
	}
	return "/"
}

// SharedPrefix returns how many bytes at their beginning two paths have in common.
func SharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// child returns the path one component longer than dir on the way to path,
// which is below dir.
func child(dir, path string) string {
	start := len(dir) + 1
	if dir == "/" {
		start = 1
	}
	if slash := strings.IndexByte(path[start:], '/'); slash >= 0 {
		return path[:start+slash]
	}
	return path
}
