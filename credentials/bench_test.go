package credentials

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"etcd/credentials/certtest"
)

// BenchmarkLook measures what every handshake spends on noticing changed files.
func BenchmarkLook(b *testing.B) {
	ca := certtest.New("ca")
	pair := ca.Issue("machine")
	dir := b.TempDir()
	cfg := Config{
		Files: Files{Flags: "-client", Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")},
		Now:   time.Now,
		Log:   slog.New(slog.DiscardHandler),
	}
	for path, data := range map[string][]byte{cfg.Cert: pair.Cert, cfg.Key: pair.Key, cfg.CA: ca.PEM} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	c, err := Load(cfg)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, _ = c.Server().GetConfigForClient(nil)
	}
}
