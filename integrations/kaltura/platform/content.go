package platform

import (
	"context"
	"errors"
	"path"
	"strings"

	"isthmus/gateway"
)

// attach connects an upload token with an entry. A complete file goes to the media pipeline, an
// incomplete one when its last chunk arrives.
func (c *call) attach(e *Entry, tokenID string) error {
	var t UploadToken
	err := c.Records.KalturaTx(c, func(tx Tx) (err error) {
		if t, err = c.uploadToken(tx.Kaltura(), tokenID); err != nil {
			return err
		}
		repeat := t.EntryID == e.ID && e.Status == entryImport // an answer was lost
		fresh, err := tx.Kaltura().Entries().Get(c, e.Partner, e.ID)
		if err != nil {
			return err
		}
		if fresh.Status != entryNoContent && !repeat {
			return refuse("ENTRY_ALREADY_WITH_CONTENT")
		}
		if t.Status == tokenClosed || t.EntryID != "" && !repeat {
			return refuse("UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY")
		}
		if !repeat {
			fresh.Status, fresh.SourceType = entryImport, "1"
			if err := tx.Kaltura().Entries().Update(c, &fresh); err != nil {
				return err
			}
			t.EntryID = fresh.ID
			if err := tx.Kaltura().UploadTokens().Update(c, &t); err != nil {
				return err
			}
		}
		*e = fresh
		return nil
	})
	if err != nil || t.Status != tokenFull {
		return err
	}
	if err := c.ingest(c, t); err != nil {
		return err
	}
	*e, err = c.tables().Entries().Get(c, e.Partner, e.ID)
	return err
}

// ingest makes an asset of a complete upload. The asset's id is noted first and the bytes are
// published next, both harmless to repeat; entry, token, flavor and asset then change together. A
// crash anywhere in between is repaired by a repeat, the client's or that of Sweep.
func (p *Platform) ingest(ctx context.Context, t UploadToken) error {
	gone := false
	err := p.Records.KalturaTx(ctx, func(tx Tx) (err error) {
		k := tx.Kaltura()
		if t, err = k.UploadTokens().Get(ctx, t.Partner, t.ID); err != nil || t.Status == tokenClosed {
			return err
		}
		if _, err = k.Entries().Get(ctx, t.Partner, t.EntryID); missing(err) {
			gone = true // deleted before its file was complete
			return k.UploadTokens().Delete(ctx, t.Partner, t.ID)
		}
		if err != nil || t.AssetID != "" {
			return err
		}
		t.AssetID = gateway.NewID("ast")
		return k.UploadTokens().Update(ctx, &t)
	})
	if err != nil || t.Status == tokenClosed {
		return err
	}
	if gone {
		return errors.Join(p.Staging.Remove(ctx, t.staged()), p.Assets.Remove(ctx, t.AssetID))
	}
	size := int64(0)
	if t.Uploaded != nil {
		size = *t.Uploaded
	}
	sum, err := p.Staging.Sum(ctx, t.staged(), size)
	if err != nil && !missing(err) { // missing: published already, by a try that got no further
		return err
	}
	key, err := p.Assets.Adopt(ctx, t.staged(), t.AssetID)
	if err != nil {
		return err
	}
	info, err := p.Blobs.Stat(ctx, key)
	if err != nil {
		return err
	}
	acc, _, err := p.account(ctx, t.Partner)
	if err != nil {
		return err
	}
	return p.Records.KalturaTx(ctx, func(tx Tx) error {
		return p.begin(ctx, tx, t, gateway.Asset{
			Row: gateway.Row{ID: t.AssetID, HubID: acc.HubID}, OwnerKind: gateway.OwnerKalturaEntry, OwnerID: t.EntryID,
			Original: key, Size: info.Size, SHA256: sum,
		})
	})
}

// begin hands published bytes to the media pipeline.
func (p *Platform) begin(ctx context.Context, tx Tx, t UploadToken, as gateway.Asset) error {
	k := tx.Kaltura()
	token, err := k.UploadTokens().Get(ctx, t.Partner, t.ID)
	if err != nil || token.Status == tokenClosed {
		return err
	}
	e, err := k.Entries().Get(ctx, t.Partner, t.EntryID)
	if err != nil {
		return err
	}
	as.FileName = e.Name
	if token.FileName != nil {
		as.FileName = *token.FileName
	}
	if as, err = p.Assets.New(ctx, tx, as); err != nil {
		return err
	}
	e.Status, e.AssetID = entryPreconvert, as.ID
	if e.ConversionProfile == 0 {
		e.ConversionProfile = defaultProfile
	}
	if err := k.Entries().Update(ctx, &e); err != nil {
		return err
	}
	token.Status = tokenClosed
	if err := k.UploadTokens().Update(ctx, &token); err != nil {
		return err
	}
	if e.MediaType == mediaImage { // images have no flavors
		return nil
	}
	source := Flavor{
		Row: Row{Partner: e.Partner, ID: newID()}, EntryID: e.ID, Status: flavorQueued, Blob: as.Original, Size: as.Size,
		FileExt: extension(as.FileName), Tags: "source",
	}
	return k.Flavors().Insert(ctx, &source)
}

func extension(name string) string { return strings.TrimPrefix(strings.ToLower(path.Ext(name)), ".") }
