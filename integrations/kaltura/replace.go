package kaltura

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"isthmus/gateway"
)

// Replace implements gateway.Replacer. The upload token says whether it was done: it can be used once. Which entry
// used it Kaltura does not tell any more, so one ingest is for one entry.
func (in *ingest) Replace(ctx context.Context, entryID string, flavor, profile gateway.ManifestRef) (gateway.Media, error) {
	ch := in.p.finishing.DoChan("replace "+in.id, func() (any, error) { return in.replace(context.WithoutCancel(ctx), entryID, flavor, profile) })
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

func (in *ingest) replace(ctx context.Context, entryID string, flavor, profile gateway.ManifestRef) (gateway.Media, error) {
	w := in.who
	if !in.ownRight {
		var err error
		if w, err = in.p.admin(ctx, in.who.user); err != nil {
			return gateway.Media{}, err
		}
	}
	r := &replacing{
		ingest: &ingest{p: in.p, who: w, id: in.id, base: in.base, size: in.size}, Platform: in.p,
	}
	var err error
	if r.e, err = r.inside(ctx, w, entryID); err != nil {
		return gateway.Media{}, err
	}
	params := int64(0)
	if !flavor.Zero() {
		if params, err = r.lookUp(ctx, w, flavorParams, flavor); err != nil {
			return gateway.Media{}, err
		}
	}
	if !profile.Zero() && params == 0 { // a rendition is taken as it is
		if r.profile, err = r.lookUp(ctx, w, conversionProfiles, profile); err != nil {
			return gateway.Media{}, err
		}
	}
	if r.t, err = r.token(ctx); err != nil {
		return gateway.Media{}, err
	}
	if r.t.Status != tokenClosed {
		if err := r.close(ctx, r.t); err != nil {
			return gateway.Media{}, err
		}
		switch {
		case params != 0:
			err = r.rendition(ctx, params)
		case r.e.Status == statusNoContent:
			err = r.first(ctx)
		default:
			err = r.content(ctx)
		}
		if err != nil {
			return gateway.Media{}, err
		}
	}
	return r.done(ctx, params != 0)
}

// replacing is one replacement: an upload token, as an editor's session sees it, on its way into an entry.
type replacing struct {
	*Platform
	*ingest
	e       entry
	t       uploadToken
	profile int64 // that converts the new content; 0 = the entry's
}

// used looks whether the token was used after all, by an attempt whose answer was lost.
func (r *replacing) used(ctx context.Context, err error) error {
	if c := code(err); err == nil || c != codeReplacing && !strings.HasPrefix(c, "UPLOAD") {
		return err
	}
	t, terr := r.token(ctx)
	switch {
	case terr != nil:
		return terr
	case t.Status == tokenClosed:
		return nil
	}
	return err
}

// first gives an entry without content its first one, which is converted by the entry's profile.
func (r *replacing) first(ctx context.Context) error {
	id := string(r.e.ID)
	if r.profile != 0 && int64(r.e.ProfileID) != r.profile {
		if err := r.as(ctx, r.who, "media.update", params{"entryId": id, "mediaEntry": params{
			"objectType": "KalturaMediaEntry", "conversionProfileId": r.profile,
		}}, nil); err != nil {
			return err
		}
	}
	_, err := r.attach(ctx, id)
	return err
}

// content replaces the whole content of an entry that has some. Kaltura converts the new one first, as a hidden entry
// that then takes over; only one at a time.
func (r *replacing) content(ctx context.Context) error {
	update := func() error {
		send := params{"entryId": string(r.e.ID), "resource": tokenResource(r.id)}
		if r.profile != 0 {
			send["conversionProfileId"] = r.profile
		}
		err := r.as(ctx, r.who, "media.updateContent", send, nil)
		return r.used(ctx, err)
	}
	err := update()
	if code(err) != codeReplacing {
		return err
	}
	if err := r.supersede(ctx); err != nil {
		return err
	}
	return update()
}

// supersede cancels an older replacement. One that is younger than our token may be our own, whose token Kaltura is
// about to close: cancelled, its bytes would be lost.
func (r *replacing) supersede(ctx context.Context) error {
	wait := func() error {
		return gateway.E(gateway.Unavailable, "replacing", "Other content of this entry is being converted in Kaltura.").
			Next("It is tried again by itself when that is done.").After(15 * time.Second)
	}
	var err error
	if r.e, err = r.entry(ctx, r.who, string(r.e.ID)); err != nil {
		return err
	}
	if r.e.ReplacementStatus != replaceFailed && r.e.ReplacingID != "" {
		other, err := r.entry(ctx, r.who, string(r.e.ReplacingID))
		if err != nil && code(err) != codeEntryMissing {
			return err
		}
		if err != nil || other.CreatedAt >= r.t.CreatedAt || r.t.CreatedAt == 0 {
			return wait()
		}
	} else if r.e.ReplacementStatus != replaceFailed {
		return wait()
	}
	return r.as(ctx, r.who, "media.cancelReplace", params{"entryId": string(r.e.ID)}, nil)
}

// rendition gives one flavour of an entry the bytes as they are.
func (r *replacing) rendition(ctx context.Context, paramsID int64) error {
	id := string(r.e.ID)
	find := func() (string, error) {
		var all []flavorAsset
		err := r.flavors(ctx, r.who, id, &all)
		i := slices.IndexFunc(all, func(f flavorAsset) bool { return int64(f.ParamsID) == paramsID && entryIDs.MatchString(string(f.ID)) })
		if err != nil || i < 0 {
			return "", err
		}
		return string(all[i].ID), nil
	}
	at, err := find()
	if err != nil {
		return err
	}
	if at == "" {
		var made flavorAsset
		err := r.as(ctx, r.who, "flavorasset.add", params{
			"entryId": id, "flavorAsset": params{"objectType": "KalturaFlavorAsset", "flavorParamsId": paramsID},
		}, &made)
		if code(err) == codeFlavorTwice {
			made.ID = ""
			err = nil
		}
		if err != nil {
			return err
		}
		if at = string(made.ID); at == "" {
			if at, err = find(); err != nil {
				return err
			}
		}
	}
	if !entryIDs.MatchString(at) {
		return &fault{Op: "flavorasset.add", Kind: faultGarbled, Status: 200}
	}
	err = r.as(ctx, r.who, "flavorasset.setContent", params{"id": at, "contentResource": tokenResource(r.id)}, nil)
	return r.used(ctx, err)
}

// done looks what became of it. An account may want replacements approved by somebody: the hub does that.
func (r *replacing) done(ctx context.Context, rendition bool) (gateway.Media, error) {
	t, err := r.token(ctx)
	if err != nil {
		return gateway.Media{}, err
	}
	if t.Status != tokenClosed {
		return gateway.Media{}, &fault{Op: "media.updateContent", Kind: faultGarbled, Status: 200, Err: errors.New("the content was not taken")}
	}
	if r.e, err = r.entry(ctx, r.who, string(r.e.ID)); err != nil {
		return gateway.Media{}, err
	}
	if r.e.Status == statusNoContent && !rendition {
		return gateway.Media{}, gateway.E(gateway.Conflict, "content_elsewhere", "These bytes became the content of another entry.").
			Next("Send the file again.")
	}
	if s := r.e.ReplacementStatus; s == replaceReady || s == replaceUnapproved {
		var now entry
		err := r.as(ctx, r.who, "media.approveReplace", params{"entryId": string(r.e.ID)}, &now)
		if notAllowed(err) {
			return gateway.Media{}, gateway.E(gateway.Forbidden, "replacement_not_approved", "The new content waits for approval in Kaltura.").
				Next("Approve it in the KMC, or use an App Token that starts ADMIN sessions.").Because(err)
		}
		if err != nil {
			return gateway.Media{}, err
		}
		if now.ID == r.e.ID {
			r.e = now
		}
	}
	return r.handed(r.e), nil
}
