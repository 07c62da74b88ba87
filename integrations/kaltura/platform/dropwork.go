package platform

import (
	"context"
	"crypto/md5"  //nolint:gosec // a checksum that senders state
	"crypto/sha1" //nolint:gosec // a checksum that senders state
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// xmlError is the prefix of the XML handler's error codes.
const xmlError = "dropFolderXmlBulkUpload."

// work starts jobs for XML files whose media are all there, and goes on with jobs under way.
func (b *batch) work(ctx context.Context) error {
	t := b.Records.Kaltura()
	waiting, err := t.DropFolderFiles().Find(ctx, Find{
		Partner: b.folder.Partner,
		Where:   all(in("folder", b.folder.Number), in("status", int64(fileWaiting)), in("deleted", int64(0))),
		Order:   []Order{{Column: "number"}},
	})
	if err != nil {
		return err
	}
	for _, f := range waiting {
		if f.Lead == f.Number {
			if err := b.pair(ctx, f); err != nil {
				return err
			}
		}
	}
	jobs, err := t.Jobs().Find(ctx, Find{
		Partner: b.folder.Partner, Order: []Order{{Column: "number"}},
		Where: all(in("folder", b.folder.Number), in("status", int64(jobPending), int64(jobAlmostDone))),
	})
	if err != nil {
		return err
	}
	for _, j := range jobs {
		run := b.runXML
		if j.Kind == jobContent {
			run = b.runContent
		}
		if err := run(ctx, j); err != nil && !lostRace(err) { // somebody else is at it
			b.failed(ctx, "drop folder job", err)
		}
	}
	return ctx.Err()
}

// pair gives an XML file the rows of the files that it names, and starts its job when all are there.
func (b *batch) pair(ctx context.Context, lead DropFolderFile) error {
	data, err := b.read(lead.FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the next look notices
	}
	if err != nil {
		return err
	}
	var names []string
	if root, err := readXML(data); err == nil { // a bad file names none; its job says why
		for _, f := range files(root) {
			names = append(names, f.attrs["filePath"])
		}
	}
	started := false
	err = b.commit(ctx, func(tx Tx) error {
		t := tx.Kaltura()
		fresh, err := t.DropFolderFiles().Get(ctx, lead.Partner, lead.ID)
		if err != nil || fresh.Status != fileWaiting || fresh.Deleted != 0 {
			return err
		}
		complete := true
		rows := []DropFolderFile{fresh}
		for _, name := range names {
			row, err := b.claim(ctx, t, fresh, name)
			if err != nil {
				return err
			}
			complete = complete && row.Status == fileWaiting
			rows = append(rows, row)
		}
		if started = complete; !complete {
			return nil
		}
		for _, row := range rows {
			row.Status = fileProcessing
			if err := t.DropFolderFiles().Update(ctx, &row); err != nil {
				return err
			}
		}
		job := Job{Kind: jobXML, Folder: b.folder.Number, Lead: fresh.Number, FileName: fresh.FileName, Input: data}
		return insertJob(ctx, t, fresh.Partner, &job)
	})
	if err != nil || !started {
		return err
	}
	// The job has the XML now. A crash before this line leaves the file, and the next look takes it
	// for one that is done with.
	if err := b.dir.Remove(lead.FileName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (b *batch) read(name string) ([]byte, error) {
	f, err := b.dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, maxXML+1))
}

// claim gives the row of a file that an XML file names, made when there is none.
func (b *batch) claim(ctx context.Context, t Tables, lead DropFolderFile, name string) (DropFolderFile, error) {
	row, known, err := named(ctx, t, b.folder, name)
	if err != nil {
		return row, err
	}
	if known {
		switch row.Status {
		case fileWaiting, fileDetected, fileUploading, filePending, fileParsed:
			if row.Lead != 0 && row.Lead != lead.Number {
				row.Status = fileParsed // it is another's; not stored
				return row, nil
			}
			if row.Lead == 0 {
				row.Lead = lead.Number
				err = t.DropFolderFiles().Update(ctx, &row)
			}
			return row, err
		}
		if row.Lead == lead.Number {
			return row, nil // it failed; a new file of that name begins anew
		}
		if err := purge(ctx, t, &row); err != nil {
			return row, err
		}
	}
	row = DropFolderFile{
		Row: Row{Partner: lead.Partner}, Folder: lead.Folder, FileName: name, SizeSetAt: b.Clock(), Status: fileParsed, Lead: lead.Number,
	}
	return row, insertFile(ctx, t, &row)
}

// as gives a call in the name of a user, with an administrator's rights, as the original's batch has.
func (b *batch) as(ctx context.Context, service, user string) (*call, error) {
	acc, _, err := b.account(ctx, b.folder.Partner)
	if err != nil {
		return nil, err
	}
	return &call{
		Context: ctx, Platform: b.Platform, act: &action{service: service}, args: args{}, account: acc, now: b.Clock(), marks: &marks{},
		ks: &ks{partner: acc.Partner, user: user, kind: sessionAdmin},
	}, nil
}

// take copies a file of the folder into an upload token and attaches it to an entry. The token's id
// follows from the work, so that a repeat after a crash finds what was done.
func (b *batch) take(c *call, e *Entry, work, name string, size int64, sum node) error {
	token := UploadToken{Row: Row{Partner: e.Partner, ID: tokenIDOf(work)}, UserID: c.user(), FileName: &name}
	have, err := c.tables().UploadTokens().Get(c, e.Partner, token.ID)
	switch {
	case missing(err):
		if err := c.tables().UploadTokens().Insert(c, &token); err != nil {
			return err
		}
	case err != nil:
		return err
	case have.Status == tokenClosed:
		return nil
	default:
		token = have
	}
	if token.Status != tokenFull {
		n, err := b.copy(c, token.staged(), name, size, sum)
		if err != nil {
			return err
		}
		token.Uploaded, token.FileSize, token.Status = &n, &n, tokenFull
		if err := c.tables().UploadTokens().Update(c, &token); err != nil {
			return err
		}
	}
	return c.attach(e, token.ID)
}

// copy brings a file into staging and compares it with what its XML says.
func (b *batch) copy(ctx context.Context, staged, name string, size int64, sum node) (int64, error) {
	f, err := b.dir.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	if err := b.Staging.Remove(ctx, staged); err != nil {
		return 0, err
	}
	if err := b.Staging.Create(ctx, staged, -1); err != nil {
		return 0, err
	}
	var digest hash.Hash = md5.New() //nolint:gosec // what the sender states
	if sum.attrs["type"] == "sha1" {
		digest = sha1.New() //nolint:gosec // what the sender states
	}
	n, err := b.Staging.WriteAt(ctx, staged, 0, io.TeeReader(f, digest))
	switch {
	case err != nil:
		return n, err
	case size > 0 && n != size:
		return n, errors.New(xmlError + "LOCAL_FILE_WRONG_SIZE")
	case sum.text != "" && !strings.EqualFold(strings.TrimSpace(sum.text), hex.EncodeToString(digest.Sum(nil))):
		return n, errors.New(xmlError + "LOCAL_FILE_WRONG_CHECKSUM")
	}
	return n, nil
}

// runContent makes an entry of one file, or gives it to the entry that its name means.
func (b *batch) runContent(ctx context.Context, job Job) error {
	row, err := b.Records.Kaltura().DropFolderFiles().Get(ctx, job.Partner, fmt.Sprint(job.Lead))
	if err != nil {
		return err
	}
	if row.Job != job.Number { // a later job has taken over
		job.Status = jobFailed
		return b.Records.Kaltura().Jobs().Update(ctx, &job)
	}
	e, err := b.content(ctx, row, job)
	row.ErrorCode, row.ErrorText = "", ""
	switch {
	case err == nil && e.ID == "":
		if row.Status == fileNoMatch {
			return nil // still none
		}
		row.Status = fileNoMatch
		return b.Records.Kaltura().DropFolderFiles().Update(ctx, &row)
	case err == nil:
		row.Status, row.EntryID, job.Status, job.Message = fileHandled, e.ID, jobFinished, "Finished successfully"
	default:
		code, message := "2", "No entry could be made of the file"
		if errors.Is(err, fs.ErrNotExist) {
			code, message = "6", "The file cannot be read"
		} else if _, refused := err.(*fault); !refused {
			return err // may get better
		} else {
			message = err.Error()
		}
		row.Status, row.ErrorCode, row.ErrorText, job.Status, job.Message = fileErrorHandling, code, message, jobFailed, message
	}
	return b.commit(ctx, func(tx Tx) error {
		if err := tx.Kaltura().DropFolderFiles().Update(ctx, &row); err != nil {
			return err
		}
		return tx.Kaltura().Jobs().Update(ctx, &job)
	})
}

// content attaches the file; an entry without id means that none matches and none is to be made.
func (b *batch) content(ctx context.Context, row DropFolderFile, job Job) (Entry, error) {
	c, err := b.as(ctx, "baseEntry", row.ParsedUser)
	if err != nil {
		return Entry{}, err
	}
	if f, err := b.dir.Open(row.FileName); err != nil {
		return Entry{}, err
	} else if err := f.Close(); err != nil {
		return Entry{}, err
	}
	work := fmt.Sprintf("content/%d/%d", job.Partner, job.Number)
	if b.folder.MatchPolicy != matchAddNew {
		found, err := c.tables().Entries().Find(c, Find{
			Partner: job.Partner, Order: []Order{{Column: "created_at"}}, Limit: 1,
			Where: all(in("reference_id", row.ParsedSlug), in("status", int64(entryImport), int64(entryPreconvert), int64(entryReady), int64(entryNoContent))),
		})
		if err != nil {
			return Entry{}, err
		}
		if len(found) > 0 {
			e := found[0]
			if e.Status == entryNoContent || e.Status == entryImport {
				return e, b.take(c, &e, work, row.FileName, 0, node{})
			}
			return e, b.replace(c, &e, work, row.FileName, 0, node{})
		}
		if b.folder.MatchPolicy == matchOrKeepBack {
			return Entry{}, nil
		}
	}
	a := args{"name": row.ParsedSlug, "referenceId": row.ParsedSlug}
	if row.ParsedUser != "" {
		a["userId"] = row.ParsedUser
	}
	if b.folder.Profile != 0 {
		a["conversionProfileId"] = strconv.FormatInt(b.folder.Profile, 10)
	}
	e, err := b.newEntry(c, a, entryIDOf(work))
	if err != nil {
		return e, err
	}
	return e, b.take(c, &e, work, row.FileName, 0, node{})
}

func tokenIDOf(work string) string {
	digest := md5.Sum([]byte(work)) //nolint:gosec // a name, not a proof
	return "0_" + hex.EncodeToString(digest[:])
}

// entryIDOf gives the id of the entry that a piece of work makes, the same each time it is tried.
func entryIDOf(work string) string {
	digest := md5.Sum([]byte("entry " + work)) //nolint:gosec // a name, not a proof
	return "0_" + hex.EncodeToString(digest[:])[:8]
}

// newEntry makes an entry, or gives the one that an earlier try has made.
func (b *batch) newEntry(c *call, a args, id string) (Entry, error) {
	if e, err := c.tables().Entries().Get(c, c.partner(), id); !missing(err) {
		return e, err
	}
	e, err := c.newEntry(a)
	if err != nil {
		return e, err
	}
	e.ID = id
	return e, c.insert(&e, a)
}

// replace gives an entry with content another file.
func (b *batch) replace(c *call, e *Entry, work, name string, size int64, sum node) error {
	if t, err := c.tables().UploadTokens().Get(c, e.Partner, tokenIDOf(work)); err == nil && t.Status == tokenClosed {
		return nil // done by an earlier try
	}
	old := e.AssetID
	if err := c.emptyEntry(e); err != nil {
		return err
	}
	if err := b.take(c, e, work, name, size, sum); err != nil || old == "" {
		return err
	}
	if err := b.Assets.Remove(c, old); err != nil && !missing(err) {
		return err
	}
	return nil
}
