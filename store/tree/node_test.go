package tree_test

import (
	"testing"

	"etcd/store/tree"
)

func TestActionAndCodeNames(t *testing.T) {
	for action, want := range map[tree.Action]string{
		tree.ActionSet: "set", tree.ActionCreate: "create", tree.ActionUpdate: "update",
		tree.ActionCompareAndSwap: "compareAndSwap", tree.ActionDelete: "delete",
		tree.ActionCompareAndDelete: "compareAndDelete", tree.ActionExpire: "expire",
		0: "action(0)", 8: "action(8)",
	} {
		if got := action.String(); got != want {
			t.Errorf("action %d is %q, want %q", uint8(action), got, want)
		}
	}
	for code, want := range map[tree.Code]string{
		tree.KeyNotFound: "key not found", tree.CompareFailed: "compare failed", tree.NotFile: "not a file",
		tree.NotDir: "not a directory", tree.NodeExists: "key already exists",
		tree.RootReadOnly: "root is read only", tree.DirNotEmpty: "directory not empty", 7: "code 7",
	} {
		if got := code.String(); got != want {
			t.Errorf("code %d is %q, want %q", int(code), got, want)
		}
	}
	var err error = &tree.Failure{Code: tree.NotDir, Path: "/a"}
	if got := err.Error(); got != "store: /a: not a directory" {
		t.Errorf("the error is %q", got)
	}
}
