package platform

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

func uploadActions() []*action {
	return []*action{
		{service: "uploadToken", name: "add", who: userSession, run: (*call).uploadAdd},
		{service: "uploadToken", name: "get", who: userSession, needs: []string{"uploadTokenId"}, run: (*call).uploadGet},
		{service: "uploadToken", name: "upload", who: userSession, needs: []string{"uploadTokenId", "fileData@"}, run: (*call).upload},
		{service: "uploadToken", name: "delete", who: userSession, needs: []string{"uploadTokenId"}, run: (*call).uploadDelete},
		{service: "uploadToken", name: "list", who: userSession, run: (*call).uploadList},
	}
}

func viewUploadToken(t UploadToken) *object {
	digits := func(n *int64) any {
		if n == nil {
			return nil
		}
		return strconv.FormatInt(*n, 10)
	}
	o := newObject("KalturaUploadToken").
		set("id", t.ID).set("partnerId", t.Partner).set("userId", t.UserID).set("status", t.Status).
		set("fileName", orNull(t.FileName)).set("fileSize", digits(t.FileSize)).set("uploadedFileSize", digits(t.Uploaded)).
		set("createdAt", t.CreatedAt.Unix()).set("updatedAt", t.UpdatedAt.Unix()).null("uploadUrl").
		set("autoFinalize", t.AutoFinalize)
	if t.EntryID != "" && t.Status < tokenFull {
		return o.set("attachedObjectType", "entry").set("attachedObjectId", t.EntryID)
	}
	return o.null("attachedObjectType", "attachedObjectId")
}

// staged is the staging id of a token's bytes.
func (t UploadToken) staged() string { return "kaltura_" + t.ID }

// uploadToken gives a token that the session may use: its own, or any for an administrator.
func (c *call) uploadToken(t Tables, id string) (UploadToken, error) {
	row, err := t.UploadTokens().Get(c, c.partner(), id)
	if missing(err) || err == nil && !c.admin() && row.UserID != c.user() {
		return row, refuse("UPLOAD_TOKEN_NOT_FOUND")
	}
	return row, err
}

func (c *call) uploadAdd() (any, error) {
	a := c.args.tree("uploadToken")
	t := UploadToken{
		Row: Row{Partner: c.partner(), ID: "0_" + randomHex()}, UserID: c.user(),
		AutoFinalize: a.flag("autoFinalize", false),
	}
	if name := a.str("fileName"); name != "" {
		t.FileName = &name
	}
	if a.has("fileSize") && a.str("fileSize") != "" {
		n := a.num("fileSize")
		t.FileSize = &n
	}
	if t.AutoFinalize && t.FileSize == nil {
		return nil, refuse("UPLOAD_TOKEN_MISSING_FILE_SIZE")
	}
	err := c.Records.KalturaTx(c, func(tx Tx) error {
		if err := c.ensureUser(tx.Kaltura(), t.UserID, "userId"); err != nil {
			return err
		}
		return tx.Kaltura().UploadTokens().Insert(c, &t)
	})
	if err != nil {
		return nil, err
	}
	return viewUploadToken(t), nil
}

func (c *call) uploadGet() (any, error) {
	t, err := c.uploadToken(c.tables(), c.args.str("uploadTokenId"))
	if err != nil {
		return nil, err
	}
	return viewUploadToken(t), nil
}

func (c *call) uploadDelete() (any, error) {
	var staged string
	err := c.Records.KalturaTx(c, func(tx Tx) error {
		t, err := c.uploadToken(tx.Kaltura(), c.args.str("uploadTokenId"))
		if err != nil {
			return err
		}
		staged = t.staged()
		if t.EntryID != "" && t.Status < tokenClosed { // the entry waits in vain now
			e, err := tx.Kaltura().Entries().Get(c, t.Partner, t.EntryID)
			if err == nil {
				e.Status = entryNoContent
				err = tx.Kaltura().Entries().Update(c, &e)
			}
			if err != nil && !missing(err) {
				return err
			}
		}
		return tx.Kaltura().UploadTokens().Delete(c, t.Partner, t.ID)
	})
	if err != nil {
		return nil, err
	}
	return nil, c.Staging.Remove(c, staged)
}

