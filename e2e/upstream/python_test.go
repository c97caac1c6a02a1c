package upstream

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const distPackages = "/usr/lib/python3/dist-packages/"

var python = []pkg{
	{"python3", "/usr/bin/python3"},
	{"python3-etcd", distPackages + "etcd/tests/integration"},
	{"python3-nose", distPackages + "nose"},
	{"python3-openssl", distPackages + "OpenSSL"},
}

// TestPythonEtcd runs the integration tests of python-etcd, but for those of users and roles:
// all of these fail with etcd 3.4, because they expect the lists of etcd 2.0, which had names only.
func TestPythonEtcd(t *testing.T) {
	begin(t, python...)
	dir := t.TempDir()
	if err := os.Symlink(*program, filepath.Join(dir, "etcd")); err != nil { // the suite looks for it in PATH
		t.Fatal(err)
	}
	openssl, err := filepath.Abs(filepath.Join("testdata", "openssl.cnf"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-W", "ignore", filepath.Join("testdata", "python.py"),
		"--verbose", "etcd.tests.integration.test_simple", "etcd.tests.integration.test_ssl")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "OPENSSL_CONF="+openssl)
	out, err := finish(cmd)
	if err != nil || !strings.Contains(out, "\nRan 21 tests in ") {
		t.Errorf("the tests of python-etcd: %v\n%s", err, out)
	}
}
