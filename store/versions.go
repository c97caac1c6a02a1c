package store

import (
	"errors"
	"fmt"

	"etcd/store/mvcc"
	"etcd/store/storepb"
)

// writeKeyspace writes the sections of the keyspace.
func (m *messageWriter) writeKeyspace(keys *mvcc.View) {
	m.section(keyspaceSection, 1)
	m.write(&storepb.Keyspace{Revision: keys.Revision(), Compacted: keys.Compacted()})
	m.endSection()
	count := 0
	for range keys.Versions() {
		count++
	}
	m.section(versionsSection, count)
	var last string
	var message storepb.Version
	for v := range keys.Versions() {
		shared := sharedBytes(last, v.Key())
		message.Key, message.SharedPrefix = v.KeyBytes()[shared:], uint64(shared)
		message.Value, message.Mod, message.Sub = v.Value(), v.Mod, v.Sub()
		message.Create, message.Count, message.Lease = v.Create, v.Count, v.Lease
		m.write(&message)
		if m.err != nil {
			break
		}
		last = v.Key()
	}
	m.endSection()
}

// sharedBytes returns how many bytes two keys share at their beginning.
func sharedBytes(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// keyspaceReader reads the sections of the keyspace.
type keyspaceReader struct {
	loader *mvcc.Loader
	whole  bool
	key    []byte // of the version before
}

func (r *keyspaceReader) begin(in *messageReader, count uint64) error {
	m := new(storepb.Keyspace)
	err := in.readSingle(m, count)
	if err == nil {
		err = checkUnknown(m)
	}
	if err == nil {
		r.loader, err = mvcc.NewLoader(m.GetRevision(), m.GetCompacted())
	}
	return err
}

func (r *keyspaceReader) read(in *messageReader, count uint64) error {
	if r.loader == nil {
		return errors.New("without the keyspace")
	}
	r.whole = true
	return each(count, func() error {
		m := new(storepb.Version)
		if err := in.read(m); err != nil {
			return err
		}
		if m.GetSharedPrefix() > uint64(len(r.key)) {
			return fmt.Errorf("%d bytes shared with a key of %d", m.GetSharedPrefix(), len(r.key))
		}
		r.key = append(r.key[:m.GetSharedPrefix()], m.GetKey()...)
		return r.loader.Add(&mvcc.Entry{
			Key: r.key, Value: m.GetValue(), Mod: m.GetMod(), Sub: m.GetSub(),
			Create: m.GetCreate(), Count: m.GetCount(), Lease: m.GetLease(),
		})
	})
}

// into gives a store what was read, if there was anything.
func (r *keyspaceReader) into(s *Store) error {
	switch {
	case r.loader == nil:
		return nil
	case !r.whole:
		return fmt.Errorf("section %q is missing", versionsSection)
	}
	s.keys = r.loader.Keyspace()
	s.tree.Reserve(s.keys.Size())
	return nil
}
