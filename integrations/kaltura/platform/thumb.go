package platform

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"strconv"
	"strings"
	"time"
)

// maxThumb is the size up to which pictures of entries are taken.
const maxThumb = 20 << 20

func thumbActions() []*action {
	const service = "thumbAsset"
	return []*action{
		{service: service, name: "add", who: userSession, needs: []string{"entryId", "thumbAsset{}"}, run: (*call).thumbAdd},
		{service: service, name: "addFromImage", who: userSession, needs: []string{"entryId", "fileData@"}, run: (*call).thumbFromImage},
		{service: service, name: "setContent", who: userSession, needs: []string{"id", "contentResource{}"}, run: (*call).thumbSet},
		{service: service, name: "setAsDefault", who: userSession, needs: []string{"thumbAssetId"}, run: (*call).thumbDefault},
		{service: service, name: "get", who: anySession, needs: []string{"thumbAssetId"}, run: (*call).thumbGet},
		{service: service, name: "getByEntryId", who: anySession, needs: []string{"entryId"}, run: (*call).thumbsByEntry},
		{service: service, name: "list", who: anySession, run: (*call).thumbList},
		{service: service, name: "getUrl", who: anySession, needs: []string{"id"}, run: (*call).thumbURL},
		{service: service, name: "serve", who: anybody, needs: []string{"thumbAssetId"}, run: (*call).thumbServe},
		{service: service, name: "delete", who: userSession, needs: []string{"thumbAssetId"}, run: (*call).thumbDelete},
	}
}

// An entry's package has a picture of its own; as an asset its id is "thumb_" and the entry's.
const thumbPrefix = "thumb_"

const defaultThumb = "default_thumb"

// packagePicture shows the picture of an entry's package as a thumb.
func packagePicture(e Entry) Thumb {
	row := e.Row
	row.ID, row.Version = thumbPrefix+e.ID, e.ThumbVersion
	return Thumb{Row: row, EntryID: e.ID, Status: thumbReady, Width: e.Width, Height: e.Height, FileExt: "jpg"}
}

func viewThumb(e Entry, a Thumb) *object {
	tags := a.Tags
	if e.ThumbID == a.ID || e.ThumbID == "" && a.ID == thumbPrefix+e.ID {
		tags = strings.Trim(tags+","+defaultThumb, ",")
	}
	return newObject("KalturaThumbAsset").
		set("id", a.ID).set("entryId", a.EntryID).set("partnerId", a.Partner).set("version", fmt.Sprint(a.Version)).
		set("size", a.Size/1024).set("tags", tags).set("fileExt", orNil(a.FileExt)).set("createdAt", a.CreatedAt.Unix()).
		set("updatedAt", a.UpdatedAt.Unix()).set("description", a.Description).set("sizeInBytes", strconv.FormatInt(a.Size, 10)).
		set("thumbParamsId", a.Params).set("width", a.Width).set("height", a.Height).set("status", a.Status)
}

// thumb gives a picture of an entry that the session may see, and the entry.
func (c *call) thumb(t Tables, id string) (Thumb, Entry, error) {
	none := refuse("THUMB_ASSET_ID_NOT_FOUND", "ID", id)
	if entryID, ok := strings.CutPrefix(id, thumbPrefix); ok {
		e, err := c.entry(t, entryID)
		if hidden := (*fault)(nil); errors.As(err, &hidden) || err == nil && packaged(e) == 0 {
			err = none
		}
		return packagePicture(e), e, err
	}
	a, err := t.Thumbs().Get(c, c.partner(), id)
	if missing(err) {
		return a, Entry{}, none
	}
	if err != nil {
		return a, Entry{}, err
	}
	e, err := c.entry(t, a.EntryID)
	if hidden := (*fault)(nil); errors.As(err, &hidden) {
		err = none
	}
	return a, e, err
}

// ownThumb is thumb for one that was put there by hand and that the session may change.
func (c *call) ownThumb(t Tables, id string) (Thumb, Entry, error) {
	a, e, err := c.thumb(t, id)
	if err == nil && strings.HasPrefix(id, thumbPrefix) {
		err = refuse("THUMB_ASSET_ID_NOT_FOUND", "ID", id)
	}
	if err == nil {
		e, err = c.owned(t, a.EntryID)
	}
	return a, e, err
}

// packaged is the number of an entry's packages that have a picture; 0 = none.
func packaged(e Entry) int64 { return int64(len(e.Generations)) }

