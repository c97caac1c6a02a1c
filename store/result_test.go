package store_test

import (
	"testing"

	"etcd/store"
)

func TestNames(t *testing.T) {
	for action, want := range map[store.Action]string{
		store.ActionSet: "set", store.ActionCreate: "create", store.ActionUpdate: "update",
		store.ActionCompareAndSwap: "compareAndSwap", store.ActionDelete: "delete",
		store.ActionCompareAndDelete: "compareAndDelete", store.ActionExpire: "expire",
		0: "action(0)", 8: "action(8)",
	} {
		if got := action.String(); got != want {
			t.Errorf("action %d is %q, want %q", uint8(action), got, want)
		}
	}
	for code, want := range map[store.Code]string{
		store.KeyNotFound: "key not found", store.CompareFailed: "compare failed", store.NotFile: "not a file",
		store.NotDir: "not a directory", store.NodeExists: "key already exists",
		store.RootReadOnly: "root is read only", store.DirNotEmpty: "directory not empty", 7: "code 7",
	} {
		if got := code.String(); got != want {
			t.Errorf("code %d is %q, want %q", int(code), got, want)
		}
	}
	var err error = &store.Failure{Code: store.NotDir, Path: "/a"}
	if got := err.Error(); got != "store: /a: not a directory" {
		t.Errorf("the error is %q", got)
	}
}
