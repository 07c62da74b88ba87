package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxXML is the size up to which an XML file is read, as in the original.
const maxXML = 10 << 20

// Watch looks once into every enabled drop folder below Config.DropRoot, notes what came, went or
// stopped growing, and works on what is complete. To be called every few seconds; an entry is
// there after two or three calls. Safe to run in several processes. Without DropRoot it does nothing.
func (p *Platform) Watch(ctx context.Context) error {
	if p.DropRoot == "" {
		return nil
	}
	root, err := os.OpenRoot(p.DropRoot)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only read
	folders, err := p.Records.Kaltura().DropFolders().Find(ctx, Find{Where: all(in("status", int64(folderEnabled)), in("type", int64(1)))})
	if err != nil {
		return err
	}
	for _, f := range folders {
		if err := p.watchFolder(ctx, root, f); err != nil {
			p.failed(ctx, "drop folder", err) // the others have a right to be looked at
		}
	}
	return ctx.Err()
}

func (p *Platform) watchFolder(ctx context.Context, root *os.Root, folder DropFolder) error {
	name := strings.Trim(folder.Path, "/")
	if err := root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }() // only read
	files, err := listing(dir, folder)
	if err != nil {
		return err
	}
	b := &batch{Platform: p, folder: folder, dir: dir}
	if err := b.look(ctx, files); err != nil {
		return err
	}
	if err := b.work(ctx); err != nil {
		return err
	}
	return p.commit(ctx, func(tx Tx) error {
		fresh, err := tx.Kaltura().DropFolders().Get(ctx, folder.Partner, folder.ID)
		if err != nil {
			return err
		}
		now := p.Clock()
		fresh.LastAccessedAt = &now
		return tx.Kaltura().DropFolders().Update(ctx, &fresh)
	})
}

// listing gives the files directly in a folder that are not to be ignored.
func listing(dir *os.Root, folder DropFolder) (map[string]fs.FileInfo, error) {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return nil, err
	}
	ignore := append([]string{"*.cache", "*.aspx"}, words(folder.IgnorePatterns)...)
	out := map[string]fs.FileInfo{}
	for _, e := range entries {
		name := e.Name()
		ignored := slices.ContainsFunc(ignore, func(pattern string) bool {
			ok, err := path.Match(pattern, name)
			return ok && err == nil
		})
		if ignored || !e.Type().IsRegular() || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[name] = info
	}
	return out, nil
}

// batch is the work on one drop folder.
type batch struct {
	*Platform
	folder DropFolder
	dir    *os.Root
}

// look compares what lies in the folder with what is known.
func (b *batch) look(ctx context.Context, files map[string]fs.FileInfo) error {
	rows, err := b.Records.Kaltura().DropFolderFiles().Find(ctx, Find{
		Partner: b.folder.Partner, Where: all(in("folder", b.folder.Number), in("deleted", int64(0))), Order: []Order{{Column: "number"}},
	})
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, row := range rows {
		known[row.FileName] = true
		if err := b.lookAt(ctx, row, files[row.FileName], len(files) == 0); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if known[name] {
			continue
		}
		if err := b.commit(ctx, func(tx Tx) error { return b.arrived(ctx, tx.Kaltura(), files[name]) }); err != nil {
			return err
		}
	}
	return nil
}

// arrived notes a file that is new or has changed.
func (b *batch) arrived(ctx context.Context, t Tables, info fs.FileInfo) error {
	now := b.Clock()
	row, _, err := arrive(ctx, t, b.folder, info.Name(), info.Size(), now)
	if err != nil {
		return err
	}
	row.ModifiedAt, row.UploadBeganAt = info.ModTime().Unix(), &now
	return t.DropFolderFiles().Update(ctx, &row)
}

// lookAt brings one row up to its file; info is nil when there is none.
func (b *batch) lookAt(ctx context.Context, row DropFolderFile, info fs.FileInfo, empty bool) error {
	now := b.Clock()
	return b.commit(ctx, func(tx Tx) error {
		t := tx.Kaltura()
		row, err := t.DropFolderFiles().Get(ctx, row.Partner, row.ID)
		if err != nil || row.Deleted != 0 {
			return err
		}
		switch {
		case info == nil:
			if empty || row.Status == fileParsed || row.Status == fileDetected || row.Status == fileProcessing {
				return nil // an empty listing may be a folder that is not there
			}
			return b.vanished(ctx, t, row)
		case row.Status == fileParsed:
			return b.arrived(ctx, t, info)
		case row.Status == fileUploading && info.Size() != row.FileSize:
			row.FileSize, row.SizeSetAt, row.ModifiedAt = info.Size(), now, info.ModTime().Unix()
		case row.Status == fileUploading && info.Size() == 0:
			row.Status, row.ErrorCode, row.ErrorText = fileErrorHandling, "6", "The file is empty"
		case row.Status == fileUploading:
			if !now.After(row.SizeSetAt.Add(time.Duration(b.folder.CheckInterval) * time.Second)) {
				return nil
			}
			row.UploadEndedAt, row.Status = &now, filePending
			if err := b.pending(ctx, t, b.folder, &row); err != nil {
				return err
			}
		case row.ModifiedAt != 0 && info.ModTime().Unix() > row.ModifiedAt && row.Status != fileProcessing:
			return b.arrived(ctx, t, info)
		case row.Status == fileDeleted, b.tidy(row, now):
			if err := b.dir.Remove(row.FileName); err != nil && !errors.Is(err, fs.ErrNotExist) {
				row.Status, row.ErrorCode, row.ErrorText = fileErrorDeleting, "12", "The file cannot be deleted"
				break
			}
			return purge(ctx, t, &row)
		default:
			return nil
		}
		return t.DropFolderFiles().Update(ctx, &row)
	})
}

