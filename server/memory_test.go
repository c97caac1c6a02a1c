package server

import (
	"math"
	"testing"
	"testing/fstest"
)

func TestRoomForGarbage(t *testing.T) {
	for _, test := range []struct {
		live    uint64
		percent int
	}{
		{0, 100}, {100 << 20, 100}, {128 << 20, 100}, {160 << 20, 80}, {256 << 20, 50}, {8 << 30, 50},
	} {
		if got := percentOf(test.live); got != test.percent {
			t.Errorf("%d MiB may grow by %d %%, want %d", test.live>>20, got, test.percent)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	for _, test := range []struct {
		cgroup      int64
		quota, live uint64
		want        int64
	}{
		{0, 0, 0, math.MaxInt64}, {1 << 30, 0, 0, 1 << 30}, {0, 64 << 20, 0, 292 << 20}, {1 << 30, 64 << 20, 0, 292 << 20},
		{1 << 30, 2 << 30, 0, 1 << 30}, {0, 1 << 50, 0, 3<<50 + 100<<20}, {0, math.MaxUint64, 1 << 30, math.MaxInt64},
		{0, 64 << 20, 100 << 20, 292 << 20}, {0, 64 << 20, 400 << 20, 600 << 20}, {500 << 20, 64 << 20, 400 << 20, 500 << 20}, {0, 0, 400 << 20, math.MaxInt64},
	} {
		if got := limitOf(test.cgroup, test.quota, test.live); got != test.want {
			t.Errorf("with %d of the control group, a quota of %d and %d alive the limit is %d, want %d", test.cgroup, test.quota, test.live, got, test.want)
		}
	}
}

// Garbage is collected some time after a load has ended, and as long as there is one nobody interferes.
func TestLull(t *testing.T) {
	var l lull
	for i, step := range []struct {
		cycles, allocated uint64
		want              bool
	}{
		{5, 1 << 30, false}, {5, 2 << 30, false}, {6, 3 << 30, false}, {6, 3<<30 + 20<<20, false}, {6, 3<<30 + 20<<20, false}, {6, 3<<30 + 21<<20, true},
		{7, 3<<30 + 21<<20, false}, {7, 3<<30 + 22<<20, false}, {7, 3<<30 + 23<<20, false}, {7, 3<<30 + 24<<20, false}, // hardly any garbage
		{7, 3<<30 + 40<<20, false}, {7, 3<<30 + 60<<20, false}, {7, 3<<30 + 80<<20, false}, // a load that the collector need not see to yet
		{7, 3<<30 + 80<<20, false}, {7, 3<<30 + 80<<20, true},
	} {
		if got := l.isOver(step.cycles, step.allocated); got != step.want {
			t.Errorf("step %d: collect %t, want %t", i, got, step.want)
		}
	}
}

func TestCgroupLimit(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		bytes int64
		file  string
	}{
		"another system": {},
		"no limit": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.high": "max\n",
		}, 0, ""},
		"of the group": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/etcd.service\n", "sys/fs/cgroup/system.slice/etcd.service/memory.max": "1073741824\n",
			"sys/fs/cgroup/system.slice/memory.max": "2147483648\n",
		}, 1 << 30, "/sys/fs/cgroup/system.slice/etcd.service/memory.max"},
		"at which it is slowed down": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1073741824\n", "sys/fs/cgroup/a/memory.high": "536870912\n",
		}, 512 << 20, "/sys/fs/cgroup/a/memory.high"},
		"of a group above": {map[string]string{
			"proc/self/cgroup": "0::/pods/etcd/1\n", "sys/fs/cgroup/pods/etcd/1/memory.max": "max\n", "sys/fs/cgroup/pods/memory.max": "1073741824\n",
		}, 1 << 30, "/sys/fs/cgroup/pods/memory.max"},
		"in a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n",
		}, 1 << 30, "/sys/fs/cgroup/memory.max"},
		"above what a container sees": {map[string]string{
			"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/memory.max": "1073741824\n",
		}, 1 << 30, "/sys/fs/cgroup/memory.max"},
		"of version 1": {map[string]string{
			"proc/self/cgroup": "9:name=systemd:/x\n4:memory:/docker/1\n0::/\n",
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes":  "1073741824\n",
			"sys/fs/cgroup/memory/docker/memory.limit_in_bytes":    "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":           "9223372036854771712\n",
			"sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes":  "5\n",
			"sys/fs/cgroup/systemd/memory/x/memory.limit_in_bytes": "5\n",
		}, 1 << 30, "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes"},
		"of version 1 in a container": {map[string]string{
			"proc/self/cgroup": "4:memory:/docker/1\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
		}, 1 << 30, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		"no number": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "much\n"}, 0, ""},
	} {
		files := fstest.MapFS{}
		for path, text := range test.files {
			files[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if bytes, file := cgroupLimit(files); bytes != test.bytes || file != test.file {
			t.Errorf("%s: %d of %q, want %d of %q", name, bytes, file, test.bytes, test.file)
		}
	}
}
