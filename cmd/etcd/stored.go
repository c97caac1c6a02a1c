package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stored is the configuration kept in the data directory, so that a machine that is
// started again with fewer flags is still the same machine. Flags win over it; -i
// ignores it.
type stored struct {
	Name       string `json:"name"`
	ClientAddr string `json:"clientAddr"`
	PeerAddr   string `json:"peerAddr"`
	// Joining is the member ID with which this machine has asked to join.
	Joining uint64 `json:"joining,omitempty,string"`
	// Useless says that this machine was told that it is no member any more, or that its
	// data is not what it had acknowledged.
	Useless bool `json:"useless,omitempty"`
	// MayForce says that this machine, which -force-new-cluster has made a cluster of its
	// own, was started without that flag since.
	MayForce bool `json:"mayForce,omitempty"`
}

const storedFile = "config.json"

// complete fills in what was not given from what is stored.
func (c *config) complete(dir string) error {
	if c.ignoreStored || c.startOver {
		return nil
	}
	s, err := load(dir)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		flag          string
		value, stored *string
	}{{"n", &c.name, &s.Name}, {"c", &c.clientAddr, &s.ClientAddr}, {"s", &c.peerAddr, &s.PeerAddr}} {
		if !c.given[f.flag] && *f.stored != "" {
			*f.value = *f.stored
		}
	}
	err = c.checkAddresses() // not those of the command line alone
	if err == nil {
		err = c.checkName()
	}
	if err != nil {
		return fmt.Errorf("with what is stored in %s: %w; or start with -i to ignore it", filepath.Join(dir, storedFile), err)
	}
	return nil
}

// load reads what is stored, nothing if there is no such file.
func load(dir string) (s stored, err error) {
	path := filepath.Join(dir, storedFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stored{}, nil
	}
	if err != nil {
		return stored{}, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return stored{}, fmt.Errorf("%s cannot be read: %w; start with -i to ignore it: the name and the addresses are then those of the command line", path, err)
	}
	return s, nil
}

// save stores what the machine runs with.
func (s stored) save(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, storedFile)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data)+"\n" {
		return nil
	}
	// A torn file would stop the next start, so it appears whole.
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// noteUseless remembers that the data of this machine is of no use any more.
func noteUseless(dir string) error {
	s, err := load(dir)
	if err != nil {
		return err
	}
	s.Useless = true
	return s.save(dir)
}
