package v3

import (
	_ "go.etcd.io/etcd/tests/v3/common" // so that go.mod has what its tests need
)
