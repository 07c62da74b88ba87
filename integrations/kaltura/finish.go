package kaltura

import (
	"bytes"
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
	e, found, err := in.p.byReference(ctx, in.who, m.ReferenceID)
	if err != nil {
		return gateway.Media{}, err
	}
	if found && e.Status != statusNoContent {
		return e.media(), nil
	}
	t, err := in.token(ctx)
	if err != nil {
		return gateway.Media{}, err
	}
	if t.Status == tokenClosed && !found {
		// Used, but its entry is not in the index yet, or somebody deleted it.
		if t.AttachedObjectID == "" {
			return gateway.Media{}, gateway.E(gateway.Unavailable, "entry_not_listed", "Kaltura does not list the new media yet.").
				Next("Nothing is lost; we look again in a moment.").After(10 * time.Second)
		}
		e, err = in.p.entry(ctx, in.who, string(t.AttachedObjectID))
		return e.media(), err
	}
	if err := in.close(ctx, t); err != nil {
		return gateway.Media{}, err
	}
	if !found {
		if e, err = in.add(ctx, m); err != nil {
			return gateway.Media{}, err
		}
	}
	// Before the content: a crash in between leaves an entry that the next attempt takes up here.
	if err := in.p.categorise(ctx, in.who, string(e.ID)); err != nil {
		return gateway.Media{}, err
	}
	return in.attach(ctx, string(e.ID))
}

// Find implements gateway.Finder.
func (p *Platform) Find(ctx context.Context, actor gateway.Actor, referenceID string) (gateway.Media, error) {
	var e entry
	var found bool
	w, err := p.person(ctx, actor)
	if err == nil {
		e, found, err = p.byReference(ctx, w, referenceID)
	}
	if err != nil {
		return gateway.Media{}, public(err)
	}
	if !found {
		return gateway.Media{}, gateway.E(gateway.NotFound, "", "No media has this reference id.")
	}
	return e.media(), nil
}

// byReference finds the entry of an earlier attempt, in whatever state. The owner restriction of
// lists is lifted for this filter, so the session does not matter.
func (p *Platform) byReference(ctx context.Context, w who, ref string) (entry, bool, error) {
	var l list[entry]
	err := p.as(ctx, w, "media.list", params{
		"filter": params{"objectType": "KalturaMediaEntryFilter", "referenceIdEqual": ref, "statusIn": statusIn(nil), "orderBy": "+createdAt"},
		"pager":  params{"pageSize": 10, "pageIndex": 1},
	}, &l)
	if err != nil {
		return entry{}, false, err
	}
	var best entry
	for _, e := range l.Objects {
		if string(e.ReferenceID) == ref && (best.ID == "" || best.Status == statusNoContent && e.Status != statusNoContent) {
			best = e
		}
	}
	return best, best.ID != "", nil
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

func (in *ingest) add(ctx context.Context, m gateway.NewMedia) (entry, error) {
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
	if id := in.p.account.ConversionProfileID; id != 0 {
		fields["conversionProfileId"] = id
	}
	var e entry
	// Never repeated blindly: after a lost answer the next Finish looks for the entry first.
	if err := in.p.asOnce(ctx, in.who, "media.add", params{"entry": fields}, &e); err != nil {
		return e, err
	}
	if e.ID == "" {
		return e, &fault{Op: "media.add", Kind: faultGarbled, Status: 200}
	}
	return e, nil
}

func (in *ingest) attach(ctx context.Context, id string) (gateway.Media, error) {
	var e entry
	err := in.p.as(ctx, in.who, "media.addContent", params{
		"entryId":  id,
		"resource": params{"objectType": "KalturaUploadedFileTokenResource", "token": in.id},
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
