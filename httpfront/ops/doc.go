// Package ops answers those who run a cluster: which version a machine is, whether it is
// healthy, who the machines are and which of them leads, what it has counted. It also lets
// them remove a member.
//
// It owns how all that is worded, in the words of the versions of etcd that had it.
//
// It promises that version and health are answered at once, whatever the cluster does.
//
// It must never answer anything about keys.
package ops
