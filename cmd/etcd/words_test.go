package main

import (
	"errors"
	"strings"
	"testing"
)

// TestWordsGiven checks that errors of the machine call a flag by the name that the operator has used.
func TestWordsGiven(t *testing.T) {
	tests := []struct{ args, env, err, want string }{
		{"-n a", "", "start it with -n, -s and -c as they were", "start it with -n, -s and -c as they were"},
		{"--name a", "", "start it with -n, -s and -c as they were", "start it with --name, -s and -c as they were"},
		{"--name a", "", "cannot listen (-cl): -clientKey without -clientCert", "cannot listen (--listen-client-urls): --key-file without --cert-file"},
		{"-clientKey a --name b", "", "-clientKey without -clientCert", "-clientKey without --cert-file"},
		{"--advertise-client-urls http://a:1", "", "-c http://a:1 is wrong", "--advertise-client-urls http://a:1 is wrong"},
		{"--advertise-client-urls http://a:1 -c 1", "", "-c 1 is wrong", "-c 1 is wrong"},
		{"", "ETCD_LISTEN_CLIENT_URLS=1", "-cl is wrong", "--listen-client-urls is wrong"},
		{"", "ETCD_CL=1", "-cl is wrong", "-cl is wrong"},
		{"--name a", "", "curl -X DELETE http://a-c-d/-s", "curl -X DELETE http://a-c-d/-s"},
		{"-cors http://a", "", "-cors a is wrong", "--cors a is wrong"},
	}
	for _, test := range tests {
		c := newConfig()
		if err := errors.Join(c.readCommandLine(strings.Fields(test.args)), c.readEnvironment(strings.Fields(test.env))); err != nil {
			t.Fatal(err)
		}
		if got := c.inWordsGiven(errUsage{errors.New(test.err)}); got.Error() != test.want || !errors.As(got, new(errUsage)) {
			t.Errorf("etcd %s, %s: %q becomes %q, want %q", test.args, test.env, test.err, got, test.want)
		}
	}
}
