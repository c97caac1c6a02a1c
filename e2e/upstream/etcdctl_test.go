package upstream

import "testing"

var etcdctl = pkg{"etcd-client", "etcdctl"}

// TestEtcdctl has etcdctl print the same with ours as with etcd 3.4, by all its commands for the
// v2 API but backup, which reads the files of etcd.
func TestEtcdctl(t *testing.T) {
	begin(t, etcdServer, etcdctl, curl)
	compare(t, "etcdctl.sh", 1)
}

func TestEtcdctlMembers(t *testing.T) {
	begin(t, etcdServer, etcdctl)
	compare(t, "etcdctl-members.sh", 3)
}

func TestEtcdctlAuth(t *testing.T) {
	begin(t, etcdServer, etcdctl)
	compare(t, "etcdctl-auth.sh", 1)
}
