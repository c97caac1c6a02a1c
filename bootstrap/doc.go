// Package bootstrap is the list of the machines that found a cluster together.
//
// It owns how such a list is written (NAME=URL, comma separated, as etcd has it in
// --initial-cluster), and the IDs that follow from it.
//
// It promises that the IDs are a pure function of the peer URLs in the list and the token, the one
// that etcd uses: machines that were given the same list and token agree on the ID of their
// cluster and of each of them, in whatever order the list names them.
//
// It must never know which of the machines this one is, or reach any of them.
package bootstrap
