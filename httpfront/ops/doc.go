// Package ops is the API for operators: the version of a machine, its health, the machines of
// the cluster and which of them leads, and statistics. Operators can also remove a member.
//
// It owns the format of these answers, which is that of the versions of etcd that had them.
//
// It promises that the version is answered at once, and health within a second, whatever
// the state of the cluster.
//
// It must never answer anything about keys.
package ops
