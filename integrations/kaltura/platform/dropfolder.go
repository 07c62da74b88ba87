package platform

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

func dropFolderActions() []*action {
	const service = "dropfolder_dropfolder"
	return []*action{
		{service: service, name: "add", who: consoleOnly, operators: true, needs: []string{"dropFolder{}"}, run: (*call).folderAdd},
		{service: service, name: "get", who: adminOnly, operators: true, needs: []string{"dropFolderId"}, run: (*call).folderGet},
		{service: service, name: "list", who: adminOnly, operators: true, run: (*call).folderList},
		{service: service, name: "update", who: operatorOnly, operators: true, needs: []string{"dropFolderId", "dropFolder{}"}, run: (*call).folderUpdate},
		{service: service, name: "delete", who: consoleOnly, operators: true, needs: []string{"dropFolderId"}, run: (*call).folderDelete},
	}
}

func (c *call) viewFolder(f DropFolder) *object {
	var handler, config any = f.Handler, newObject("KalturaDropFolderXmlBulkUploadFileHandlerConfig")
	if f.Handler == handlerContent {
		handler = int64(1)
		config = newObject("KalturaDropFolderContentFileHandlerConfig").set("handlerType", 1).
			set("contentMatchPolicy", f.MatchPolicy).set("slugRegex", orNil(f.SlugRegex))
	}
	var profile, accessed any
	if f.Profile != 0 {
		profile = f.Profile
	}
	if f.LastAccessedAt != nil {
		accessed = f.LastAccessedAt.Unix()
	}
	return newObject("KalturaDropFolder").
		set("id", f.Number).set("partnerId", f.Partner).set("name", f.Name).set("description", orNil(f.Description)).
		set("type", f.Type).set("status", f.Status).set("conversionProfileId", profile).set("dc", f.DC).set("path", f.Path).
		set("fileSizeCheckInterval", f.CheckInterval).set("fileDeletePolicy", f.DeletePolicy).null("autoFileDeleteDays").
		set("fileHandlerType", handler).set("fileNamePatterns", f.Patterns).set("fileHandlerConfig", config).
		set("tags", orNil(f.Tags)).null("errorCode", "errorDescription").set("ignoreFileNamePatterns", orNil(f.IgnorePatterns)).
		set("createdAt", f.CreatedAt.Unix()).set("updatedAt", f.UpdatedAt.Unix()).set("lastAccessedAt", accessed).
		null("incremental", "lastFileTimestamp", "metadataProfileId", "categoriesMetadataFieldName", "enforceEntitlement", "shouldValidateKS")
}

// fillFolder takes over what was sent and refuses what this server could not do.
func (c *call) fillFolder(t Tables, f *DropFolder, a args) error {
	for name, field := range map[string]*string{
		"name": &f.Name, "description": &f.Description, "path": &f.Path, "fileNamePatterns": &f.Patterns,
		"ignoreFileNamePatterns": &f.IgnorePatterns, "tags": &f.Tags, "fileHandlerType": &f.Handler,
	} {
		if v, sent := a.change(name); sent {
			*field = v
		}
	}
	for name, field := range map[string]*int64{
		"type": &f.Type, "status": &f.Status, "dc": &f.DC, "fileSizeCheckInterval": &f.CheckInterval,
		"fileDeletePolicy": &f.DeletePolicy, "conversionProfileId": &f.Profile,
	} {
		if a.has(name) {
			*field = a.num(name)
		}
	}
	if config := a.tree("fileHandlerConfig"); config != nil && f.Handler == handlerContent {
		f.MatchPolicy = config.numOr("contentMatchPolicy", matchAddNew)
		if v := config.str("slugRegex"); v != "" {
			f.SlugRegex = v
		}
		if _, err := slugPattern(f.SlugRegex); err != nil {
			return refuse("INVALID_FIELD_VALUE", "FIELD_NAME", "slugRegex")
		}
	}
	if f.Path != "" {
		f.Path = path.Clean("/" + f.Path)
	}
	switch {
	case f.Type != 1: // remote folders would make this server call out
		return refuse("INVALID_ENUM_VALUE", "ENUM_VAL", a.str("type"), "PARAM_NAME", "type", "ENUM_TYPE", "KalturaDropFolderType")
	case f.Handler != handlerContent && f.Handler != handlerXML:
		return refuse("INVALID_ENUM_VALUE", "ENUM_VAL", f.Handler, "PARAM_NAME", "fileHandlerType", "ENUM_TYPE", "KalturaDropFolderFileHandlerType")
	case f.DC != 0:
		return refuse("DATA_CENTER_ID_NOT_FOUND", "DCID", fmt.Sprint(f.DC))
	case f.Profile != 0 && findProfile(f.Profile) == nil:
		return refuse("INGESTION_PROFILE_ID_NOT_FOUND", "ID", fmt.Sprint(f.Profile))
	}
	same, err := t.DropFolders().Find(c, Find{Where: all(in("path", f.Path), not(in("status", int64(folderDeleted))))})
	if err != nil {
		return err
	}
	// Paths are one tree for all accounts: who shared a folder would read the other's files.
	if slices.ContainsFunc(same, func(o DropFolder) bool { return o.Partner != f.Partner || o.ID != f.ID }) {
		return refuse("DROP_FOLDER_ALREADY_EXISTS", "PATH", f.Path)
	}
	return nil
}