func (c *call) newThumb(t Tables, a *Thumb) (Entry, error) {
	e, err := c.owned(t, a.EntryID)
	if err != nil {
		return e, err
	}
	return e, t.Thumbs().Insert(c, a)
}

func (c *call) thumbAdd() (any, error) {
	in := c.args.tree("thumbAsset")
	a := Thumb{
		Row: Row{Partner: c.partner(), ID: newID()}, EntryID: c.args.str("entryId"), Status: thumbQueued,
		Tags: strings.Join(words(in.str("tags")), ","), Description: in.str("description"), Params: in.num("thumbParamsId"),
	}
	var e Entry
	err := c.commit(func(tx Tx) (err error) { e, err = c.newThumb(tx.Kaltura(), &a); return err })
	if err != nil {
		return nil, err
	}
	return viewThumb(e, a), nil
}

// lookAt reads a staged picture's size and kind; what is none, or too large, is refused.
func (c *call) lookAt(staged string, a *Thumb) error {
	f, err := c.Staging.Open(c, staged)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	cfg, kind, err := image.DecodeConfig(io.NewSectionReader(f, 0, f.Size()))
	if err != nil || f.Size() > maxThumb || cfg.Width > maxPicture || cfg.Height > maxPicture || cfg.Width*cfg.Height > 8*maxArea {
		return refuse("FILE_CONTENT_NOT_SECURE")
	}
	a.Size, a.Width, a.Height, a.FileExt, a.Status = f.Size(), int64(cfg.Width), int64(cfg.Height), kind, thumbReady
	if kind == "jpeg" {
		a.FileExt = "jpg"
	}
	return nil
}

// thumbBlob is where the file of a picture lies. Each content has a name of its own: files never change.
func thumbBlob(a Thumb, source string) string {
	return fmt.Sprintf("kaltura/%d/%s/%s/%s", a.Partner, a.EntryID, a.ID, source)
}

func (c *call) thumbSet() (any, error) {
	token, err := c.loose(c.args.tree("contentResource"))
	if err != nil {
		return nil, err
	}
	a, _, err := c.ownThumb(c.tables(), c.args.str("id"))
	if err != nil {
		return nil, err
	}
	fresh := a
	fresh.Blob = thumbBlob(a, token.ID)
	if err := c.lookAt(token.staged(), &fresh); err != nil {
		return nil, err
	}
	if err := c.Blobs.Adopt(c, token.staged(), fresh.Blob); err != nil {
		return nil, err
	}
	var e Entry
	old := ""
	err = c.commit(func(tx Tx) (err error) {
		t := tx.Kaltura()
		if a, e, err = c.ownThumb(t, a.ID); err != nil {
			return err
		}
		if err := c.spend(t, token); err != nil {
			return err
		}
		old = a.Blob
		fresh.Row = a.Row
		if err := t.Thumbs().Update(c, &fresh); err != nil || e.ThumbID != a.ID {
			return err
		}
		e.ThumbVersion++
		return t.Entries().Update(c, &e)
	})
	if err != nil {
		return nil, err
	}
	if old != "" && old != fresh.Blob {
		err = c.removeBlobs([]string{old})
	}
	return viewThumb(e, fresh), err
}

// thumbFromImage takes a picture in one request.
func (c *call) thumbFromImage() (any, error) {
	a := Thumb{Row: Row{Partner: c.partner(), ID: newID()}, EntryID: c.args.str("entryId")}
	if _, err := c.owned(c.tables(), a.EntryID); err != nil {
		return nil, err
	}
	staged := "kaltura_thumb_" + a.ID
	if err := c.Staging.Create(c, staged, -1); err != nil {
		return nil, err
	}
	_, err := c.Staging.WriteAt(c, staged, 0, io.LimitReader(c.file["fileData"].body, maxThumb+1))
	if err == nil {
		err = c.lookAt(staged, &a)
	}
	a.Blob = thumbBlob(a, "image")
	if err == nil {
		err = c.Blobs.Adopt(c, staged, a.Blob)
	}
	if err != nil {
		return nil, errors.Join(err, c.Staging.Remove(context.WithoutCancel(c), staged))
	}
	var e Entry
	err = c.commit(func(tx Tx) (err error) { e, err = c.newThumb(tx.Kaltura(), &a); return err })
	if err != nil {
		return nil, errors.Join(err, c.removeBlobs([]string{a.Blob}))
	}
	return viewThumb(e, a), nil
}

