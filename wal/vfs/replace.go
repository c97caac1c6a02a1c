package vfs

import "errors"

// Replace writes a file atomically. fill writes its content to a new file named temp, which
// must be free; once that is synced it becomes name, in place of a file that had this name.
// A crash leaves the old file or the new one. After an error before the rename, the
// temporary file was removed.
func Replace(fsys FS, temp, name string, fill func(File) error) error {
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		_ = fsys.Remove(temp) // err says more
		return err
	}
	return fsys.SyncDir()
}
