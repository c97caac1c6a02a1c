// Package ops is the API for operators: the version of a machine, its health and its metrics, the
// machines of the cluster and which of them leads, and statistics. Operators can also remove a
// member, and at the metrics listener change the log level and take profiles.
//
// It owns the format of these answers, which is that of the versions of etcd that had them.
//
// It promises that the version is answered at once, and health and probes within about a second,
// whatever the state of the cluster; and that a scrape waits for no actor.
//
// It must never answer anything about keys.
package ops
