package kaltura

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"isthmus/gateway"
)

const (
	pictureMax     = 16 << 20
	picturesAtOnce = 2 // in memory
	thumbReady     = 2
	thumbFailed    = -1
	thumbDefault   = "default_thumb"
)

// SetThumbnail implements gateway.Editor. The picture's digest is a tag of its asset, so that a picture whose
// answer was lost is found again and never there twice.
func (p *Platform) SetThumbnail(ctx context.Context, a gateway.Actor, id string, r io.Reader, size int64, isDefault bool) error {
	if size > pictureMax {
		return gateway.E(gateway.TooLarge, "thumbnail_too_large", "Thumbnails have at most 16 MiB.").Next("Make the picture smaller.")
	}
	select {
	case p.pictures <- struct{}{}:
		defer func() { <-p.pictures }()
	case <-ctx.Done():
		return public(ctx.Err())
	}
	picture, err := readPicture(r, size)
	if err != nil {
		return err
	}
	w, err := p.editor(ctx, a)
	if err == nil {
		_, err = p.inside(ctx, w, id)
	}
	if err != nil {
		return public(err)
	}
	digest := sha256.Sum256(picture)
	tag := "isthmus-" + hex.EncodeToString(digest[:16])
	ch := p.finishing.DoChan("thumb "+id+" "+tag, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*p.patience)
		defer cancel()
		return nil, p.putThumb(ctx, w, id, tag, picture)
	})
	if r := <-ch; r.Err != nil {
		return public(r.Err)
	}
	if isDefault {
		err = p.defaultThumb(ctx, w, id, tag)
	}
	return public(err)
}

func readPicture(r io.Reader, size int64) ([]byte, error) {
	picture := make([]byte, max(0, size))
	if _, err := io.ReadFull(r, picture); err != nil {
		return nil, gateway.E(gateway.Unavailable, "source_failed", "The picture could not be read.").Next("Try again.").Because(err)
	}
	switch http.DetectContentType(picture) {
	case "image/jpeg", "image/png", "image/gif", "image/bmp", "image/webp":
		return picture, nil
	}
	return nil, gateway.E(gateway.Invalid, "thumbnail_not_a_picture", "The thumbnail is no picture that Kaltura shows.").Next("Use JPEG or PNG.")
}

// thumb finds the asset with a tag; no id means none.
func (p *Platform) thumb(ctx context.Context, w who, id, tag string) (thumbAsset, error) {
	var l list[thumbAsset]
	err := p.as(ctx, w, "thumbasset.list", params{
		"filter": params{"objectType": "KalturaThumbAssetFilter", "entryIdEqual": id},
		"pager":  params{"pageSize": pageMax, "pageIndex": 1},
	}, &l)
	if err != nil {
		return thumbAsset{}, err
	}
	at := slices.IndexFunc(l.Objects, func(t thumbAsset) bool { return t.Status != thumbFailed && hasTag(splitTags(string(t.Tags)), tag) })
	if at < 0 {
		return thumbAsset{}, nil
	}
	return l.Objects[at], nil
}

// putThumb makes the asset and gives it the picture, as far as that was not done before.
func (p *Platform) putThumb(ctx context.Context, w who, id, tag string, picture []byte) error {
	at, err := p.thumb(ctx, w, id, tag)
	if err != nil {
		return err
	}
	if at.ID == "" {
		const op = "thumbasset.add"
		err = p.with(ctx, w, func(s session) error {
			q := params{"entryId": id, "thumbAsset": params{"objectType": "KalturaThumbAsset", "tags": tag}}
			a, err := p.guard.once(ctx, op, func(ctx context.Context) (answer, error) { return p.call(ctx, op, q, s.ks.Reveal()) })
			if err != nil {
				return err
			}
			return a.decode(op, &at)
		})
		if sick(err) { // perhaps only the answer was lost
			had, lerr := p.thumb(ctx, w, id, tag)
			if lerr != nil || had.ID == "" {
				return err
			}
			at, err = had, nil
		}
		if err != nil {
			return err
		}
	}
	if at.Status == thumbReady {
		return nil
	}
	token, err := p.lend(ctx, w, picture)
	if err != nil {
		return err
	}
	err = p.as(ctx, w, "thumbasset.setContent", params{"id": string(at.ID), "contentResource": tokenResource(token)}, &at)
	if strings.HasPrefix(code(err), "UPLOAD") { // used by an attempt whose answer was lost
		had, lerr := p.thumb(ctx, w, id, tag)
		if lerr != nil || had.Status != thumbReady {
			return err
		}
		return nil
	}
	if err == nil && at.Status == thumbFailed {
		return gateway.E(gateway.Invalid, "thumbnail_not_a_picture", "Kaltura could not read the thumbnail.").Next("Use JPEG or PNG.")
	}
	return err
}

// lend sends a small file to an upload token of its own.
func (p *Platform) lend(ctx context.Context, w who, data []byte) (token string, _ error) {
	var t uploadToken
	err := p.as(ctx, w, "uploadtoken.add", params{"uploadToken": params{
		"objectType": "KalturaUploadToken", "fileName": "thumbnail" + ending(data), "fileSize": len(data),
	}}, &t)
	if err == nil && t.ID == "" {
		err = &fault{Op: "uploadtoken.add", Kind: faultGarbled, Status: 200}
	}
	if err != nil {
		return "", err
	}
	up := &ingest{p: p, who: w, id: string(t.ID), base: p.uploadBase(string(t.UploadURL)), size: int64(len(data))}
	t, err = up.chunk(ctx, chunk{size: up.size, r: bytes.NewReader(data), final: true})
	if sick(err) {
		t, err = up.token(ctx)
	}
	if err == nil && (t.Status != tokenFull || int64(t.UploadedFileSize) != up.size) {
		err = &fault{Op: "uploadtoken.upload", Kind: faultGarbled, Err: errors.New("size differs")}
	}
	return up.id, err
}

func ending(data []byte) string {
	_, kind, _ := strings.Cut(http.DetectContentType(data), "/")
	if kind == "jpeg" {
		kind = "jpg"
	}
	return "." + kind
}

func tokenResource(token string) params {
	return params{"objectType": "KalturaUploadedFileTokenResource", "token": token}
}

// defaultThumb makes a picture the one that the entry shows.
func (p *Platform) defaultThumb(ctx context.Context, w who, id, tag string) error {
	at, err := p.thumb(ctx, w, id, tag)
	if err != nil || hasTag(splitTags(string(at.Tags)), thumbDefault) {
		return err
	}
	if at.ID == "" {
		return gateway.E(gateway.Unavailable, "thumbnail_gone", "The picture was deleted while it was made the entry's.").Next("Try again.")
	}
	if err := p.as(ctx, w, "thumbasset.setAsDefault", params{"thumbAssetId": string(at.ID)}, nil); err != nil {
		return err
	}
	if at, err = p.thumb(ctx, w, id, tag); err != nil {
		return err
	}
	if !hasTag(splitTags(string(at.Tags)), thumbDefault) {
		return gateway.E(gateway.Forbidden, "field_not_changed", fmt.Sprintf("Kaltura did not make the picture the default of entry %s.", id)).
			Next("Choose it in the KMC.")
	}
	return nil
}
