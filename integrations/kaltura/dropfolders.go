package kaltura

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"html"
	"regexp"
	"strconv"
	"strings"

	"isthmus/gateway"
)

const remotePage = 100

type dropFolder struct {
	ID               number `json:"id"`
	Name             text   `json:"name"`
	Description      text   `json:"description"`
	Type             text   `json:"type"` // a number, or a plugin's word
	Status           number `json:"status"`
	Path             text   `json:"path"`
	ErrorCode        text   `json:"errorCode"`
	ErrorDescription text   `json:"errorDescription"`
	LastAccessedAt   number `json:"lastAccessedAt"`
}

type dropFile struct {
	ID               number `json:"id"`
	FolderID         number `json:"dropFolderId"`
	Name             text   `json:"fileName"`
	Size             number `json:"fileSize"`
	Status           number `json:"status"`
	ErrorCode        text   `json:"errorCode"`
	ErrorDescription text   `json:"errorDescription"`
	EntryID          text   `json:"entryId"`
	CreatedAt        number `json:"createdAt"`
	UpdatedAt        number `json:"updatedAt"`
}

var folderKinds = map[text]string{"1": "local", "2": "ftp", "3": "scp", "4": "sftp", "6": "s3"}

// folderErrors are the words for the numbers of a folder's errors.
var folderErrors = map[text]string{
	"1": "ERROR_CONNECT", "2": "ERROR_AUTENTICATE", "3": "ERROR_GET_PHISICAL_FILE_LIST", "4": "ERROR_GET_DB_FILE_LIST",
	"5": "DROP_FOLDER_APP_ERROR", "6": "CONTENT_MATCH_POLICY_UNDEFINED", "7": "MISSING_CONFIG",
}

const (
	folderEnabled  = 1
	folderStatuses = "0,1,3" // all but deleted ones
)

// remoteCursor says where a listing goes on: a page of what there was at a time, so that newer rows move nothing.
type remoteCursor struct {
	Folder string `json:"f,omitempty"`
	Page   int    `json:"p"`
	Until  int64  `json:"u,omitempty"`
	Failed bool   `json:"e,omitempty"`
}

func (c remoteCursor) String() string {
	b, _ := json.Marshal(c) // plain fields cannot fail
	return base64.RawURLEncoding.EncodeToString(b)
}

func readRemoteCursor(s, folder string, failed bool) (remoteCursor, error) {
	if s == "" {
		return remoteCursor{Folder: folder, Page: 1, Failed: failed}, nil
	}
	var c remoteCursor
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.Folder != folder || c.Failed != failed || c.Page < 1 || c.Page > windowMax || c.Until < 0 {
		return c, gateway.E(gateway.Invalid, "cursor_invalid", "This cursor does not belong to this query.").
			Next("Start again without a cursor.").At("/cursor")
	}
	return c, nil
}

// DropFolders implements gateway.RemoteDropFolders.
func (p *Platform) DropFolders(ctx context.Context, cursor string) ([]gateway.RemoteDropFolder, string, error) {
	cur, err := readRemoteCursor(cursor, "", false)
	if err != nil {
		return nil, "", err
	}
	var l list[dropFolder]
	err = p.as(ctx, who{admin: true}, "dropfolder_dropfolder.list", params{
		"filter": params{"objectType": "KalturaDropFolderFilter", "statusIn": folderStatuses, "orderBy": "+id"},
		"pager":  params{"pageSize": remotePage, "pageIndex": cur.Page},
	}, &l)
	if err != nil {
		return nil, "", remoteRefusal(err)
	}
	out := make([]gateway.RemoteDropFolder, 0, len(l.Objects))
	for _, f := range l.Objects {
		out = append(out, f.remote())
	}
	return out, cur.next(len(l.Objects), l.TotalCount), nil
}

func (c remoteCursor) next(got int, total number) string {
	if got == 0 || int64(c.Page)*remotePage >= int64(total) {
		return ""
	}
	c.Page++
	return c.String()
}

func (f dropFolder) remote() gateway.RemoteDropFolder {
	out := gateway.RemoteDropFolder{
		ID: strconv.FormatInt(int64(f.ID), 10), Name: brief(f.Name, nameLimit), Description: brief(f.Description, nameLimit),
		Path: discreet(f.Path), Kind: folderKinds[f.Type], Enabled: f.Status == folderEnabled,
	}
	if out.Kind == "" {
		out.Kind = slug(string(f.Type))
	}
	if f.ErrorCode != "" && f.ErrorCode != "0" {
		if out.Error = folderErrors[f.ErrorCode]; out.Error == "" {
			out.Error = slug(string(f.ErrorCode))
		}
		if f.ErrorDescription != "" {
			out.Error += ": " + discreet(f.ErrorDescription)
		}
	}
	if at := unix(f.LastAccessedAt); !at.IsZero() {
		out.CheckedAt = &at
	}
	return out
}

