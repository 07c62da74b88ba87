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
	actor  Actor
	editor Editor
}

// hand opens the account for whoever a folder acts for.
func (s *DropFolders) hand(ctx context.Context, folder DropFolder) (hand, error) {
	a, err := s.maker(ctx, s.Store, folder)
	if err != nil {
		return hand{}, err
	}
	return s.handOf(ctx, a)
}

func (s *DropFolders) handOf(ctx context.Context, a Actor) (hand, error) {
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return hand{}, err
	}
	if a.Machine() && o.Integration.Visibility == VisibilityOwn {
		return hand{}, E(Forbidden, "machine_own", "The hub shows each person only their own media, and this folder acts for an app.").
			Next("Have a person edit the folder: it acts for them then.")
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
	return hand{o, a, e}, nil
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

// referred gives the entries with a reference id that the hand may touch, oldest first.
func (h hand) referred(ctx context.Context, referenceID string) ([]Media, error) {
	all, err := h.editor.FindAll(ctx, h.actor, referenceID)
	if err != nil {
		return nil, err
	}
	var out []Media
	for _, m := range all {
		m, err := h.entry(ctx, m.ID)
		if IsReason(err, "entry_not_found") {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// plan decides what an item does, and to which entry (none: it makes one), and checks that it may and can.
// Nothing is changed.
func (h hand) plan(ctx context.Context, it ManifestItem) (ManifestAction, Media, error) {
	action, m, err := h.target(ctx, it)
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
	if err := h.allowed(it); err != nil {
		return action, m, err
	}
	return action, m, h.editor.Check(ctx, h.actor, it.change())
}

func (h hand) target(ctx context.Context, it ManifestItem) (ManifestAction, Media, error) {
	action := it.Action
	switch {
	case it.EntryID != "" && action == ManifestAdd:
		return action, Media{}, E(Invalid, "add_names_entry", "An item that adds an entry cannot name its id.").Next("Leave the id out, or update the entry.").At("/entry_id")
	case it.EntryID != "":
		m, err := h.entry(ctx, it.EntryID)
		return cmp.Or(action, ManifestUpdate), m, err
	case action == ManifestAdd || it.ReferenceID == "" && action == "":
		return ManifestAdd, Media{}, nil
	case it.ReferenceID == "":
		return action, Media{}, E(Invalid, "entry_unnamed", "The item names no entry.").Next("Say its entry id or reference id.")
	}
	found, err := h.referred(ctx, it.ReferenceID)
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
	return cmp.Or(action, ManifestUpdate), found[0], nil
}

// allowed refuses what would make an entry somebody else's in a hub where each handles only their own.
func (h hand) allowed(it ManifestItem) error {
	if h.Integration.Visibility == VisibilityOwn && it.UserID != "" && it.UserID != h.actor.PlatformUserID {
		return E(Forbidden, "user_not_own", "The hub lets each person handle only their own media; the item names another user.").
			Next("Leave the user out, or name %s.", h.actor.PlatformUserID).At("/user_id")
	}
	return nil
}
