package credentials

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds each file but that of CRLs, which maxCRLs bounds, in bytes.
const (
	maxFile = 1 << 20
	maxCRLs = 16 << 20
)

// Files names the files of one side of a machine, all in PEM.
type Files struct {
	// Flags is what the flags that name these files begin with, for error messages:
	// "-client" or "-server".
	Flags string
	// Cert holds the certificate of this machine, and any intermediate ones behind it.
	Cert string
	// Key holds its private key, not encrypted.
	Key string
	// CA holds the certificates of those who may sign for the other side. Empty: the
	// other side is not verified.
	CA string
	// CRL holds lists of the certificates that those of CA have revoked, one or several, in PEM
	// or DER. Empty: none is.
	CRL string
}

// Given reports whether any file is named: then TLS is wanted.
func (f Files) Given() bool { return f.Cert != "" || f.Key != "" || f.CA != "" || f.CRL != "" }

// validate checks that no file is missing that another one needs.
func (f Files) validate() error {
	switch {
	case f.Cert == "" && f.Key != "":
		return fmt.Errorf("%sKey without %[1]sCert: give the certificate of this key, too", f.Flags)
	case f.Cert != "" && f.Key == "":
		return fmt.Errorf("%sCert without %[1]sKey: give the private key of this certificate, too", f.Flags)
	case f.CRL != "" && f.CA == "":
		return fmt.Errorf("%sCRLFile without %[1]sCAFile: only certificates that are verified can be revoked", f.Flags)
	case f.Cert == "":
		return fmt.Errorf("%sCAFile without %[1]sCert and %[1]sKey: peers and clients are verified only over TLS", f.Flags)
	}
	return nil
}

// file is a role and the path that plays it.
type file struct {
	flag, path string
}

func (f file) String() string { return f.flag + " " + f.path }

func (f Files) cert() file { return file{f.Flags + "Cert", f.Cert} }
func (f Files) key() file  { return file{f.Flags + "Key", f.Key} }
func (f Files) ca() file   { return file{f.Flags + "CAFile", f.CA} }
func (f Files) crl() file  { return file{f.Flags + "CRLFile", f.CRL} }

// list returns the files that were given.
func (f Files) list() []file {
	named := []file{f.cert(), f.key()}
	for _, file := range []file{f.ca(), f.crl()} {
		if file.path != "" {
			named = append(named, file)
		}
	}
	return named
}

// fileStats is the stat of each file; nil for one that does not exist.
type fileStats []fs.FileInfo

// stat follows symbolic links, so that a directory swapped underneath shows.
func (f Files) stat() fileStats {
	named := f.list()
	s := make(fileStats, len(named))
	for i, file := range named {
		if info, err := os.Stat(file.path); err == nil {
			s[i] = info
		}
	}
	return s
}

func (s fileStats) equal(other fileStats) bool {
	for i := range s {
		a, b := s[i], other[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		if !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) || a.Mode() != b.Mode() {
			return false
		}
	}
	return true
}

// content is what the files hold.
type content struct {
	cert, key, ca, crl []byte
}

func (c content) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, data := range [][]byte{c.cert, c.key, c.ca, c.crl} {
		fmt.Fprintf(h, "%d:", len(data)) // a hash takes everything
		h.Write(data)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func (f Files) read() (c content, err error) {
	if c.cert, err = f.cert().read(maxFile); err != nil {
		return content{}, err
	}
	if c.key, err = f.key().read(maxFile); err != nil {
		return content{}, err
	}
	if f.CA != "" {
		if c.ca, err = f.ca().read(maxFile); err != nil {
			return content{}, err
		}
	}
	if f.CRL != "" {
		c.crl, err = f.crl().read(maxCRLs)
	}
	return c, err
}

// read returns what a file holds, of limit bytes at most.
func (f file) read(limit int) ([]byte, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.flag, err)
	}
	if !info.Mode().IsRegular() {
		// Reading a pipe could block all handshakes.
		return nil, fmt.Errorf("%s: it is not a file; give the path of a file in PEM", f)
	}
	r, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.flag, err)
	}
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", f.flag, err)
	}
	switch {
	case len(data) > limit:
		return nil, fmt.Errorf("%s: it is longer than %d bytes", f, limit)
	case len(data) == 0:
		return nil, fmt.Errorf("%s: it is empty", f)
	}
	return data, nil
}