// tidy tells whether a file that is done with is to go.
func (b *batch) tidy(row DropFolderFile, now time.Time) bool {
	return row.Status == fileHandled && b.folder.DeletePolicy != deleteByHand && now.After(row.UpdatedAt)
}

// vanished takes away the row of a file that is gone, and those that only its XML had asked for.
func (b *batch) vanished(ctx context.Context, t Tables, row DropFolderFile) error {
	if row.Status == fileWaiting && row.Lead == row.Number {
		waiting, err := led(ctx, t, row)
		if err != nil {
			return err
		}
		for _, f := range waiting {
			if f.Status == fileParsed {
				if err := purge(ctx, t, &f); err != nil {
					return err
				}
			}
		}
	}
	return purge(ctx, t, &row)
}

// led gives the rows that a file leads, without itself.
func led(ctx context.Context, t Tables, lead DropFolderFile) ([]DropFolderFile, error) {
	return t.DropFolderFiles().Find(ctx, Find{
		Partner: lead.Partner,
		Where:   all(in("folder", lead.Folder), in("lead", lead.Number), in("deleted", int64(0)), not(in("number", lead.Number))),
		Order:   []Order{{Column: "number"}},
	})
}

// isXML tells whether a folder's XML handler reads a file, by the original's rule: the patterns
// without stars and blanks are looked for in the name.
func isXML(folder DropFolder, name string) bool {
	if folder.Handler != handlerXML {
		return false
	}
	return slices.ContainsFunc(strings.Split(folder.Patterns, ","), func(pattern string) bool {
		return strings.Contains(strings.ToLower(name), strings.ToLower(strings.Trim(pattern, "* ")))
	})
}

// pending decides what happens to a file that is complete. The caller stores f.
func (p *Platform) pending(ctx context.Context, t Tables, folder DropFolder, f *DropFolderFile) error {
	switch {
	case folder.Handler == handlerContent:
		return p.pendingContent(ctx, t, folder, f)
	case isXML(folder, f.FileName):
		if f.FileSize > maxXML {
			f.Status, f.ErrorCode, f.ErrorText = fileErrorHandling, xmlError+"XML_FILE_SIZE_EXCEED_LIMIT", "The XML file is too large"
			return nil
		}
		f.Lead = f.Number
	}
	// Whether everything that belongs together is there is found out when the folder is worked on.
	f.Status = fileWaiting
	return nil
}

func (p *Platform) pendingContent(ctx context.Context, t Tables, folder DropFolder, f *DropFolderFile) error {
	pattern, err := slugPattern(folder.SlugRegex)
	if err != nil {
		return err
	}
	found := pattern.FindStringSubmatch(f.FileName)
	if found == nil {
		f.Status, f.ErrorCode, f.ErrorText = fileErrorHandling, "5", "The file name does not match the folder's pattern"
		return nil
	}
	f.ParsedSlug = f.FileName
	for i, name := range pattern.SubexpNames() {
		switch name {
		case "referenceId":
			f.ParsedSlug = found[i]
		case "flavorName":
			f.ParsedFlavor = found[i]
		case "userId":
			f.ParsedUser = found[i]
		}
	}
	if f.ParsedFlavor != "" && !strings.EqualFold(f.ParsedFlavor, "source") {
		f.Status, f.ErrorCode, f.ErrorText = fileErrorHandling, "3", "No flavor of this name is taken from files"
		return nil
	}
	job := Job{Kind: jobContent, Folder: folder.Number, Lead: f.Number, FileName: f.FileName}
	if err := insertJob(ctx, t, f.Partner, &job); err != nil {
		return err
	}
	f.Status, f.Job = fileProcessing, job.Number
	return nil
}

func insertJob(ctx context.Context, t Tables, partner int64, job *Job) (err error) {
	if job.Number, err = nextNumber(ctx, t.Jobs(), partner); err != nil {
		return err
	}
	job.Row = Row{Partner: partner, ID: fmt.Sprint(job.Number)}
	return t.Jobs().Insert(ctx, job)
}