// DropFiles implements gateway.RemoteDropFolders: the newest first. Rows of files that are gone are not listed.
func (p *Platform) DropFiles(ctx context.Context, folderID string, failed bool, cursor string) ([]gateway.RemoteDropFile, string, error) {
	id, err := strconv.ParseInt(folderID, 10, 64)
	if err != nil || id <= 0 {
		return nil, "", gateway.E(gateway.NotFound, "", "There is no such drop folder.")
	}
	cur, err := readRemoteCursor(cursor, folderID, failed)
	if err != nil {
		return nil, "", err
	}
	filter := params{"objectType": "KalturaDropFolderFileFilter", "dropFolderIdEqual": id, "orderBy": "-id"}
	if cur.Until != 0 {
		filter["createdAtLessThanOrEqual"] = cur.Until
	}
	if failed {
		filter["statusIn"] = failedStatuses
	}
	var l list[dropFile]
	err = p.as(ctx, who{admin: true}, "dropfolder_dropfolderfile.list", params{
		"filter": filter, "pager": params{"pageSize": remotePage, "pageIndex": cur.Page},
	}, &l)
	if err != nil {
		return nil, "", remoteRefusal(err)
	}
	out := make([]gateway.RemoteDropFile, 0, len(l.Objects))
	for _, f := range l.Objects {
		if cur.Until == 0 && int64(f.CreatedAt) > minTime {
			cur.Until = int64(f.CreatedAt)
		}
		if int64(f.FolderID) == id { // a filter that was not understood
			out = append(out, f.remote())
		}
	}
	return out, cur.next(len(l.Objects), l.TotalCount), nil
}

// DropFile implements gateway.RemoteDropFolders.
func (p *Platform) DropFile(ctx context.Context, folderID, fileID string) (gateway.RemoteDropFile, error) {
	none := gateway.E(gateway.NotFound, "", "There is no such file in the drop folder.")
	id, err := strconv.ParseInt(fileID, 10, 64)
	if err != nil || id <= 0 {
		return gateway.RemoteDropFile{}, none
	}
	var f dropFile
	err = p.as(ctx, who{admin: true}, "dropfolder_dropfolderfile.get", params{"dropFolderFileId": id}, &f)
	switch {
	case code(err) == "INVALID_OBJECT_ID", err == nil && strconv.FormatInt(int64(f.FolderID), 10) != folderID:
		return gateway.RemoteDropFile{}, none
	case err != nil:
		return gateway.RemoteDropFile{}, remoteRefusal(err)
	}
	return f.remote(), nil
}

// failedStatuses are those of files that Kaltura could not take.
var failedStatuses = func() string {
	var in []string
	for n := range int64(20) {
		if s, _ := gateway.FromKalturaFile(n, ""); s == gateway.DropQuarantined || s == gateway.DropNoMatch {
			in = append(in, strconv.FormatInt(n, 10))
		}
	}
	return strings.Join(in, ",")
}()

type bulkUpload struct {
	ID          number `json:"id"`
	Kind        text   `json:"bulkUploadType"`
	FileName    text   `json:"fileName"`
	Status      number `json:"status"`
	Error       text   `json:"error"` // said of what succeeded, too
	Description text   `json:"description"`
	Objects     number `json:"numOfObjects"`
	UploadedOn  number `json:"uploadedOn"`
}

const bulkXML = "dropFolderXmlBulkUpload.DROP_FOLDER_XML"

// manifestCursor is the folder of a cursor for what no folder has.
const manifestCursor = "manifests"

// DropManifests implements gateway.RemoteDropFolders: the newest first. The account's other bulk uploads, of CSV or by
// calls, are not listed; a page may be empty and yet not the last.
func (p *Platform) DropManifests(ctx context.Context, cursor string) ([]gateway.RemoteManifest, string, error) {
	cur, err := readRemoteCursor(cursor, manifestCursor, false)
	if err != nil {
		return nil, "", err
	}
	filter := params{"objectType": "KalturaBulkUploadFilter"}
	if cur.Until != 0 {
		filter["uploadedOnLessThanOrEqual"] = cur.Until
	}
	var l list[bulkUpload]
	err = p.as(ctx, who{admin: true}, "bulkupload_bulk.list", params{
		"bulkUploadFilter": filter, "pager": params{"pageSize": remotePage, "pageIndex": cur.Page},
	}, &l)
	if err != nil {
		return nil, "", remoteRefusal(err)
	}
	out := make([]gateway.RemoteManifest, 0, len(l.Objects))
	for _, b := range l.Objects {
		if cur.Until == 0 && int64(b.UploadedOn) > minTime {
			cur.Until = int64(b.UploadedOn)
		}
		if b.Kind == bulkXML {
			out = append(out, b.remote())
		}
	}
	return out, cur.next(len(l.Objects), l.TotalCount), nil
}

