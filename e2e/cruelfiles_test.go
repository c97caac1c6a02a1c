package e2e

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// fewFiles is a limit of open files at which a machine soon runs out of
// descriptors. It keeps 256 for itself.
const fewFiles = 300

// exhaustDescriptors opens more connections to a machine than it may have open
// files, at its client port and its peer port. It must refuse the surplus, serve
// the connections it has, go on with its log, and serve all afterwards.
func (o *ordeal) exhaustDescriptors() {
	s := o.any()
	s.under = []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, fewFiles)}
	s.stop()
	o.c.start(s)
	if log := s.proc.stderr(); !strings.Contains(log, "the limit of open files is low: 300 leave room for 44 client connections") {
		o.t.Errorf("%s does not say at its start that it may open few files:\n%s", s.name, log)
	}
	for _, role := range o.roles() {
		o.makeRole(s, role)
		before := newestSnapshot(o.t, s.data)
		own := s.dial() // before all others
		if answer, err := own.roundTrip(get("/version")); err != nil || answer.status != 200 {
			o.t.Fatalf("GET /version: %d %s %v", answer.status, answer.body, err)
		}
		var crowd []net.Conn
		for _, address := range []string{s.client, s.peer} {
			for range 2 * fewFiles {
				c, err := net.DialTimeout("tcp", address, waitLimit)
				if err != nil {
					continue // the kernel's backlog is full
				}
				crowd = append(crowd, c)
			}
		}
		refused := map[net.Conn]bool{}
		waitUntil(o.t, s.name+" refuses most of the crowd", func() bool {
			for _, c := range crowd {
				if !refused[c] && isRefused(c) {
					refused[c] = true
				}
			}
			return len(refused) > 3*fewFiles
		})
		// Meanwhile, the log goes on and snapshots are written.
		waitUntil(o.t, s.name+" writes a snapshot", func() bool { return newestSnapshot(o.t, s.data) > before })
		waitUntil(o.t, s.name+" serves who was there before", func() bool {
			answer, err := own.roundTrip(post("/v1/keys/crowded", "value", strconv.Itoa(len(crowd))))
			if err != nil {
				o.t.Fatalf("%s does not serve who was there before: %v", s.name, err)
			}
			return answer.status == 200
		})
		o.progress()
		for _, c := range crowd {
			c.Close()
		}
		own.Close()
		o.mustRun()
		o.mustAccept(o.c.members...)
	}
	s.under = nil
	s.stop()
	o.c.start(s)
}

// isRefused reports whether a connection on which nothing was sent was refused
// because there are too many.
func isRefused(c net.Conn) bool {
	b := make([]byte, 1024)
	c.SetReadDeadline(time.Now().Add(time.Millisecond)) // an accepted connection gets nothing to read
	n, _ := c.Read(b)                                   // no bytes: not refused
	return strings.HasPrefix(string(b[:n]), "HTTP/1.1 503 ") && strings.Contains(string(b[:n]), "too many connections")
}
