package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"

	"etcd/server"
)

// printVersion prints what etcd 3 prints, with our own version in its second line. Scripts and test
// frameworks read the first one and expect what that version can do.
func printVersion(out io.Writer) {
	fmt.Fprintf(out, "etcd Version: %s\nServer Version: %s\nGit SHA: %s\nGo Version: %s\nGo OS/Arch: %s/%s\n",
		server.APILevel, server.Version, cmp.Or(server.Revision(), "unknown"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