func (b bulkUpload) remote() gateway.RemoteManifest {
	out := gateway.RemoteManifest{
		ID: strconv.FormatInt(int64(b.ID), 10), Name: brief(b.FileName, nameLimit), Status: int64(b.Status), State: gateway.FromKalturaBatch(int64(b.Status)),
		Items: max(0, int64(b.Objects)), CreatedAt: unix(b.UploadedOn),
	}
	if out.State == gateway.DropQuarantined {
		said := strings.TrimSpace(html.UnescapeString(string(b.Error)))
		if said == "" {
			said = strings.TrimSpace(html.UnescapeString(string(b.Description)))
		}
		out.Text = discreet(text(quoted.ReplaceAllString(said, "$1")))
	}
	return out
}

const filePending = 2

// ChangeDropFile implements gateway.RemoteDropFolders. It is asked once: a file that is tried again twice may be imported twice.
func (p *Platform) ChangeDropFile(ctx context.Context, fileID string, act gateway.DropAction) (gateway.RemoteDropFile, error) {
	op, q := "dropfolder_dropfolderfile."+string(act), params{"dropFolderFileId": fileID}
	if act == gateway.ActRetry {
		op, q["status"] = "dropfolder_dropfolderfile.updateStatus", filePending
	}
	var f dropFile
	err := p.with(ctx, who{admin: true}, func(s session) error {
		a, err := p.guard.once(ctx, op, func(ctx context.Context) (answer, error) { return p.call(ctx, op, q, s.ks.Reveal()) })
		if err != nil {
			return err
		}
		return a.decode(op, &f)
	})
	if notAllowed(err) {
		return gateway.RemoteDropFile{}, gateway.E(gateway.Forbidden, "remote_read_only", "The App Token may not change files of Kaltura's own drop folders.").
			Next("Change it in Kaltura, or use an App Token with the rights of an administrator.").Because(err)
	}
	if err != nil {
		return gateway.RemoteDropFile{}, remoteRefusal(err)
	}
	return f.remote(), nil
}

func (f dropFile) remote() gateway.RemoteDropFile {
	out := gateway.RemoteDropFile{
		ID: strconv.FormatInt(int64(f.ID), 10), FolderID: strconv.FormatInt(int64(f.FolderID), 10), Name: brief(f.Name, nameLimit),
		Size: max(0, int64(f.Size)), Status: int64(f.Status), ErrorText: discreet(f.ErrorDescription),
		CreatedAt: unix(f.CreatedAt), UpdatedAt: unix(f.UpdatedAt),
	}
	if f.ErrorCode != "0" {
		out.ErrorCode = dotted(string(f.ErrorCode))
	}
	if entryIDs.MatchString(string(f.EntryID)) {
		out.EntryID = string(f.EntryID)
	}
	out.State, _ = gateway.FromKalturaFile(out.Status, out.ErrorCode)
	return out
}

// dotted is slug for plugins' codes, which have a point.
func dotted(code string) string {
	for i := range len(code) {
		if code[i] == '.' {
			return slug(code[:i]) + "." + slug(code[i+1:])
		}
	}
	return slug(code)
}

var (
	quoted = regexp.MustCompile(`(?s)(at line \d+) \[.*`) // the lines of the XML itself, whose addresses may hold secrets

	userInfo  = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)\S*@`)
	signature = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s?#]*)[?#]\S*`)
	inSession = regexp.MustCompile(`/ks/[^/\s]+`)
)

// discreet is a text for people without the passwords, signatures and sessions that addresses may hold.
func discreet(t text) string {
	s := userInfo.ReplaceAllString(string(t), "$1")
	s = signature.ReplaceAllString(s, "$1")
	return brief(text(inSession.ReplaceAllString(s, "/ks/…")), nameLimit)
}

func remoteRefusal(err error) error {
	if notAllowed(err) || code(err) == "PLUGIN_NOT_AVAILABLE_FOR_PARTNER" || gateway.IsReason(err, errNoAdmin.Reason) {
		return gateway.E(gateway.Forbidden, "drop_folders_closed", "The App Token may not see the account's own drop folders, or it has none.").
			Next("Use an App Token that starts ADMIN sessions, and ask Kaltura whether the account has drop folders.").Because(err)
	}
	return public(err)
}
