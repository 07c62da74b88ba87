package kaltura

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"isthmus/gateway"
)

// Finish implements gateway.Ingest. Whatever was done before is found again: the entry by its
// reference id, the content by the entry's status.
func (in *ingest) Finish(ctx context.Context, m gateway.NewMedia) (gateway.Media, error) {
	if m.ReferenceID == "" {
		return gateway.Media{}, gateway.E(gateway.Invalid, "reference_missing", "An entry needs a reference id.")
	}
	if _, ok := mediaTypes[m.Type]; !ok {
		return gateway.Media{}, gateway.E(gateway.Invalid, "type_not_supported", "Kaltura takes video, images and audio.").
			Next("Upload a video, image or audio file.")
	}
	ch := in.p.finishing.DoChan(m.ReferenceID, func() (any, error) {
		return in.finish(context.WithoutCancel(ctx), m)
	})
	select {
	case <-ctx.Done():
		return gateway.Media{}, public(ctx.Err())
	case r := <-ch:
		if r.Err != nil {
			return gateway.Media{}, public(r.Err)
		}
		return r.Val.(gateway.Media), nil
	}
}

func (in *ingest) finish(ctx context.Context, m gateway.NewMedia) (gateway.Media, error) {
	e, empty, err := in.p.byReference(ctx, in.who, m.ReferenceID)
	if err != nil {
		return gateway.Media{}, err
	}
	found := e.ID != ""
	if found {
		// Perhaps by an attempt that was cut off before this.
		if err := in.p.categorise(ctx, in.who, string(e.ID)); err != nil {
			return gateway.Media{}, swept(err)
		}
		if e.Status != statusNoContent {
			return e.media(), in.sweep(ctx, empty)
		}
	}
	t, err := in.token(ctx)
	if err != nil {
		return gateway.Media{}, err
	}
	if t.Status == tokenClosed && !found {
		if t.AttachedObjectID == "" {
			return gateway.Media{}, unlisted()
		}
		e, err = in.p.entry(ctx, in.who, string(t.AttachedObjectID))
		return e.media(), err
	}
	if err := in.close(ctx, t); err != nil {
		return gateway.Media{}, err
	}
	if found {
		m, err := in.attach(ctx, string(e.ID))
		return m, swept(err)
	}
	return in.make(ctx, m)
}

// swept turns a missing entry, which was there a moment ago, into another look: another process
// found it empty and superfluous, or somebody deleted it.
func swept(err error) error {
	if code(err) == codeEntryMissing {
		return unlisted()
	}
	return err
}

// unlisted: the upload token was used, but its entry is not in the index yet, or somebody deleted it.
func unlisted() error {
	return gateway.E(gateway.Unavailable, "entry_not_listed", "Kaltura does not list the new media yet.").
		Next("Nothing is lost; we look again in a moment.").After(10 * time.Second)
}

// Find implements gateway.Finder.
func (p *Platform) Find(ctx context.Context, actor gateway.Actor, referenceID string) (gateway.Media, error) {
	var e entry
	w, err := p.person(ctx, actor)
	if err == nil {
		e, _, err = p.byReference(ctx, w, referenceID)
	}
	if err != nil {
		return gateway.Media{}, public(err)
	}
	if e.ID == "" {
		return gateway.Media{}, gateway.E(gateway.NotFound, "", "No media has this reference id.")
	}
	return e.media(), nil
}

// byReference finds the entry of an earlier attempt, in whatever state, the one with content first;
// empty are others without. The owner restriction of lists is lifted for this filter, so the session
// does not matter.
func (p *Platform) byReference(ctx context.Context, w who, ref string) (best entry, empty []entry, err error) {
	var l list[entry]
	err = p.as(ctx, w, "media.list", params{
		"filter": params{"objectType": "KalturaMediaEntryFilter", "referenceIdEqual": ref, "statusIn": statusIn(nil), "orderBy": "+createdAt"},
		"pager":  params{"pageSize": 10, "pageIndex": 1},
	}, &l)
	if err != nil {
		return entry{}, nil, err
	}
	for _, e := range l.Objects {
		switch {
		case string(e.ReferenceID) != ref: // a filter that was not understood
		case best.ID == "":
			best = e
		case best.Status == statusNoContent && e.Status != statusNoContent:
			best, empty = e, append(empty, best)
		case e.Status == statusNoContent:
			empty = append(empty, e)
		}
	}
	return best, empty, nil
}

// sweep removes what processes left that made an entry at the same time as another one, whose entry
// got the content. A list may be old: only what still is empty goes.
func (in *ingest) sweep(ctx context.Context, empty []entry) error {
	for _, e := range empty {
		now, err := in.p.entry(ctx, in.who, string(e.ID))
		if err == nil && now.Status == statusNoContent {
			err = in.p.as(ctx, in.who, "media.delete", params{"entryId": string(e.ID)}, nil)
		}
		if err != nil && code(err) != codeEntryMissing {
			return err
		}
	}
	return nil
}

