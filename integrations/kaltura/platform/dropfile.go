package platform

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func dropFileActions() []*action {
	const service = "dropfolder_dropfolderfile"
	return []*action{
		{service: service, name: "add", who: adminOnly, operators: true, needs: []string{"dropFolderFile{}"}, run: (*call).fileAdd},
		{service: service, name: "get", who: adminOnly, operators: true, needs: []string{"dropFolderFileId"}, run: (*call).fileGet},
		{service: service, name: "list", who: adminOnly, operators: true, run: (*call).fileList},
		{service: service, name: "update", who: adminOnly, operators: true, needs: []string{"dropFolderFileId", "dropFolderFile{}"}, run: (*call).fileUpdate},
		{service: service, name: "updateStatus", who: adminOnly, operators: true, needs: []string{"dropFolderFileId", "status"}, run: (*call).fileUpdateStatus},
		{service: service, name: "ignore", who: adminOnly, operators: true, needs: []string{"dropFolderFileId"}, run: (*call).fileIgnore},
		{service: service, name: "delete", who: adminOnly, operators: true, needs: []string{"dropFolderFileId"}, run: (*call).fileDelete},
	}
}

// viewFile shows a file. An answer to its first add lacks what the original's database fills in.
func viewFile(f DropFolderFile, fresh bool) *object {
	at := func(t *time.Time) any {
		if t == nil {
			return nil
		}
		return t.Unix()
	}
	var deleted, modified any
	if !fresh {
		deleted = f.Deleted
	}
	if f.ModifiedAt != 0 {
		modified = fmt.Sprint(f.ModifiedAt)
	}
	code := orNil(f.ErrorCode)
	if f.ErrorCode != "" && !strings.Contains(f.ErrorCode, ".") { // only plugins' codes are words
		code = number(f.ErrorCode)
	}
	return newObject("KalturaDropFolderFile").
		set("id", f.Number).set("partnerId", f.Partner).set("dropFolderId", f.Folder).set("fileName", f.FileName).
		set("fileSize", f.FileSize).set("fileSizeLastSetAt", f.SizeSetAt.Unix()).set("status", f.Status).set("type", orZero(f.Type)).
		set("parsedSlug", orNil(f.ParsedSlug)).set("parsedFlavor", orNil(f.ParsedFlavor)).set("parsedUserId", orNil(f.ParsedUser)).
		set("leadDropFolderFileId", orZero(f.Lead)).set("deletedDropFolderFileId", deleted).set("entryId", orNil(f.EntryID)).
		set("errorCode", code).set("errorDescription", orNil(f.ErrorText)).set("lastModificationTime", modified).
		set("createdAt", f.CreatedAt.Unix()).set("updatedAt", f.UpdatedAt.Unix()).
		set("uploadStartDetectedAt", at(f.UploadBeganAt)).set("uploadEndDetectedAt", at(f.UploadEndedAt)).
		null("importStartedAt", "importEndedAt").set("batchJobId", orZero(f.Job))
}

// named finds the row that a name has in a folder now.
func named(ctx context.Context, t Tables, folder DropFolder, name string) (DropFolderFile, bool, error) {
	rows, err := t.DropFolderFiles().Find(ctx, Find{
		Partner: folder.Partner, Where: all(in("folder", folder.Number), in("file_name", name), in("deleted", int64(0))), Limit: 1,
	})
	if err != nil || len(rows) == 0 {
		return DropFolderFile{}, false, err
	}
	return rows[0], true, nil
}

func insertFile(ctx context.Context, t Tables, f *DropFolderFile) (err error) {
	if f.Number, err = nextNumber(ctx, t.DropFolderFiles(), f.Partner); err != nil {
		return err
	}
	f.ID = fmt.Sprint(f.Number)
	return t.DropFolderFiles().Insert(ctx, f)
}

// purge takes a row out of sight and its name free.
func purge(ctx context.Context, t Tables, f *DropFolderFile) error {
	f.Status, f.Deleted = filePurged, f.Number
	return t.DropFolderFiles().Update(ctx, f)
}

// arrive notes a file of a folder that is new or has changed. A name that is being written or
// worked on keeps its row.
func arrive(ctx context.Context, t Tables, folder DropFolder, name string, size int64, now time.Time) (f DropFolderFile, fresh bool, err error) {
	f, known, err := named(ctx, t, folder, name)
	if err != nil {
		return f, false, err
	}
	lead := int64(0)
	if known {
		switch f.Status {
		case fileUploading, fileParsed, fileDetected, fileProcessing:
			f.Status, f.FileSize, f.SizeSetAt, f.Type = fileUploading, size, now, folder.Type
			return f, false, t.DropFolderFiles().Update(ctx, &f)
		}
		if f.Lead != f.Number {
			lead = f.Lead
		}
		if err := purge(ctx, t, &f); err != nil {
			return f, false, err
		}
	}
	f = DropFolderFile{
		Row: Row{Partner: folder.Partner}, Folder: folder.Number, FileName: name, FileSize: size, SizeSetAt: now,
		Status: fileUploading, Type: folder.Type, Lead: lead,
	}
	return f, true, insertFile(ctx, t, &f)
}

