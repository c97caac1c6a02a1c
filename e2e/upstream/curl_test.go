package upstream

import "testing"

var curl = pkg{"curl", "curl"}

// TestCurl walks through the v2 API with curl, which sees the same with ours as with etcd 3.4.
func TestCurl(t *testing.T) {
	begin(t, etcdServer, curl)
	compare(t, "curl.sh", 1)
}