func (c *call) folderAdd() (any, error) {
	a := c.args.tree("dropFolder")
	for _, name := range []string{"name", "type", "status", "dc", "path", "fileHandlerType"} {
		if !a.has(name) {
			return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaDropFolder::"+name)
		}
	}
	var f DropFolder
	err := c.commit(func(tx Tx) (err error) {
		t := tx.Kaltura()
		f = newFolder(c.partner())
		if err := c.fillFolder(t, &f, a); err != nil {
			return err
		}
		return insertFolder(c, t, &f)
	})
	if err != nil {
		return nil, err
	}
	return c.viewFolder(f), nil
}

// newFolder gives a folder with the defaults of the original.
func newFolder(partner int64) DropFolder {
	return DropFolder{
		Row: Row{Partner: partner}, Type: 1, CheckInterval: 600, DeletePolicy: deleteAuto, Patterns: "*",
		SlugRegex: `/(?P<referenceId>.+)[.]\w{3,}/`, MatchPolicy: matchAddNew,
	}
}

func insertFolder(ctx context.Context, t Tables, f *DropFolder) (err error) {
	if f.Number, err = nextNumber(ctx, t.DropFolders(), f.Partner); err != nil {
		return err
	}
	f.ID = fmt.Sprint(f.Number)
	return t.DropFolders().Insert(ctx, f)
}

// nextNumber gives the number of a new row. Rows of numbered nouns are never taken away, so their
// count says it; who loses a race for a number tries again.
func nextNumber[T any](ctx context.Context, t Table[T], partner int64) (int64, error) {
	n, err := t.Count(ctx, Find{Partner: partner})
	return int64(n) + 1, err
}

// commit runs f in a transaction, again when somebody else was quicker.
func (c *call) commit(f func(Tx) error) error { return c.Platform.commit(c, f) }

func (p *Platform) commit(ctx context.Context, f func(Tx) error) error {
	for {
		if err := p.Records.KalturaTx(ctx, f); !lostRace(err) {
			return err
		}
	}
}

func (c *call) folder(t Tables, id string) (DropFolder, error) {
	f, err := t.DropFolders().Get(c, c.partner(), id)
	if missing(err) || err == nil && f.Status == folderDeleted {
		return f, refuse("INVALID_OBJECT_ID", "ID", id)
	}
	return f, err
}

func (c *call) folderGet() (any, error) {
	f, err := c.folder(c.tables(), c.args.str("dropFolderId"))
	if err != nil {
		return nil, err
	}
	return c.viewFolder(f), nil
}

func (c *call) folderList() (any, error) {
	f := c.args.tree("filter")
	where := []Cond{not(in("status", int64(folderDeleted)))}
	where = c.equals(where, f, "path", "path", "fileHandlerType", "handler")
	where = c.numbers(where, f, "id", "number", "status", "status", "type", "type", "dc", "dc", "conversionProfileId", "profile")
	where = c.times(where, f, "createdAt", "created_at", "updatedAt", "updated_at")
	if v := f.str("nameLike"); v != "" {
		where = append(where, contains("name", v))
	}
	rows, total, err := find(c, c.tables().DropFolders(), where, map[string]string{
		"id": "number", "name": "name", "createdAt": "created_at", "updatedAt": "updated_at",
	}, Order{Column: "number"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, f := range rows {
		out = append(out, c.viewFolder(f))
	}
	return list("KalturaDropFolderListResponse", total, out), nil
}

func (c *call) folderChange(change func(Tables, *DropFolder) error) (any, error) {
	var f DropFolder
	err := c.commit(func(tx Tx) (err error) {
		t := tx.Kaltura()
		if f, err = c.folder(t, c.args.str("dropFolderId")); err != nil {
			return err
		}
		if err := change(t, &f); err != nil {
			return err
		}
		return t.DropFolders().Update(c, &f)
	})
	if err != nil {
		return nil, err
	}
	return c.viewFolder(f), nil
}

func (c *call) folderUpdate() (any, error) {
	return c.folderChange(func(t Tables, f *DropFolder) error { return c.fillFolder(t, f, c.args.tree("dropFolder")) })
}

func (c *call) folderDelete() (any, error) {
	return c.folderChange(func(_ Tables, f *DropFolder) error { f.Status = folderDeleted; return nil })
}

// slugPattern compiles a PHP pattern with its delimiters. What Go has no word for is refused when
// the folder is made, not when the first file comes.
func slugPattern(s string) (*regexp.Regexp, error) {
	if len(s) < 2 {
		return nil, fmt.Errorf("no delimiters")
	}
	closing := s[:1]
	if i := strings.IndexByte("([{<", s[0]); i >= 0 {
		closing = string(")]}>"[i])
	}
	end := strings.LastIndex(s, closing)
	if end < 1 {
		return nil, fmt.Errorf("no closing delimiter")
	}
	pattern, flags := s[1:end], s[end+1:]
	if flags = strings.Trim(flags, "u"); flags != "" { // u is how Go works anyway
		pattern = "(?" + flags + ")" + pattern
	}
	return regexp.Compile(pattern)
}
