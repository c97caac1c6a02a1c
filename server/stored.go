package server

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"etcd/wal/vfs"
)

// stored is the configuration kept in the data directory, so that a machine that is
// started again with fewer flags is still the same machine. Flags win over it; -i
// ignores it.
type stored struct {
	// These three are in the file of every version, which tells it from other programs' files.
	Name       string `json:"name"`
	ClientAddr string `json:"clientAddr"`
	PeerAddr   string `json:"peerAddr"`
	// Joining is the member ID with which this machine has asked to join.
	Joining uint64 `json:"joining,omitempty,string"`
	// Founders and Token are the list and the token with which this machine founds a cluster, as
	// long as its first entries are not durable.
	Founders string `json:"founders,omitempty"`
	Token    string `json:"token,omitempty"`
	// Useless says that this machine learnt that it is no longer a member, or that its data
	// is not what it had acknowledged.
	Useless bool `json:"useless,omitempty"`
	// MayForce says that this machine, which -force-new-cluster has made a cluster of its
	// own, was started without that flag since.
	MayForce bool `json:"mayForce,omitempty"`
}

const storedFile = "config.json"

// withStored fills in from what is stored whatever was not given.
func (c *Config) withStored(p *dataDir) (*Config, error) {
	if c.IgnoreStored || c.StartOver || p.fsys == nil {
		with := c.withDefaults(stored{})
		return with, with.checkInitialPeerURL()
	}
	s, err := loadStored(p.fsys)
	if err != nil {
		return nil, err
	}
	with := c.withDefaults(s)
	if s.PeerAddr == "" {
		if err := with.checkInitialPeerURL(); err != nil {
			return nil, err
		}
	}
	err = with.checkAddresses() // the stored ones as well
	if err == nil {
		err = with.checkName()
	}
	if err != nil {
		return nil, fmt.Errorf("with what is stored in %s: %w; or start with -i to ignore it", filepath.Join(p.path, storedFile), err)
	}
	return with, nil
}

// loadStored reads what is stored, the zero value if there is no such file. It fails if the file
// is not of this program.
func loadStored(fsys vfs.FS) (stored, error) {
	data, _, err := readFile(fsys, storedFile)
	if err != nil || data == nil {
		return stored{}, err
	}
	return parseStored(data)
}

func parseStored(data []byte) (s stored, err error) {
	foreign := func(how string) (stored, error) {
		return stored{}, fmt.Errorf("%s is not what this program keeps under that name: %s. Nothing was changed. If it is of another program, choose another directory "+
			"with -d. If it is of this machine and was damaged, move it away: the name and the addresses are then those of the command line", storedFile, how)
	}
	var has map[string]json.RawMessage
	if err := json.Unmarshal(data, &has); err != nil {
		return foreign("it is not a JSON object")
	}
	for _, name := range []string{"name", "clientAddr", "peerAddr"} {
		if has[name] == nil {
			return foreign(fmt.Sprintf("it has no %q", name))
		}
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return foreign(err.Error())
	}
	return s, nil
}

// save stores the configuration with which the machine runs.
func (s stored) save(fsys vfs.FS) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	old, _, err := readFile(fsys, storedFile)
	if err != nil || string(old) == string(data) {
		return err
	}
	return replaceFile(fsys, storedFile, data)
}

// markUseless stores that the data of this machine is of no use any more.
func markUseless(fsys vfs.FS) error {
	s, err := loadStored(fsys)
	if err != nil {
		return err
	}
	s.Useless = true
	return s.save(fsys)
}