// close says that the file is whole, once Kaltura counts all its bytes.
func (in *ingest) close(ctx context.Context, t uploadToken) error {
	if err := in.note(t); err != nil {
		return err
	}
	if in.whole {
		if int64(t.UploadedFileSize) != in.size {
			return in.spoilt(t)
		}
		return nil
	}
	var err error
	if !in.started {
		if in.size > 0 {
			return ingestGone(errors.New("no chunk has arrived"))
		}
		t, err = in.chunk(ctx, chunk{r: bytes.NewReader(nil), final: true})
	} else {
		// Chunks that were set aside are joined, ten at a time, when another call comes.
		for range maxNudges {
			if int64(t.UploadedFileSize) >= in.size {
				break
			}
			had := t.UploadedFileSize
			if t, err = in.chunk(ctx, chunk{offset: in.size, r: bytes.NewReader(nil), resume: true}); err != nil {
				return err
			}
			if t.UploadedFileSize == had {
				break
			}
		}
		if int64(t.UploadedFileSize) != in.size {
			return in.spoilt(t)
		}
		t, err = in.chunk(ctx, chunk{offset: in.size, r: bytes.NewReader(nil), resume: true, final: true})
	}
	if code(err) == "UPLOAD_TOKEN_INVALID_STATUS_FOR_UPLOAD" { // closed by an attempt whose answer was lost
		if t, err = in.token(ctx); err == nil && t.Status != tokenFull && t.Status != tokenClosed {
			return in.spoilt(t)
		}
	}
	if err != nil {
		return err
	}
	if t.Status != tokenFull && t.Status != tokenClosed || int64(t.UploadedFileSize) != in.size {
		return in.spoilt(t)
	}
	return nil
}

// spoilt: bytes are missing or too many although each was acknowledged. Only a new token helps.
func (in *ingest) spoilt(t uploadToken) error {
	in.p.log.Warn("upload token does not hold the whole file", "token", in.id, "status", int64(t.Status),
		"has", int64(t.UploadedFileSize), "want", in.size)
	return ingestGone(errors.New("size differs"))
}

// fields are the entry to be made.
func (in *ingest) fields(m gateway.NewMedia) params {
	fields := params{
		"objectType": "KalturaMediaEntry", "mediaType": mediaTypes[m.Type],
		"name": cutBytes(m.Name, 256), "referenceId": m.ReferenceID,
	}
	if m.Description != "" {
		fields["description"] = m.Description
	}
	if len(m.Tags) > 0 {
		fields["tags"] = strings.Join(m.Tags, ",")
	}
	if id := cmp.Or(m.ProfileID, in.p.account.ConversionProfileID); id != 0 {
		fields["conversionProfileId"] = id
	}
	return fields
}

func (in *ingest) content() params {
	return params{"objectType": "KalturaUploadedFileTokenResource", "token": in.id}
}

// make adds the entry and gives it its content in one request. In two, an entry whose answer was
// lost could not be told from none for as long as Kaltura's index lags behind, and would be made
// again. So the upload token, which is read without delay, tells: it is used, or there is no entry.
// Never repeated blindly; after a lost answer the next Finish looks first.
func (in *ingest) make(ctx context.Context, m gateway.NewMedia) (gateway.Media, error) {
	const added = "{1:result:id}"
	batch := []sub{{"media.add", params{"entry": in.fields(m)}}}
	if in.p.account.CategoryID != 0 {
		batch = append(batch, in.p.categoryEntry(added))
	}
	batch = append(batch, sub{"media.addContent", params{"entryId": added, "resource": in.content()}})
	got, err := in.p.together(ctx, in.who, batch)
	if err != nil {
		return gateway.Media{}, err
	}
	var e entry
	if err := got[0].decode(&e); err != nil {
		return gateway.Media{}, err
	}
	if e.ID == "" {
		return gateway.Media{}, &fault{Op: "media.add", Kind: faultGarbled, Status: 200}
	}
	id := string(e.ID)
	if in.p.account.CategoryID != 0 && got[1].err != nil { // with another right, or another time
		if err := in.p.categorise(ctx, in.who, id); err != nil {
			return gateway.Media{}, swept(err)
		}
	}
	if err := got[len(got)-1].decode(&e); err != nil || string(e.ID) != id || e.Status == statusNoContent {
		m, err := in.attach(ctx, id)
		return m, swept(err)
	}
	return e.media(), nil
}

func (in *ingest) attach(ctx context.Context, id string) (gateway.Media, error) {
	var e entry
	err := in.p.as(ctx, in.who, "media.addContent", params{
		"entryId": id, "resource": in.content(),
	}, &e)
	if c := code(err); c == codeHasContent || strings.HasPrefix(c, "UPLOAD") {
		// An earlier attempt may have used the token already.
		had, gerr := in.p.entry(ctx, in.who, id)
		if gerr != nil {
			return gateway.Media{}, gerr
		}
		if had.Status != statusNoContent {
			return had.media(), nil
		}
		// Another process has used or is using the token for an entry of its own: the next look tells.
		if c == codeTokenUsed {
			return gateway.Media{}, unlisted()
		}
	}
	if err == nil && (e.ID == "" || e.Status == statusNoContent) {
		err = &fault{Op: "media.addContent", Kind: faultGarbled, Status: 200, Err: errors.New("the content was not taken")}
	}
	return e.media(), err
}

// Abandon implements gateway.Ingest.
func (in *ingest) Abandon(ctx context.Context) error {
	err := in.p.as(ctx, in.who, "uploadtoken.delete", params{"uploadTokenId": in.id}, nil)
	if code(err) == codeTokenMissing {
		return nil
	}
	return public(err)
}
