// Package storepb holds the protobuf messages of the store: the commands that
// travel through the log, and what snapshots are made of.
//
// It owns the bytes of both formats and nothing else. What a command means,
// and which ones are well formed, is decided in package store; encode with
// store.Encode. Everything but this file and owned.go is generated from store.proto, which
// also states the rules for changing it.
//
// To regenerate it, install protoc (3.21 or later) and run
//
//	go generate ./store/storepb
//
// The Go plugin is a tool dependency of this module, so its version is fixed
// in go.mod and it needs no installation.
package storepb

//go:generate sh -c "cd ../.. && protoc --plugin=protoc-gen-go=$(go tool -n protoc-gen-go) --go_out=. --go_opt=paths=source_relative store/storepb/store.proto"