func (c *call) fileAdd() (any, error) {
	a := c.args.tree("dropFolderFile")
	for _, name := range []string{"dropFolderId", "fileName", "fileSize"} {
		if !a.has(name) {
			return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaDropFolderFile::"+name)
		}
	}
	var f DropFolderFile
	var fresh bool
	err := c.commit(func(tx Tx) error {
		folder, err := c.folder(tx.Kaltura(), a.str("dropFolderId"))
		if _, refused := err.(*fault); refused {
			return refuse("DROP_FOLDER_NOT_FOUND", "FOLDER_ID", a.str("dropFolderId"))
		}
		if err == nil {
			f, fresh, err = arrive(c, tx.Kaltura(), folder, a.str("fileName"), a.num("fileSize"), c.now)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return viewFile(f, fresh), nil
}

func (c *call) dropFile(t Tables) (DropFolderFile, error) {
	id := c.args.str("dropFolderFileId")
	f, err := t.DropFolderFiles().Get(c, c.partner(), id)
	if missing(err) || err == nil && f.Status == filePurged {
		return f, refuse("INVALID_OBJECT_ID", "ID", id)
	}
	return f, err
}

func (c *call) fileGet() (any, error) {
	f, err := c.dropFile(c.tables())
	if err != nil {
		return nil, err
	}
	return viewFile(f, false), nil
}

var fileOrder = map[string]string{
	"id": "number", "fileName": "file_name", "fileSize": "file_size", "fileSizeLastSetAt": "size_set_at",
	"parsedSlug": "parsed_slug", "parsedFlavor": "parsed_flavor", "createdAt": "created_at", "updatedAt": "updated_at",
}

func (c *call) fileList() (any, error) {
	f := c.args.tree("filter")
	where := []Cond{not(in("status", int64(filePurged)))}
	where = c.equals(where, f, "fileName", "file_name", "parsedSlug", "parsed_slug", "parsedFlavor", "parsed_flavor",
		"entryId", "entry_id", "errorCode", "error_code")
	where = c.numbers(where, f, "id", "number", "dropFolderId", "folder", "status", "status", "leadDropFolderFileId", "lead",
		"deletedDropFolderFileId", "deleted")
	where = c.times(where, f, "createdAt", "created_at", "updatedAt", "updated_at")
	for field, column := range map[string]string{"fileName": "file_name", "parsedSlug": "parsed_slug", "parsedFlavor": "parsed_flavor"} {
		if v := f.str(field + "Like"); v != "" {
			where = append(where, contains(column, v))
		}
	}
	rows, total, err := find(c, c.tables().DropFolderFiles(), where, fileOrder, Order{Column: "status"}, Order{Column: "number"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, f := range rows {
		out = append(out, viewFile(f, false))
	}
	return list("KalturaDropFolderFileListResponse", total, out), nil
}

func (c *call) fileChange(change func(Tables, *DropFolderFile) error) (any, error) {
	var f DropFolderFile
	err := c.commit(func(tx Tx) (err error) {
		t := tx.Kaltura()
		if f, err = c.dropFile(t); err != nil {
			return err
		}
		if err := change(t, &f); err != nil {
			return err
		}
		return t.DropFolderFiles().Update(c, &f)
	})
	if err != nil {
		return nil, err
	}
	return viewFile(f, false), nil
}

func (c *call) fileUpdate() (any, error) {
	a := c.args.tree("dropFolderFile")
	return c.fileChange(func(_ Tables, f *DropFolderFile) error {
		if a.has("fileSize") {
			f.FileSize, f.SizeSetAt = a.num("fileSize"), c.now
		}
		return nil
	})
}

func (c *call) fileUpdateStatus() (any, error) {
	status := c.args.num("status")
	if status < fileUploading || status > fileDetected {
		return nil, refuse("INVALID_ENUM_VALUE", "ENUM_VAL", c.args.str("status"), "PARAM_NAME", "status", "ENUM_TYPE", "KalturaDropFolderFileStatus")
	}
	return c.fileChange(func(t Tables, f *DropFolderFile) error {
		f.Status, f.ErrorCode, f.ErrorText = status, "", ""
		switch status {
		case filePurged:
			f.Deleted = f.Number
		case filePending:
			folder, err := c.folder(t, fmt.Sprint(f.Folder))
			if err != nil {
				return err
			}
			return c.pending(c, t, folder, f)
		}
		return nil
	})
}

func (c *call) fileIgnore() (any, error) {
	return c.fileChange(func(_ Tables, f *DropFolderFile) error { f.Status = fileIgnored; return nil })
}

func (c *call) fileDelete() (any, error) {
	return c.fileChange(func(_ Tables, f *DropFolderFile) error { f.Status = fileDeleted; return nil })
}
