package gateway

import (
	"context"
	"io"
	"time"
)

// addressLife is how long a download address works: long enough to begin with it, also after a
// webhook was tried again; a download under way goes on.
const addressLife = time.Hour

// Address is where the bytes of an item are got, by whoever has it.
type Address struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// everybody is what a hub shares with all in it, as a viewer of its own in tickets.
const everybody = "hub:"

// Everybody is an actor who may see what is shared with a hub and nothing else.
func Everybody(hubID string) Actor {
	return Actor{HubID: hubID, Role: RoleParticipant, Scopes: []string{ScopeLibraryRead, ScopeMediaRead}}
}

func (s *Library) address(hubID, viewer, itemID string) (Address, error) {
	t, err := s.Tickets.Issue(TicketDownload, hubID+"/"+viewer+"/"+itemID, addressLife)
	return Address{s.BaseURL + "/download/" + t, s.Clock().Add(addressLife)}, err
}

// Address gives a fresh address of an item's bytes, for the actor only.
func (s *Library) Address(ctx context.Context, a Actor, id string) (Address, error) {
	if err := needScope(a, ScopeLibraryRead); err != nil {
		return Address{}, err
	}
	it, err := s.Get(ctx, a, id)
	if err != nil {
		return Address{}, err
	}
	if it.State != ItemReady {
		return Address{}, E(Conflict, "not_ready", "The item's file is not here yet.").Next("Wait until it can be played.")
	}
	if it.Kind == ItemLink { // may it be seen in Kaltura, too?
		if _, err = s.entryOf(ctx, a, it); err != nil {
			return Address{}, err
		}
	}
	return s.address(a.HubID, a.Subject(), it.ID)
}

// entryOf gives the entry of a link as the actor may see it now.
func (s *Library) entryOf(ctx context.Context, a Actor, it LibraryItem) (Media, error) {
	if err := s.sameAccount(ctx, it); err != nil {
		return Media{}, err
	}
	m, _, err := s.Catalog.Get(ctx, a, it.EntryID)
	return m, err
}

// Content is the bytes of an item.
type Content struct {
	Name   string
	MIME   string
	Key    string // of our own bytes
	Size   int64  // of them
	SHA256 string // of them, in hex
	Open   func(ctx context.Context, start int64) (io.ReadCloser, error)
}

// Content opens the original bytes of an item: our own, or a link's through the platform.
func (s *Library) Content(ctx context.Context, a Actor, id string) (Content, error) {
	it, err := s.Get(ctx, a, id)
	if err != nil {
		return Content{}, err
	}
	if it.Kind == ItemCopy {
		as, err := s.Assets.Get(ctx, it.AssetID)
		return Content{Name: as.FileName, MIME: as.Inspection.MIME, Key: as.Original, Size: as.Size, SHA256: as.SHA256}, err
	}
	if _, err = s.entryOf(ctx, a, it); err != nil {
		return Content{}, err
	}
	o, err := s.Catalog.Integrations.OpenFor(ctx, it.HubID, false)
	if err != nil {
		return Content{}, err
	}
	if a, err = s.Catalog.Mappings.Resolve(ctx, a, o); err != nil {
		return Content{}, err
	}
	return Content{Name: it.Name, MIME: "application/octet-stream", Open: func(ctx context.Context, start int64) (io.ReadCloser, error) {
		return o.Platform.Open(ctx, a, it.EntryID, RenditionOriginal, Range{start, -1})
	}}, nil
}

// Acknowledge notes that a client has taken an item over. Repeating it is harmless.
func (s *Library) Acknowledge(ctx context.Context, a Actor, id string) (LibraryItem, error) {
	if err := registrar(a); err != nil {
		return LibraryItem{}, err
	}
	var it LibraryItem
	err := s.Store.Tx(ctx, func(tx Tx) error {
		var err error
		it, err = tx.Library().Get(ctx, Scope(a.HubID), id)
		if CodeOf(err) == NotFound || err == nil && !DecideItem(a, it).Allowed {
			return itemNotFound()
		}
		if err != nil {
			return err
		}
		return tx.Spaces().Acknowledge(ctx, it, a.ClientID, s.Clock())
	})
	return it, err
}

// Announcement is what the spaces platform is told about an item: with an address when it is the
// hub's to see. Of a person's own item the platform asks with a token of that person.
type Announcement struct {
	ItemNews
	Source  ItemSource `json:"source"`
	Shared  bool       `json:"shared"`
	Address *Address   `json:"address,omitempty"`
}

func (s *Library) announcement(ctx context.Context, tx Tx, it LibraryItem, j Job) Announcement {
	n := Announcement{ItemNews: it.News(j), Source: it.Source, Shared: it.Shared}
	viewer := ""
	switch {
	case it.State != ItemReady:
	case it.Shared:
		viewer = everybody
	case it.ParticipantID == "" && it.ClientID != "":
		viewer = "client:" + it.ClientID
	}
	if viewer != "" && it.Kind == ItemLink {
		in, err := tx.Integrations().Get(ctx, AnyHub, it.IntegrationID)
		if err != nil || in.Visibility != VisibilityShared { // a link shows what Kaltura shows to the asker
			viewer = ""
		}
	}
	if viewer != "" {
		if ad, err := s.address(it.HubID, viewer, it.ID); err == nil {
			n.Address = &ad
		}
	}
	return n
}
