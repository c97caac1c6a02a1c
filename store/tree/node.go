package tree

import (
	"fmt"

	"etcd/store/logtime"
)

// Node is a file or a directory as it was after some command. It never
// changes and is shared between the tree, snapshots, events and replies:
// nobody may write to it.
type Node struct {
	// Path is the full path.
	Path string
	// Dir says that it is a directory; a directory has no value.
	Dir bool
	// Value is the content of a file, any bytes.
	Value string
	// Created is the index of the command that made the node.
	Created uint64
	// Modified is the index of the command that last wrote the node. A new
	// time to live of a directory does not count as writing it.
	Modified uint64
	// Deadline is when the node expires, 0 if it is permanent.
	Deadline logtime.Time
}

// Action says what an event did.
type Action uint8

// The actions. The numbers are part of the snapshot format.
const (
	ActionSet Action = iota + 1
	ActionCreate
	ActionUpdate
	ActionCompareAndSwap
	ActionDelete
	ActionCompareAndDelete
	ActionExpire
)

var actionNames = [...]string{
	ActionSet:              "set",
	ActionCreate:           "create",
	ActionUpdate:           "update",
	ActionCompareAndSwap:   "compareAndSwap",
	ActionDelete:           "delete",
	ActionCompareAndDelete: "compareAndDelete",
	ActionExpire:           "expire",
}

// String returns the name of the action in the v2 API.
func (a Action) String() string {
	if !a.valid() {
		return fmt.Sprintf("action(%d)", uint8(a))
	}
	return actionNames[a]
}

func (a Action) valid() bool { return a >= ActionSet && a <= ActionExpire }

// Event is one change of the tree. It never changes.
type Event struct {
	// Index is the index of the command.
	Index  uint64
	Action Action
	// Node is the node after the change, with Modified equal to Index. Of a
	// removed node it has the path, the kind and the created index only.
	Node *Node
	// Prev is the node before the change, nil if there was none.
	Prev *Node
}

// Code is the kind of a failure, numbered as in the v2 API.
type Code int

// The reasons to refuse a command or a read.
const (
	// KeyNotFound: there is nothing at the path.
	KeyNotFound Code = 100
	// CompareFailed: the file does not meet the condition.
	CompareFailed Code = 101
	// NotFile: a directory is where a file is needed.
	NotFile Code = 102
	// NotDir: the path leads through a file.
	NotDir Code = 104
	// NodeExists: the node had to be missing but exists.
	NodeExists Code = 105
	// RootReadOnly: the root cannot be changed.
	RootReadOnly Code = 107
	// DirNotEmpty: the directory has children, and the delete is not recursive.
	DirNotEmpty Code = 108
	// Unauthorized: nobody has checked that the client may do this, with the users and roles that
	// there are when the command is applied.
	Unauthorized Code = 110
	// NoSpace: the tree would have more bytes than its quota.
	NoSpace Code = 507
)

// String describes the code in a few words.
func (c Code) String() string {
	switch c {
	case KeyNotFound:
		return "key not found"
	case CompareFailed:
		return "compare failed"
	case NotFile:
		return "not a file"
	case NotDir:
		return "not a directory"
	case NodeExists:
		return "key already exists"
	case RootReadOnly:
		return "root is read only"
	case DirNotEmpty:
		return "directory not empty"
	case Unauthorized:
		return "not authorized"
	case NoSpace:
		return "over the quota"
	}
	return fmt.Sprintf("code %d", int(c))
}

// Failure says why a command or a read was refused. A refused command changes
// nothing.
type Failure struct {
	Code Code
	// Path is where the command failed: the first missing component for
	// KeyNotFound, the file on the way for NotDir, the requested path
	// otherwise.
	Path string
	// Node is the node in the way, nil for KeyNotFound, RootReadOnly, Unauthorized and NoSpace.
	Node *Node
	// Size is how many bytes the tree has, and Quota how many it may have; 0 unless for NoSpace.
	Size, Quota uint64
}

// Error implements error.
func (f *Failure) Error() string {
	return fmt.Sprintf("store: %s: %s", f.Path, f.Code)
}

// Outcome is what a command did to the tree.
type Outcome struct {
	// Action is what the command was to do, even if it was refused; 0 if it was
	// not about a key.
	Action Action
	// Event is the change, nil if there was none.
	Event *Event
	// Published says that watchers see the event and the history has it.
	// It is false for a refresh.
	Published bool
	// Failure says why the command was refused, nil if it was not. A command
	// may have neither Event nor Failure: it had nothing to do.
	Failure *Failure
}