func (c *call) thumbDefault() (any, error) {
	return nil, c.commit(func(tx Tx) error {
		t := tx.Kaltura()
		a, e, err := c.thumb(t, c.args.str("thumbAssetId"))
		if err != nil {
			return err
		}
		if e, err = c.owned(t, e.ID); err != nil {
			return err
		}
		if a.Status != thumbReady {
			return refuse("THUMB_ASSET_IS_NOT_READY")
		}
		if e.ThumbID = a.ID; strings.HasPrefix(a.ID, thumbPrefix) {
			e.ThumbID = ""
		}
		e.ThumbVersion++
		return t.Entries().Update(c, &e)
	})
}

func (c *call) thumbDelete() (any, error) {
	blob := ""
	err := c.commit(func(tx Tx) error {
		t := tx.Kaltura()
		a, e, err := c.ownThumb(t, c.args.str("thumbAssetId"))
		if err != nil {
			return err
		}
		blob = a.Blob
		if e.ThumbID == a.ID {
			e.ThumbID, e.ThumbVersion = "", e.ThumbVersion+1
			if err := t.Entries().Update(c, &e); err != nil {
				return err
			}
		}
		return t.Thumbs().Delete(c, a.Partner, a.ID)
	})
	if err != nil || blob == "" {
		return nil, err
	}
	return nil, c.removeBlobs([]string{blob})
}

func (c *call) thumbGet() (any, error) {
	a, e, err := c.thumb(c.tables(), c.args.str("thumbAssetId"))
	if err != nil {
		return nil, err
	}
	return viewThumb(e, a), nil
}

// thumbsOf lists the pictures of an entry: that of its package first.
func (c *call) thumbsOf(entryID string) ([]any, error) {
	e, err := c.entry(c.tables(), entryID)
	if err != nil {
		return nil, err
	}
	out := []any{}
	if packaged(e) > 0 && e.ThumbVersion != 0 {
		out = append(out, viewThumb(e, packagePicture(e)))
	}
	rows, err := c.tables().Thumbs().Find(c, Find{Partner: e.Partner, Where: in("entry_id", e.ID), Order: []Order{{Column: "created_at"}}})
	for _, a := range rows {
		out = append(out, viewThumb(e, a))
	}
	return out, err
}

func (c *call) thumbsByEntry() (any, error) { return c.thumbsOf(c.args.str("entryId")) }

func (c *call) thumbList() (any, error) {
	id := c.args.tree("filter").str("entryIdEqual")
	if id == "" {
		return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaThumbAssetFilter::entryIdEqual/KalturaThumbAssetFilter::entryIdIn")
	}
	thumbs, err := c.thumbsOf(id)
	if err != nil {
		return nil, err
	}
	return list("KalturaThumbAssetListResponse", len(thumbs), c.cutPage(thumbs)), nil
}

func (c *call) thumbURL() (any, error) {
	a, e, err := c.thumb(c.tables(), c.args.str("id"))
	if err != nil {
		return nil, err
	}
	if a.Status != thumbReady {
		return nil, refuse("THUMB_ASSET_IS_NOT_READY")
	}
	if strings.HasPrefix(a.ID, thumbPrefix) {
		return c.view(e).get("thumbnailUrl"), nil
	}
	return c.BaseURL + "/api_v3/index.php/service/thumbasset/action/serve/thumbAssetId/" + a.ID, nil
}

// thumbServe gives the file of a picture. Its id alone opens it, as with captions.
func (c *call) thumbServe() (any, error) {
	id := c.args.str("thumbAssetId")
	found, err := c.tables().Thumbs().Find(c, Find{Partner: c.partner(), Where: all(in("id", id), in("status", int64(thumbReady))), Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, refuse("THUMB_ASSET_ID_NOT_FOUND", "ID", id)
	}
	data, err := c.readBlob(c, found[0].Blob, maxThumb)
	if err != nil {
		return nil, err
	}
	return &document{kind: contentType("a." + found[0].FileExt), keep: time.Minute, body: string(data)}, nil
}

// picture gives the file of an entry's default picture; "" = there is none but the package's.
func (p *Platform) picture(ctx context.Context, e Entry) (string, error) {
	if e.ThumbID == "" {
		return "", nil
	}
	a, err := p.Records.Kaltura().Thumbs().Get(ctx, e.Partner, e.ThumbID)
	if missing(err) {
		return "", nil
	}
	return a.Blob, err
}
