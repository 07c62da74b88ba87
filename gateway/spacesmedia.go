package gateway

import (
	"context"
	"encoding/hex"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Registration is what the spaces platform says about one of its own media. It is the whole truth
// about it: what is left out is empty. Saying the same again changes nothing.
type Registration struct {
	ExternalID string // the client's own name for it, unique per hub and client
	Name       string
	Tags       []string
	Is360      bool       // besides what the file says of itself
	Owner      *OwnerName // nil = the hub's
	Shared     *bool      // with the hub; nil = when nobody owns it
	Version    int64      // what the client last saw; 0 = whatever it is

	// The content, which never changes: an address, or an upload with TargetLibrary. Empty = what is
	// there already.
	URL      string
	UploadID string
	SHA256   string // lower-case hex; empty = unknown
}

// OwnerName names a participant as the identity provider does.
type OwnerName struct{ Issuer, Subject string }

// Fetcher gets media from addresses that clients name. Safe for concurrent use.
type Fetcher interface {
	// Check gives an address's normal form, or Invalid when it may not be called.
	Check(url string) (string, error)
	// Fetch streams from start on. mark is what the bytes before start were known by; Conflict with
	// reason "source_changed" when they cannot be continued. Invalid, NotFound, Forbidden and TooLarge
	// are final, Unavailable is worth repeating.
	Fetch(ctx context.Context, url string, start int64, mark string) (Fetched, error)
}

// contentMarks tell whether two registrations mean the same content: by digest when both are known,
// else by address. They are kept as one text.
type contentMarks struct{ url, sum string }

func (m contentMarks) String() string {
	if m == (contentMarks{}) {
		return ""
	}
	return m.url + "|" + m.sum
}

func readMarks(key string) contentMarks {
	u, s, _ := strings.Cut(key, "|")
	return contentMarks{u, s}
}

func (m contentMarks) same(o contentMarks) bool {
	if m.sum != "" && o.sum != "" {
		return m.sum == o.sum
	}
	return m.url != "" && m.url == o.url
}

// registered is a checked registration.
type registered struct {
	Registration
	marks  contentMarks
	owner  string // participant id
	shared bool
	upload Upload
}

func (r registered) content() bool { return r.URL != "" || r.UploadID != "" }

const maxExternalID = 300

// Register takes a medium of the spaces platform into the hub's library, or changes what is said
// about it. The bytes are fetched by a job; outcome is one of the Push words. The same external id
// with other content is a Conflict, unless the first content never came.
func (s *Library) Register(ctx context.Context, a Actor, in Registration) (it LibraryItem, job Job, outcome string, err error) {
	if err = registrar(a); err != nil {
		return it, job, "", err
	}
	r, err := s.checkRegistration(ctx, a, in)
	if err != nil {
		return it, job, "", err
	}
	var oldAsset string
	err = retryConflict(func() error { // twice at once: the second finds the first
		return s.Store.Tx(ctx, func(tx Tx) error {
			var err error
			it, job, outcome, oldAsset, err = s.register(ctx, tx, a, r)
			return err
		})
	})
	if err != nil {
		return LibraryItem{}, Job{}, "", err
	}
	return it, job, outcome, s.Assets.Remove(context.WithoutCancel(ctx), oldAsset)
}

func (s *Library) checkRegistration(ctx context.Context, a Actor, in Registration) (r registered, err error) {
	r.Registration = in
	switch {
	case in.ExternalID == "" || len(in.ExternalID) > maxExternalID || !utf8.ValidString(in.ExternalID) || strings.ContainsFunc(in.ExternalID, unseen):
		return r, E(Invalid, "external_id_invalid", "The external id is empty, too long or holds characters that cannot be seen.").
			Next("Use 1 to 300 bytes of plain text, the same ones every time.").At("/external_id")
	case in.URL != "" && in.UploadID != "":
		return r, E(Invalid, "content_twice", "The content is given both as an address and as an upload.").Next("Give one of them.").At("/url")
	}
	if r.Name, r.Tags, err = checkItemText(in.Name, in.Tags); err != nil {
		return r, err
	}
	if in.SHA256 != "" {
		if b, err := hex.DecodeString(in.SHA256); err != nil || len(b) != 32 {
			return r, E(Invalid, "digest_invalid", "The SHA-256 is not 64 hexadecimal digits.").Next("Send it as 64 digits 0-9a-f, or leave it out.").At("/sha256")
		}
		r.marks.sum = strings.ToLower(in.SHA256)
	}
	if in.URL != "" {
		if r.URL, err = s.Fetcher.Check(in.URL); err != nil {
			return r, err
		}
		r.marks.url = hashToken(r.URL)
	}
	if in.UploadID != "" {
		if r.upload, err = s.uploadFor(ctx, a, in); err != nil {
			return r, err
		}
		r.marks.sum = r.upload.SHA256
	}
	if in.Owner != nil {
		people, err := s.Store.Participants().BySubject(ctx, Scope(a.HubID), in.Owner.Issuer, in.Owner.Subject)
		if err != nil {
			return r, err
		}
		if len(people) == 0 {
			return r, E(Invalid, "owner_unknown", "Nobody with this issuer and subject is in the hub.").
				Next("Register it without an owner, or after the person has signed in to the hub once.").At("/owner")
		}
		r.owner = people[0].ID
	}
	r.shared = r.owner == ""
	if in.Shared != nil {
		r.shared = *in.Shared
	}
	return r, nil
}

func checkItemText(name string, tags []string) (string, []string, error) {
	name = cleanText(name)
	if name == "" || len(name) > maxName {
		return "", nil, E(Invalid, "name_invalid", "The name is empty or longer than 1024 bytes.").Next("Give it a short name.").At("/name")
	}
	tags, err := cleanTags(tags)
	return name, tags, err
}

// uploadFor gives the upload that is to become an item.
func (s *Library) uploadFor(ctx context.Context, a Actor, in Registration) (Upload, error) {
	u, err := s.Store.Uploads().Get(ctx, Scope(a.HubID), in.UploadID)
	switch {
	case CodeOf(err) == NotFound || err == nil && !owns(a, u.ParticipantID, u.ClientID):
		return u, E(NotFound, "upload_not_found", "There is no such upload.").Next("Check the id, or upload the file again.").At("/upload_id")
	case err != nil:
		return u, err
	case u.Target != TargetLibrary:
		return u, E(Conflict, "upload_for_kaltura", "This upload goes to Kaltura, so its file is not kept here.").
			Next("Import its entry as a copy, or upload the file again with the target library.").At("/upload_id")
	case u.State != UploadReady:
		return u, E(Conflict, "upload_unfinished", "This upload is not finished.").Next("Send the rest and finish it; then register it.").At("/upload_id")
	case in.SHA256 != "" && !strings.EqualFold(in.SHA256, u.SHA256):
		return u, E(Invalid, "digest_mismatch", "The uploaded file has another SHA-256.").Next("Check which file was meant.").At("/sha256")
	}
	return u, nil
}

// register finds the item or makes it, in one transaction.
func (s *Library) register(ctx context.Context, tx Tx, a Actor, r registered) (it LibraryItem, job Job, outcome, oldAsset string, err error) {
	it, err = tx.Spaces().ByExternal(ctx, a.HubID, a.ClientID, r.ExternalID)
	if CodeOf(err) == NotFound {
		switch {
		case r.Version > 0:
			return it, job, "", "", E(Conflict, "item_removed", "The item was removed in the meantime.").
				Next("Forget it, or register it anew without an etag.")
		case !r.content():
			return it, job, "", "", E(Invalid, "content_missing", "Nothing is registered under this external id, and no content is given.").
				Next("Give an address or a finished upload.").At("/url")
		}
		it = LibraryItem{
			Row: Row{ID: NewID("lib"), HubID: a.HubID}, Source: SourceSpaces, ClientID: a.ClientID, ExternalID: r.ExternalID,
			Kind: ItemCopy, RenditionID: RenditionOriginal,
		}
		it.describe(r)
		if job, err = s.begin(ctx, tx, &it, r); err != nil {
			return it, job, "", "", err
		}
		if err = tx.Library().Insert(ctx, &it); err != nil {
			return it, job, "", "", err
		}
		if err = audit(ctx, tx, a, "library.register", it.ID, itemFacts(it)); err != nil {
			return it, job, "", "", err
		}
		return it, job, PushCreated, "", s.tell(ctx, tx, it, job, "library.item_registered")
	}
	if err != nil {
		return it, job, "", "", err
	}
	if it.JobID != "" {
		if job, err = tx.Jobs().Get(ctx, AnyHub, it.JobID); err != nil && CodeOf(err) != NotFound {
			return it, job, "", "", err
		}
	}
	before := it
	dead := it.State == ItemFailed || it.State == ItemCancelled
	again := dead && r.content()
	if r.content() && !dead && !r.marks.same(readMarks(it.ContentKey)) {
		return it, job, "", "", E(Conflict, "other_content", "Other content is registered under this external id; what an item shows never changes.").
			Next("Register it under another external id, or remove the item first and register it again.")
	}
	it.describe(r)
	changed := !it.sameText(before) || it.Shared != before.Shared || it.ParticipantID != before.ParticipantID
	switch {
	case !changed && !again:
		return it, job, PushUnchanged, "", nil
	case r.Version > 0 && r.Version != before.Version:
		return it, job, "", "", staleItem()
	}
	if again {
		oldAsset, it.AssetID = it.AssetID, ""
		if job, err = s.begin(ctx, tx, &it, r); err != nil {
			return it, job, "", "", err
		}
	}
	if err = tx.Library().Update(ctx, &it); err != nil {
		return it, job, "", "", err
	}
	if again {
		if err = s.tell(ctx, tx, it, job, "library.item_registered"); err != nil {
			return it, job, "", "", err
		}
	}
	return it, job, PushUpdated, oldAsset, s.tellChange(ctx, tx, a, before, it, job)
}

// describe takes over what is said about an item.
func (it *LibraryItem) describe(r registered) {
	it.Name, it.Tags, it.ParticipantID, it.Shared = r.Name, r.Tags, r.owner, r.shared
	it.Is360 = r.Is360 || it.Detected360
	if it.Type == "" {
		it.Type = typeOf(r.fileName(), r.upload.ContentType)
	}
}

// sameText tells whether name, tags and 360 are the same.
func (it LibraryItem) sameText(o LibraryItem) bool {
	return it.Name == o.Name && it.Is360 == o.Is360 && slices.Equal(it.Tags, o.Tags)
}

// fileName is what the file is called at its source; its ending hints at what it is.
func (r registered) fileName() string {
	if r.UploadID != "" {
		return r.upload.Name
	}
	if u, err := url.Parse(r.URL); err == nil {
		return path.Base(u.Path)
	}
	return ""
}

// begin queues the fetching of an item's content.
func (s *Library) begin(ctx context.Context, tx Tx, it *LibraryItem, r registered) (Job, error) {
	job := Job{
		Row: Row{ID: NewID("job"), HubID: it.HubID}, ParticipantID: it.ParticipantID, ClientID: it.ClientID,
		Kind: "import", Subject: it.ID, State: JobQueued,
	}
	it.JobID, it.State = job.ID, ItemPending
	it.ErrorCode, it.ErrorText, it.NextStep = "", "", ""
	it.ContentKey, it.UploadID, it.SourceURL = r.marks.String(), r.UploadID, nil
	if r.UploadID != "" {
		u, err := tx.Uploads().Get(ctx, Scope(it.HubID), r.UploadID)
		if err != nil {
			return job, err
		}
		if u.State != UploadReady || u.ItemID != "" && u.ItemID != it.ID {
			return job, E(Conflict, "upload_used", "This upload has become an item already.").Next("Upload the file again for another one.").At("/upload_id")
		}
		u.ItemID = it.ID
		if err = tx.Uploads().Update(ctx, &u); err != nil {
			return job, err
		}
	} else {
		sealed, err := s.Sealer.Seal(Secret(r.URL), it.Place())
		if err != nil {
			return job, err
		}
		it.SourceURL = sealed
	}
	if err := tx.Jobs().Insert(ctx, &job); err != nil {
		return job, err
	}
	return job, tx.Enqueue(ctx, ImportItem{ItemID: it.ID})
}

// External gives the item that the asking client registered under its own id. NotFound for everybody else.
func (s *Library) External(ctx context.Context, a Actor, externalID string) (LibraryItem, error) {
	if !a.Machine() || a.ClientID == "" {
		return LibraryItem{}, itemNotFound()
	}
	return s.Store.Spaces().ByExternal(ctx, a.HubID, a.ClientID, externalID)
}

// ItemChange is what somebody changes of an item; nil stays as it is.
type ItemChange struct {
	Shared *bool
	Name   *string
	Tags   *[]string
	Is360  *bool
}

// Change shares, renames and retags: the importer, owner or registering client, or an admin; audited.
// Imported items follow their entry, so that only sharing is ours.
func (s *Library) Change(ctx context.Context, a Actor, id string, version int64, c ItemChange) (LibraryItem, error) {
	if err := needScope(a, ScopeLibraryWrite); err != nil {
		return LibraryItem{}, err
	}
	it, err := s.own(ctx, a, id)
	if err != nil {
		return LibraryItem{}, err
	}
	text := c.Name != nil || c.Tags != nil || c.Is360 != nil
	if text && it.Source != SourceSpaces {
		return it, E(Conflict, "follows_kaltura", "The name, tags and 360° mark of an imported item are those of its entry.").
			Next("Change them in Kaltura; the item follows.")
	}
	return s.change(ctx, id, func(tx Tx, it *LibraryItem) error {
		if it.Version != version {
			return staleItem()
		}
		before := *it
		if c.Shared != nil {
			it.Shared = *c.Shared
		}
		if text {
			name, tags := it.Name, it.Tags
			if c.Name != nil {
				name = *c.Name
			}
			if c.Tags != nil {
				tags = *c.Tags
			}
			if c.Is360 != nil {
				it.Is360 = *c.Is360 || it.Detected360
			}
			var err error
			if it.Name, it.Tags, err = checkItemText(name, tags); err != nil {
				return err
			}
		}
		if it.sameText(before) && it.Shared == before.Shared {
			return errUnchanged
		}
		return s.tellChange(ctx, tx, a, before, *it, Job{Row: Row{ID: it.JobID}, State: JobDone, Progress: 1})
	})
}

// Share makes an item visible to the hub or takes that back.
func (s *Library) Share(ctx context.Context, a Actor, id string, version int64, shared bool) (LibraryItem, error) {
	return s.Change(ctx, a, id, version, ItemChange{Shared: &shared})
}

// tellChange writes audit and events of what somebody changed of an item.
func (s *Library) tellChange(ctx context.Context, tx Tx, a Actor, before, it LibraryItem, j Job) error {
	if !it.sameText(before) {
		if err := audit(ctx, tx, a, "library.rename", it.ID, itemFacts(it)); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, it, j, "library.item_renamed"); err != nil {
			return err
		}
	}
	if it.ParticipantID != before.ParticipantID {
		if err := audit(ctx, tx, a, "library.owner", it.ID, itemFacts(it)); err != nil {
			return err
		}
	}
	if it.Shared == before.Shared {
		return nil
	}
	action, typ := "library.share", "library.item_shared"
	if !it.Shared {
		action, typ = "library.unshare", "library.item_unshared"
	}
	if err := audit(ctx, tx, a, action, it.ID, itemFacts(it)); err != nil {
		return err
	}
	// Everybody hears of it: to them the item appears or goes away, and of one that goes they learn no more than that.
	var news any = s.announcement(ctx, tx, it, j)
	if !it.Shared {
		news = GoneNews{it.ID}
	}
	return s.Events.Append(ctx, tx, it.HubID, "", typ, it.ID, news)
}

// GoneNews is what events say about an item that is removed or no longer shared.
type GoneNews struct {
	ID string `json:"id"`
}
