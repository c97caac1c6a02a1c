package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"

	"etcd/actors"
	"etcd/wal"
	"etcd/wal/vfs"
	"etcd/witness"
)

// wipe deletes the data in a directory for -f. It refuses if that would cost a cluster of
// several members one of its copies; a directory that cannot be read, or of a machine that
// was removed or refused, is of no use to anyone. The lock is held.
func wipe(dir string, fsys vfs.FS, log *slog.Logger) error {
	disk, err := actors.ReadDisk(fsys, nil, wal.Options{})
	switch {
	case err != nil:
		log.Warn("what -f deletes cannot be read", "error", err)
	default:
		members, self := disk.Members(), disk.Identity.MemberID
		if err := disk.Close(); err != nil {
			return err
		}
		s, err := loadStored(fsys)
		useless := err == nil && s.Useless || !slices.Contains(members, self)
		if len(members) > 1 && !useless {
			id, named := actors.MemberID(self), ""
			if s.Name != "" {
				named = " (" + s.Name + ")"
			}
			return fmt.Errorf("-f would delete the data of member %s%s of a cluster of %d, which would not take this machine back under its name; "+
				"nothing was deleted. Without -f it goes on with its data: is -f left in a unit file or a script? To start over all the same, remove it "+
				"through another member (curl -X DELETE http://OTHER:4001/v2/members/%s), delete %s, and start it with -C", id, named, len(members), id, dir)
		}
	}
	files, err := wal.Wipe(fsys)
	if err != nil {
		return err
	}
	if err := witness.Remove(fsys); err != nil {
		return err
	}
	// A machine that starts over is a new one.
	if err := fsys.Remove(storedFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	log.Warn("starting over: -f deletes the data in the data directory, at every start; is it left in a unit file or a script?", "data", dir, "files", files)
	return nil
}
