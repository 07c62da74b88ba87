package gateway

import (
	"context"
	"encoding/json"
	"strconv"
	"time"
)

// PersonExport is all that is kept about a person, in the words of the API. It holds no secrets.
type PersonExport struct {
	ExportedAt time.Time       `json:"exported_at"`
	Format     string          `json:"format"`
	Hubs       []HubExport     `json:"hubs"`
	Sessions   []SessionExport `json:"sessions,omitempty"` // only in one's own export
}

// HubExport is what one hub keeps about a person.
type HubExport struct {
	HubID   string          `json:"hub_id"`
	HubName string          `json:"hub_name"`
	Profile ProfileExport   `json:"profile"`
	Mapping []MappingExport `json:"kaltura_users"`
	Grants  []GrantExport   `json:"apps"`
	Uploads []UploadExport  `json:"uploads"`

	Transfers []TransferExport `json:"transfers"`

	Library []ItemExported `json:"library"`
	Jobs    []JobExport    `json:"jobs"`
	Events  []EventExport  `json:"events"`
	Audit   []AuditExport  `json:"audit"`
}

// The parts of an export.
type (
	ProfileExport struct {
		ID            string     `json:"id"`
		Issuer        string     `json:"issuer"`
		Subject       string     `json:"subject"`
		Name          string     `json:"name"`
		Email         string     `json:"email"`
		EmailVerified bool       `json:"email_verified"`
		Role          Role       `json:"role"`
		CreatedAt     time.Time  `json:"created_at"`
		UpdatedAt     time.Time  `json:"updated_at"`
		SuspendedAt   *time.Time `json:"suspended_at,omitempty"`
	}
	SessionExport struct {
		StartedAt time.Time `json:"started_at"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	MappingExport struct {
		PlatformUserID string       `json:"platform_user_id"`
		How            MappingHow   `json:"how"`
		State          MappingState `json:"state"`
		LastUsedAt     time.Time    `json:"last_used_at"`
	}
	GrantExport struct {
		ClientID   string     `json:"client_id"`
		Scopes     []string   `json:"scopes"`
		Via        GrantVia   `json:"via"`
		CreatedAt  time.Time  `json:"created_at"`
		LastUsedAt *time.Time `json:"last_used_at,omitempty"`
		RevokedAt  *time.Time `json:"revoked_at,omitempty"`
	}
	UploadExport struct {
		ID          string      `json:"id"`
		Name        string      `json:"name"`
		Title       string      `json:"title"`
		Description string      `json:"description,omitempty"`
		Tags        []string    `json:"tags,omitempty"`
		ContentType string      `json:"content_type"`
		Size        int64       `json:"size"`
		SHA256      string      `json:"sha256,omitempty"`
		State       UploadState `json:"state"`
		EntryID     string      `json:"entry_id,omitempty"`
		CreatedAt   time.Time   `json:"created_at"`
	}
	TransferExport struct {
		ID        string         `json:"id"`
		State     TransferState  `json:"state"`
		Policy    TransferPolicy `json:"policy"`
		Device    string         `json:"device,omitempty"`
		CreatedAt time.Time      `json:"created_at"`
		EndedAt   *time.Time     `json:"ended_at,omitempty"`
	}
	ItemExported struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		Type      MediaType `json:"type"`
		Kind      ItemKind  `json:"kind"`
		EntryID   string    `json:"entry_id,omitempty"`
		State     ItemState `json:"state"`
		Shared    bool      `json:"shared"`
		CreatedAt time.Time `json:"created_at"`
	}
	JobExport struct {
		ID        string    `json:"id"`
		Kind      string    `json:"kind"`
		Subject   string    `json:"subject"`
		State     JobState  `json:"state"`
		CreatedAt time.Time `json:"created_at"`
	}
	EventExport struct {
		At      time.Time       `json:"at"`
		Type    string          `json:"type"`
		Subject string          `json:"subject"`
		Data    json.RawMessage `json:"data"`
	}
	AuditExport struct {
		At      time.Time       `json:"at"`
		Actor   string          `json:"actor"`
		Action  string          `json:"action"`
		Subject string          `json:"subject"`
		Data    json.RawMessage `json:"data"`
	}
)

const exportFormat = "isthmus-person-1"

// Export gives all that the hub keeps about one of its members, to its admins.
func (s *People) Export(ctx context.Context, a Actor, id string) (PersonExport, error) {
	p, err := s.Member(ctx, a, id)
	if err != nil {
		return PersonExport{}, err
	}
	err = s.Store.Tx(ctx, func(tx Tx) error { return audit(ctx, tx, a, "member.export", p.ID, map[string]any{}) })
	if err != nil {
		return PersonExport{}, err
	}
	return s.export(ctx, []Participant{p})
}

// ExportOwn gives a person all that is kept about them, in all their hubs.
func (s *People) ExportOwn(ctx context.Context, ses Session) (PersonExport, error) {
	all, err := s.Store.Participants().BySubject(ctx, AnyHub, ses.Issuer, ses.Subject)
	if err != nil {
		return PersonExport{}, err
	}
	err = s.Store.Tx(ctx, func(tx Tx) error {
		for _, p := range all {
			if err := audit(ctx, tx, p.actor(), "member.export", p.ID, map[string]any{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return PersonExport{}, err
	}
	out, err := s.export(ctx, all)
	if err != nil {
		return PersonExport{}, err
	}
	sessions, err := s.Store.Sessions().OfPerson(ctx, ses.Issuer, ses.Subject)
	for _, one := range sessions {
		out.Sessions = append(out.Sessions, SessionExport{one.CreatedAt, one.ExpiresAt})
	}
	return out, err
}

func (s *People) export(ctx context.Context, people []Participant) (PersonExport, error) {
	out := PersonExport{ExportedAt: s.Clock(), Format: exportFormat, Hubs: []HubExport{}}
	for _, p := range people {
		h, err := s.exportHub(ctx, p)
		if err != nil {
			return PersonExport{}, err
		}
		out.Hubs = append(out.Hubs, h)
	}
	return out, nil
}

func (s *People) exportHub(ctx context.Context, p Participant) (h HubExport, err error) {
	hub, err := s.Store.Hubs().Get(ctx, Scope(p.HubID), p.HubID)
	if err != nil {
		return h, err
	}
	h = HubExport{HubID: hub.ID, HubName: hub.Name, Profile: ProfileExport{
		p.ID, p.Issuer, p.Subject, p.Name, p.Email, p.EmailVerified, p.Role, p.CreatedAt, p.UpdatedAt, p.SuspendedAt,
	}}
	self := Actor{HubID: p.HubID, ParticipantID: p.ID, Role: RoleParticipant}
	if in, err := s.Store.Integrations().ByHub(ctx, p.HubID, PlatformKaltura); err == nil {
		m, err := s.Store.Mappings().ByParticipant(ctx, in.ID, p.ID)
		if err == nil {
			h.Mapping = append(h.Mapping, MappingExport{m.PlatformUserID, m.How, m.State, m.LastUsedAt})
		} else if CodeOf(err) != NotFound {
			return h, err
		}
	} else if CodeOf(err) != NotFound {
		return h, err
	}
	for _, part := range []func() error{
		func() error {
			return exportAll(&h.Grants, func(w Slice) ([]Grant, error) { return s.Store.Grants().OfParticipant(ctx, p.ID, w) }, func(g Grant) string { return g.ID }, func(g Grant) (GrantExport, bool) {
				return GrantExport{g.ClientID, g.Scopes, g.Via, g.CreatedAt, g.LastUsedAt, g.RevokedAt}, true
			})
		},
		func() error {
			return exportAll(&h.Uploads, func(w Slice) ([]Upload, error) {
				return s.Store.Uploads().List(ctx, Scope(p.HubID), p.ID, "", nil, w)
			}, func(u Upload) string { return u.ID }, func(u Upload) (UploadExport, bool) {
				return UploadExport{u.ID, u.Name, u.Title, u.Description, u.Tags, u.ContentType, u.Size, u.SHA256, u.State, u.EntryID, u.CreatedAt}, true
			})
		},
		func() error {
			return exportAll(&h.Transfers, func(w Slice) ([]Transfer, error) {
				return s.Store.Transfers().List(ctx, Scope(p.HubID), p.ID, "", "", w)
			}, func(t Transfer) string { return t.ID }, func(t Transfer) (TransferExport, bool) {
				return TransferExport{t.ID, t.State, t.Policy, t.Device, t.CreatedAt, t.EndedAt}, true
			})
		},
		func() error {
			return exportAll(&h.Library, func(w Slice) ([]LibraryItem, error) { return s.Store.Library().List(ctx, self, "", nil, w) },
				func(it LibraryItem) string { return it.ID }, func(it LibraryItem) (ItemExported, bool) {
					return ItemExported{it.ID, it.Name, it.Type, it.Kind, it.EntryID, it.State, it.Shared, it.CreatedAt}, it.ParticipantID == p.ID
				})
		},
		func() error {
			return exportAll(&h.Jobs, func(w Slice) ([]Job, error) { return s.Store.Jobs().List(ctx, self, w) }, func(j Job) string { return j.ID },
				func(j Job) (JobExport, bool) { return JobExport{j.ID, j.Kind, j.Subject, j.State, j.CreatedAt}, true })
		},
		func() error { return s.exportEvents(ctx, &h, self) },
		func() error { return s.exportAudit(ctx, &h, p) },
	} {
		if err := part(); err != nil {
			return h, err
		}
	}
	return h, nil
}

func (s *People) exportEvents(ctx context.Context, h *HubExport, self Actor) error {
	h.Events = []EventExport{}
	for seq := int64(0); ; {
		page, err := s.Store.Events().Since(ctx, self, seq, 500)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			if seq = e.Seq; e.Audience == self.ParticipantID {
				h.Events = append(h.Events, EventExport{e.At, e.Type, e.Subject, e.Data})
			}
		}
	}
}

// exportAudit gives what the person did and what was done to them.
func (s *People) exportAudit(ctx context.Context, h *HubExport, p Participant) error {
	for _, f := range []AuditFilter{{Actor: p.ID}, {Subject: p.ID}} {
		var part []AuditExport
		err := exportAll(&part, func(w Slice) ([]AuditRecord, error) { return s.Store.Audit().List(ctx, Scope(p.HubID), f, w) },
			func(r AuditRecord) string { return strconv.FormatInt(r.Seq, 10) }, func(r AuditRecord) (AuditExport, bool) {
				return AuditExport{r.CreatedAt, r.Actor, r.Action, r.Subject, r.Data}, f.Actor != "" || r.Actor != p.actor().Subject()
			})
		if err != nil {
			return err
		}
		h.Audit = append(h.Audit, part...)
	}
	return nil
}

// exportAll walks a listing to its end.
func exportAll[T, E any](to *[]E, page func(Slice) ([]T, error), id func(T) string, show func(T) (E, bool)) error {
	if *to == nil {
		*to = []E{}
	}
	for w := (Slice{Limit: 500}); ; {
		rows, err := page(w)
		if err != nil {
			return err
		}
		for _, r := range rows {
			w.After = id(r)
			if e, mine := show(r); mine {
				*to = append(*to, e)
			}
		}
		if len(rows) < w.Limit {
			return nil
		}
	}
}
