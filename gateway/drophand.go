package gateway

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// hand is one who may handle entries: whoever a folder acts for, on the hub's account.
type hand struct {
	Opened
	s      *DropFolders
	actor  Actor
	editor Editor
}

// hand opens the account for whoever a folder acts for.
func (s *DropFolders) hand(ctx context.Context, folder DropFolder) (hand, error) {
	a, err := s.maker(ctx, s.Store, folder)
	if err != nil {
		return hand{}, err
	}
	h, err := s.handOf(ctx, a)
	if err == nil {
		err = folder.goesTo(h.Integration)
	}
	return h, err
}

// goesTo refuses an account that is not the folder's: what was begun in one is not ended in another.
func (f DropFolder) goesTo(in Integration) error {
	if in.ID == f.IntegrationID {
		return nil
	}
	return E(Conflict, "account_changed", "The hub was connected to another Kaltura account since.").Next("Save the folder's settings: then its files go to that account.")
}

// handles refuses an actor who has no media of their own where each may handle only these.
func (a Actor) handles(in Integration) error {
	if a.Machine() && in.Visibility == VisibilityOwn {
		return E(Forbidden, "machine_own", "The hub shows each person only their own media, and this folder acts for an app.").
			Next("Have a person save the folder's settings: then it acts in their name.")
	}
	return nil
}

// speaksFor refuses all but whoever a folder acts for, where each may handle only their own media: what is sent to it is
// done in that one's name.
func (a Actor) speaksFor(maker Actor, in Integration) error {
	if in.Visibility != VisibilityOwn || a.self() == maker.self() {
		return nil
	}
	return E(Forbidden, "folder_not_own", "The hub lets each person handle only their own media, and this folder acts for somebody else.").
		Next("Use a folder of your own, or ask whoever made this one.")
}

func (s *DropFolders) handOf(ctx context.Context, a Actor) (hand, error) {
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return hand{}, err
	}
	if err = a.handles(o.Integration); err != nil {
		return hand{}, err
	}
	if err = o.Integration.paused(); err != nil {
		return hand{}, err
	}
	if a, err = s.Mappings.Resolve(ctx, a, o); err != nil {
		return hand{}, err
	}
	e, ok := o.Platform.(Editor)
	if !ok {
		return hand{}, notOffered()
	}
	return hand{o, s, a, e}, nil
}

// entry gives an entry that the hand may touch. NotFound otherwise, whatever the cause.
func (h hand) entry(ctx context.Context, id string) (Media, error) {
	missing := E(NotFound, "entry_not_found", "There is no entry "+cutText(id, 64)+", or this folder may not touch it.").
		Next("Check the id. What the hub's people may see in Kaltura is set under Integrations.")
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, notIDRune) {
		return Media{}, missing
	}
	m, err := h.Platform.Get(ctx, h.actor, id)
	switch {
	case CodeOf(err) == NotFound, CodeOf(err) == Forbidden && !passes(err):
		return Media{}, missing
	case err != nil:
		return Media{}, err
	case !Decide(h.actor, h.Integration, m).Allowed:
		return Media{}, missing
	}
	return m, nil
}

// plan decides what an item does, and to which entry (none: it makes one), and checks that it may and can.
// by is the id of its row, "" when it is only looked at. Nothing is changed.
func (h hand) plan(ctx context.Context, it ManifestItem, by string) (ManifestAction, Media, error) {
	action, m, err := h.target(ctx, it, by)
	if err != nil {
		return action, m, err
	}
	if action == ManifestDelete {
		if _, ok := h.Platform.(Remover); !ok {
			return action, m, notOffered()
		}
		return action, m, nil
	}
	if action == ManifestAdd && it.mediaType() == "" {
		return action, m, E(Invalid, "type_missing", "The item does not say what it is.").Next("Say its media type: video, image or audio.").At("/type")
	}
	if err := h.s.possible(h.actor.HubID, it); err != nil {
		return action, m, err
	}
	if err := h.allowed(it.UserID, "item"); err != nil {
		return action, m, err.At("/user_id")
	}
	if err := h.related(ctx, it); err != nil {
		return action, m, err
	}
	err = h.editor.Check(ctx, h.actor, it.change())
	if IsReason(err, "parent_unknown") { // it was just made
		err = errMaking(it.ParentReferenceID)
	}
	return action, m, err
}

