package main

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNotifyReady checks what a service manager is told, and that one that is gone is no error.
func TestNotifyReady(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Skip("this system has no such sockets:", err)
	}
	defer manager.Close()
	var log bytes.Buffer
	notifyReady(socket, slog.New(slog.NewTextHandler(&log, nil)))
	notifyReady("", slog.New(slog.NewTextHandler(&log, nil)))
	if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if n, err := manager.Read(got); err != nil || string(got[:n]) != "READY=1" || log.Len() > 0 {
		t.Errorf("it is told %q, %v; the log is %q", got[:n], err, log.String())
	}
	notifyReady(filepath.Join(t.TempDir(), "nosuch"), slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "NOTIFY_SOCKET") {
		t.Errorf("the log is %q", log.String())
	}
}
