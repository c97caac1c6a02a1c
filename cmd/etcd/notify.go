package main

import (
	"log/slog"
	"net"
)

// notifyReady tells the service manager that this machine serves, at the socket that it has named: a
// unit of Type=notify, such as Debian's etcd.service, counts as started only then.
func notifyReady(socket string, log *slog.Logger) {
	if socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte("READY=1"))
		_ = conn.Close() // nothing is buffered
	}
	if err != nil {
		log.Warn("the service manager (NOTIFY_SOCKET) could not be told that this machine serves", "error", err)
	}
}