func (h hand) target(ctx context.Context, it ManifestItem, by string) (ManifestAction, Media, error) {
	action := it.Action
	switch {
	case it.EntryID != "" && action == ManifestAdd:
		return action, Media{}, E(Invalid, "add_names_entry", "An item that adds an entry cannot name its id.").Next("Leave the id out, or update the entry.").At("/entry_id")
	case it.EntryID != "":
		m, err := h.entry(ctx, it.EntryID)
		if err == nil {
			err = h.mayTouch(ctx, m, it, by)
		}
		return cmp.Or(action, ManifestUpdate), m, err
	case action == ManifestAdd || it.ReferenceID == "" && action == "":
		return ManifestAdd, Media{}, nil
	case it.ReferenceID == "":
		return action, Media{}, E(Invalid, "entry_unnamed", "The item names no entry.").Next("Say its entry id or reference id.")
	}
	found, err := h.referred(ctx, it.ReferenceID, by)
	switch {
	case err != nil:
		return action, Media{}, err
	case len(found) == 0 && action == "":
		return ManifestAdd, Media{}, nil
	case len(found) == 0:
		return action, Media{}, E(NotFound, "reference_not_found", "There is no entry with the reference id "+cutText(it.ReferenceID, 200)+", or this folder may not touch it.").
			Next("Check the reference id.").At("/reference_id")
	case len(found) > 1 && action == ManifestDelete:
		return action, Media{}, E(Conflict, "reference_ambiguous", fmt.Sprintf("%d entries have the reference id %s.", len(found), cutText(it.ReferenceID, 200))).
			Next("Name the entry to be deleted by its id.").At("/reference_id")
	}
	return cmp.Or(action, ManifestUpdate), found[0], h.mayTouch(ctx, found[0], it, by)
}

// allowed refuses what would make an entry somebody else's in a hub where each handles only their own.
func (h hand) allowed(user, what string) *Error {
	if h.Integration.Visibility != VisibilityOwn || user == "" || user == h.actor.PlatformUserID {
		return nil
	}
	return E(Forbidden, "user_not_own", "The hub lets each person handle only their own media; the "+what+" names another user.").
		Next("Leave the user out, or name %s.", h.actor.PlatformUserID)
}

// possible refuses sources that cannot be had here, or not be compared with what is said of them, and contents of a kind
// that the hub does not take.
func (s *DropFolders) possible(hubID string, it ManifestItem) error {
	if err := s.accepted(hubID, it); err != nil {
		return err
	}
	for _, c := range it.Contents {
		if err := s.address(c.ManifestResource); err != nil {
			return AsError(err).At("/contents")
		}
		if c.Token != "" && (c.Size != 0 || c.MD5 != "" || c.SHA1 != "" || c.SHA256 != "") {
			return E(Invalid, "checksum_unverifiable", "Size and checksum of what an upload token holds cannot be verified here.").
				Next("Leave them out, or send the file into the folder.").At("/contents")
		}
		if c.AssetID != "" {
			return errAssetSource().At("/contents")
		}
	}
	for _, t := range it.Thumbnails {
		if err := s.address(t.ManifestResource); err != nil {
			return AsError(err).At("/thumbnails")
		}
		if t.Token != "" {
			return E(Invalid, "thumbnail_token", "A thumbnail cannot come from an upload token here.").Next("Send the picture into the folder and name it.").At("/thumbnails")
		}
		if t.AssetID != "" {
			return errAssetSource().At("/thumbnails")
		}
	}
	return nil
}

// accepted refuses contents of a kind that the hub does not take, by their names.
func (s *DropFolders) accepted(hubID string, it ManifestItem) error {
	for _, c := range it.Contents {
		n := c.fileName()
		if c.File == "" && typeOf(n, "") == Other { // an address need not have a file's name
			continue
		}
		if _, err := s.accepts(hubID).check(n, ""); err != nil {
			return AsError(err).At("/contents")
		}
	}
	return nil
}

// address refuses an address that may not be called. The error does not name it: it may hold a secret.
func (s *DropFolders) address(r ManifestResource) error {
	if r.URL == "" {
		return nil
	}
	if s.Fetcher == nil {
		return E(Invalid, "address_not_offered", "This server fetches no addresses.").Next("Send the file into the folder and name it.")
	}
	_, err := s.Fetcher.Check(r.URL)
	return err
}

func errAssetSource() *Error {
	return E(Invalid, "asset_source", "Another entry's rendition cannot be a source here.").Next("Name the entry itself, or send the file into the folder.")
}

// related refuses a template or a parent that the hand may not touch: who names one may learn or copy what it says.
func (h hand) related(ctx context.Context, it ManifestItem) error {
	if it.TemplateEntryID != "" {
		if _, err := h.entry(ctx, it.TemplateEntryID); IsReason(err, "entry_not_found") {
			return E(Invalid, "template_unknown", "There is no entry with the id of the template, or this folder may not touch it.").
				Next("Name an entry of the hub.").At("/template_entry_id")
		} else if err != nil {
			return err
		}
	}
	if it.ParentReferenceID == "" {
		return nil
	}
	found, err := h.referred(ctx, it.ParentReferenceID, "")
	if err == nil && len(found) == 0 {
		err = E(Invalid, "parent_unknown", "There is no entry with the reference id of the parent, or this folder may not touch it.").
			Next("Make the parent first, or correct its reference id.").At("/parent_reference_id")
	}
	return err
}
