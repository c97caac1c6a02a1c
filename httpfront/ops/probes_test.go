package ops

import (
	"testing"

	"etcd/httpfront/fronttest"
)

func TestProbes(t *testing.T) {
	s := serve(t)
	c := s.Dial()
	for _, test := range []struct{ target, want string }{
		{"/livez", "ok"},
		{"/readyz", "ok"},
		{"/livez?verbose", "[+]raft ok\n[+]disk ok\n"},
		{"/readyz?verbose", "[+]data ok\n[+]leader ok\n[+]read ok\n[+]disk ok\n[+]log ok\n"},
	} {
		fronttest.CheckText(t, c.Get(test.target), 200, test.want)
	}
	// A store that is stuck answers no reads, but a restart would not help.
	release := fronttest.Block(t, s.Machine)
	const stuck = "[-]read failed: a linearizable read was not served within a second: the leader does not reach a majority, or is overloaded\n"
	fronttest.CheckText(t, c.Get("/readyz"), 503, stuck)
	fronttest.CheckText(t, c.Get("/readyz?verbose"), 503, "[+]data ok\n[+]leader ok\n"+stuck+"[+]disk ok\n[+]log ok\n")
	fronttest.CheckText(t, c.Get("/livez"), 200, "ok")
	release()
	fronttest.CheckText(t, c.Get("/readyz"), 200, "ok")
	fronttest.Check(t, c.Get("/readyz?verbose=%"), 400, `{"errorCode":210,"message":"Invalid POST form","cause":"\"verbose\" has the invalid escape \"%\"; a % is sent as %25 (curl: --data-urlencode, with -G for the query)"}`)
}

// A machine that is still starting lives, and is not ready.
func TestProbesBeforeTheMachine(t *testing.T) {
	s := fronttest.ServeWithout(t, fronttest.Loopback(t), fronttest.Config(), Routes(testConfig(fronttest.NewClock())))
	c := s.Dial()
	const starting = " failed: this machine is still starting: it reads its data, or waits for the cluster that it is to join; its log says which\n"
	fronttest.CheckText(t, c.Get("/livez?verbose"), 200, "[+]raft ok\n[+]disk ok\n")
	fronttest.CheckText(t, c.Get("/readyz"), 503, "[-]data"+starting+"[-]leader"+starting+"[-]read"+starting)
}