func (c *call) uploadList() (any, error) {
	f := c.args.tree("filter")
	where := c.equals(nil, f, "id", "id", "userId", "user_id", "fileName", "file_name")
	where = c.numbers(where, f, "status", "status", "fileSize", "file_size")
	if !c.admin() {
		where = append(where, in("user_id", c.user()))
	}
	rows, total, err := find(c, c.tables().UploadTokens(), where, map[string]string{"createdAt": "created_at"}, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, t := range rows {
		out = append(out, viewUploadToken(t))
	}
	return list("KalturaUploadTokenListResponse", total, out), nil
}

// upload takes one chunk. Bytes go to their offset in staging at once; chunks beyond the end wait
// there, and the size shown counts them only from the next call on, as the original joins its
// pieces at the start of a call.
func (c *call) upload() (any, error) {
	t, err := c.uploadToken(c.tables(), c.args.str("uploadTokenId"))
	if err != nil {
		return nil, err
	}
	if t.Status >= tokenFull {
		return nil, refuse("UPLOAD_TOKEN_INVALID_STATUS_FOR_UPLOAD")
	}
	file := c.file["fileData"]
	resume, final, at := c.args.flag("resume", false), c.args.flag("finalChunk", true), c.args.numOr("resumeAt", -1)
	if resume && t.Status == tokenPending {
		return nil, refuse("UPLOAD_TOKEN_CANNOT_RESUME")
	}
	have := int64(0) // contiguous bytes before this chunk, waiting ones joined
	if resume {
		durable, err := c.Staging.Durable(c, t.staged())
		if err != nil {
			return nil, err
		}
		have = durable.Prefix()
	} else {
		if err := c.Staging.Remove(c, t.staged()); err != nil {
			return nil, err
		}
		if err := c.Staging.Create(c, t.staged(), -1); err != nil {
			return nil, err
		}
		at = 0
	}
	offset := at
	if at < 0 {
		offset = have
	}
	n, err := c.store(t.staged(), offset, have, file.body)
	if err != nil {
		return nil, err
	}
	shown := have
	if offset <= have {
		shown = max(have, offset+n)
	}
	if resume && final && at > 0 {
		if shown, err = c.await(t.staged(), offset+n); err != nil {
			return nil, err
		}
	}
	full := final
	if t.AutoFinalize && !final {
		durable, err := c.Staging.Durable(c, t.staged())
		if err != nil {
			return nil, err
		}
		if full = durable.Prefix() >= *t.FileSize; full {
			shown = durable.Prefix()
		}
	}
	if full {
		if bad, err := c.restricted(t.staged(), shown); err != nil {
			return nil, err
		} else if bad {
			return nil, c.dropToken(t)
		}
	}
	if t, err = c.advance(t, shown, offset+n, full, file.name); err != nil {
		return nil, err
	}
	if full && t.EntryID != "" {
		if err := c.ingest(c, t); err != nil {
			return nil, err
		}
	}
	return viewUploadToken(t), nil
}

// store writes a chunk at its offset and gives its length. What is there already is not written
// again: acknowledged bytes never change.
func (c *call) store(staged string, offset, have int64, body io.Reader) (int64, error) {
	skipped := int64(0)
	if offset < have {
		n, err := io.CopyN(io.Discard, body, have-offset)
		skipped = n
		if errors.Is(err, io.EOF) {
			return skipped, nil
		}
		if err != nil {
			return 0, refuse("UPLOAD_PARTIAL_ERROR")
		}
		offset = have
	}
	r := bufio.NewReader(body)
	if _, err := r.Peek(1); errors.Is(err, io.EOF) {
		return skipped, nil
	}
	n, err := c.Staging.WriteAt(c, staged, offset, r)
	if err != nil && gateway.CodeOf(err) == gateway.Internal {
		c.failed(c, "upload", err)
		err = refuse("UPLOAD_PARTIAL_ERROR")
	}
	return skipped + n, err
}

// await waits for chunks that are on their way on other connections until size bytes are there.
func (c *call) await(staged string, size int64) (int64, error) {
	deadline := time.Now().Add(c.FinalWait)
	for {
		durable, err := c.Staging.Durable(c, staged)
		if err != nil {
			return 0, err
		}
		if have := durable.Prefix(); have >= size {
			return size, nil
		}
		if !time.Now().Before(deadline) {
			return 0, refuse("UPLOAD_TOKEN_CANNOT_MATCH_EXPECTED_SIZE")
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-c.Done():
			return 0, c.Err()
		}
	}
}

// restricted tells whether the file is of a kind that browsers would run.
func (c *call) restricted(staged string, size int64) (bool, error) {
	f, err := c.Staging.Open(c, staged)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // only read
	head := make([]byte, min(size, 512))
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return n > 0 && strings.HasPrefix(http.DetectContentType(head[:n]), "text/html"), nil
}

// dropToken removes a token whose content is refused.
func (c *call) dropToken(t UploadToken) error {
	if err := c.tables().UploadTokens().Delete(c, t.Partner, t.ID); err != nil {
		return err
	}
	if err := c.Staging.Remove(c, t.staged()); err != nil {
		return err
	}
	return refuse("UPLOAD_TOKEN_FILE_TYPE_RESTRICTED_FOR_UPLOAD")
}

// advance notes what a chunk that ends at end brought. Parallel chunks note theirs one after the
// other; the size never goes back, except when a first chunk begins anew.
func (c *call) advance(t UploadToken, shown, end int64, full bool, name string) (UploadToken, error) {
	first := !c.args.flag("resume", false)
	for {
		err := c.Records.KalturaTx(c, func(tx Tx) (err error) {
			if t, err = c.uploadToken(tx.Kaltura(), t.ID); err != nil {
				return err
			}
			if t.Status >= tokenFull {
				if !full && t.Uploaded != nil && end <= *t.Uploaded {
					return nil // the last chunk was waiting for this one and was quicker
				}
				return refuse("UPLOAD_TOKEN_INVALID_STATUS_FOR_UPLOAD")
			}
			if !first && t.Uploaded != nil {
				shown = max(shown, *t.Uploaded)
			}
			t.Uploaded, t.Status = &shown, tokenPartial
			if t.FileName == nil && name != "" {
				t.FileName = &name
			}
			if full {
				t.Status = tokenFull
			}
			return tx.Kaltura().UploadTokens().Update(c, &t)
		})
		if !lostRace(err) {
			return t, err
		}
	}
}
