package integrations_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/store/storetest"
)

// topics makes a profile of custom metadata and gives what reads an entry's.
func (e *embedded) topics(name string) func(id string) string {
	e.t.Helper()
	ks := e.adminKS()
	profile := e.api(ks, "metadata_metadataprofile.add", map[string]any{
		"metadataProfile": map[string]any{"objectType": "KalturaMetadataProfile", "name": name, "systemName": name, "metadataObjectType": "1"},
		"xsdData": `<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema"><xsd:element name="metadata"><xsd:complexType><xsd:sequence>` +
			`<xsd:element name="Topic" type="xsd:string"/></xsd:sequence></xsd:complexType></xsd:element></xsd:schema>`,
	})
	return func(id string) string {
		found := e.api(ks, "metadata_metadata.list", map[string]any{"filter": map[string]any{"objectIdEqual": id, "metadataProfileIdEqual": profile["id"]}})
		text := ""
		for _, o := range found["objects"].([]any) {
			text += o.(map[string]any)["xml"].(string)
		}
		return text
	}
}

// placed gives the full names of the categories that an entry is in.
func (e *embedded) placed(id string) []string {
	e.t.Helper()
	m := e.api(e.adminKS(), "media.get", map[string]any{"entryId": id})
	var out []string
	for name := range strings.SplitSeq(fmt.Sprint(m["categories"]), ",") {
		if name != "" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// everything is a change of all that can be changed.
func (e *embedded) everything(t *testing.T) (gateway.EntryChange, string) {
	t.Helper()
	ks := e.adminKS()
	access := e.api(ks, "accessControl.add", map[string]any{"accessControl": map[string]any{
		"objectType": "KalturaAccessControl", "name": "Members", "systemName": "members",
	}})
	e.topics("topic")
	parent, err := e.open(e.token(map[string]any{})).(gateway.Editor).Make(t.Context(), alice, "the-parent", gateway.Video, gateway.EntryChange{})
	must(t, err)
	return gateway.EntryChange{
		Name: new("Harbour tour"), Description: new("Recorded on the quay"), UserID: new("lena@school.example"), PartnerData: new("{}"),
		Tags: &[]string{"360", "harbour"}, Categories: &[]string{"courses>c301", "courses > c302"}, CategoryIDs: &[]int64{e.category("by number", 0)},
		CanEdit: &[]string{"tom@school.example", "ann@school.example"}, CanPublish: &[]string{"tom@school.example"}, CanView: &[]string{"kim@school.example"},
		PartnerSortData: new(int64(-3)), AccessControl: gateway.ManifestRef{Name: "members"}, ConversionProfile: gateway.ManifestRef{Name: "Source_Only"},
		ParentReferenceID: parent.ReferenceID, StartAt: new(time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)), EndAt: new(time.Date(2127, 5, 1, 8, 0, 0, 0, time.UTC)),
		CustomData:  []gateway.ManifestCustom{{Profile: gateway.ManifestRef{Name: "topic"}, XML: "<metadata><Topic>harbours</Topic></metadata>"}},
		ReferenceID: new("spaces-tour-0042"),
	}, fmt.Sprint(access["id"])
}

// changed compares an entry with everything.
func (e *embedded) changed(t *testing.T, id, access string) {
	t.Helper()
	got := e.api(e.adminKS(), "media.get", map[string]any{"entryId": id})
	for name, want := range map[string]any{
		"name": "Harbour tour", "description": "Recorded on the quay", "userId": "lena@school.example", "partnerData": "{}", "tags": "360, harbour",
		"entitledUsersEdit": "ann@school.example,tom@school.example", "entitledUsersPublish": "tom@school.example", "entitledUsersView": "kim@school.example",
		"partnerSortValue": -3.0, "conversionProfileId": 16.0, "startDate": 1777622400.0, "endDate": float64(time.Date(2127, 5, 1, 8, 0, 0, 0, time.UTC).Unix()), "referenceId": "spaces-tour-0042",
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	if fmt.Sprint(got["accessControlId"]) != access || got["parentEntryId"] == nil {
		t.Errorf("access control %v, parent %v", got["accessControlId"], got["parentEntryId"])
	}
	if in := e.placed(id); !slices.Equal(in, []string{"by number", "courses>c301", "courses>c302"}) {
		t.Errorf("in %q", in)
	}
	custom := e.api(e.adminKS(), "metadata_metadata.list", map[string]any{"filter": map[string]any{"objectIdEqual": id}})
	if custom["totalCount"] != 1.0 {
		t.Errorf("custom metadata: %v", custom)
	}
}

// lostDepth is how many calls of an action are broken, one run for each.
const lostDepth = 1

// TestEditSurvivesLostAnswers: whichever call's answer gets lost, or never arrives, in making an entry, changing it,
// giving it content and a picture: tried again by another process there is one entry, with all of it, once.
func TestEditSurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionPrivileges": "list:*"})
	c, access := e.everything(t)
	b := &breaking{Handler: e.handler}
	_, picture := clips(t)
	data, err := os.ReadFile(picture)
	must(t, err)
	broken := 0
	for _, op := range []string{
		"media/action/add", "media/action/update", "media/action/get", "media/action/list", "media/action/addcontent", "media/action/updatecontent",
		"category/action/add", "category/action/list", "categoryentry/action/add", "categoryentry/action/delete", "categoryentry/action/list",
		"metadata_metadata/action/add", "metadata_metadata/action/list", "accesscontrol/action/list", "thumbasset/action/add", "thumbasset/action/setcontent",
		"thumbasset/action/setasdefault", "thumbasset/action/list", "uploadtoken/action/add", "uploadtoken/action/upload", "uploadtoken/action/get",
	} {
		for _, before := range []bool{false, true} {
			for nth := 1; nth <= lostDepth; nth++ {
				hits := b.hits.Load()
				b.arm(op, nth, before)
				ref := gateway.NewID("itm")
				c.ReferenceID = new("real-" + ref)
				c.Categories = &[]string{"lost>" + ref, "lost>both"}
				again := func(what string, f func(p gateway.Platform) error) {
					t.Helper()
					for range 10 {
						p, err := integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: b}, Log: slog.New(slog.DiscardHandler)}).Open(a)
						must(t, err)
						if !passing(t, f(p)) {
							return
						}
					}
					t.Fatalf("%s (%s #%d, before %v) never works", what, op, nth, before)
				}
				id := ""
				again("make", func(p gateway.Platform) error {
					m, err := p.(gateway.Editor).Make(t.Context(), alice, ref, gateway.Image, gateway.EntryChange{Name: new("n")})
					id = m.ID
					return err
				})
				e.api(e.adminKS(), "categoryEntry.add", map[string]any{"categoryEntry": map[string]any{"entryId": id, "categoryId": (*c.CategoryIDs)[0]}})
				c.CategoryIDs = &[]int64{(*c.CategoryIDs)[0]}
				again("edit", func(p gateway.Platform) error {
					_, err := p.(gateway.Editor).Edit(t.Context(), alice, id, c)
					return err
				})
				for range strings.Count(op, "update") + strings.Count(op, "uploadtoken") + 1 {
					m := gateway.NewMedia{FileName: "n.jpg", Size: int64(len(data)), Type: gateway.Image}
					again("replace", func(p gateway.Platform) error {
						in, err := p.Create(t.Context(), alice, m)
						if err != nil {
							return err
						}
						m.Handle = in.Handle()
						if err := in.WriteAt(t.Context(), 0, m.Size, bytes.NewReader(data)); err != nil {
							return err
						}
						_, err = in.(gateway.Replacer).Replace(t.Context(), id, gateway.ManifestRef{}, gateway.ManifestRef{})
						return err
					})
				}
				again("thumbnail", func(p gateway.Platform) error {
					return p.(gateway.Editor).SetThumbnail(t.Context(), alice, id, bytes.NewReader(data), int64(len(data)), true)
				})
				b.arm("", 0, false)
				if b.hits.Load() > hits {
					broken++
				}
				ks := e.adminKS()
				for _, reference := range []string{ref, *c.ReferenceID} {
					found := e.api(ks, "media.list", map[string]any{"filter": map[string]any{"referenceIdEqual": reference, "statusIn": "-2,-1,0,1,2,4,7"}})
					if want := map[bool]float64{true: 0, false: 1}[reference == ref]; found["totalCount"] != want {
						t.Errorf("%s #%d (before %v): %v entries with %s", op, nth, before, found["totalCount"], reference)
					}
				}
				thumbs := e.api(ks, "thumbAsset.list", map[string]any{"filter": map[string]any{"entryIdEqual": id}})
				own := 0
				for _, o := range thumbs["objects"].([]any) {
					if tags := fmt.Sprint(o.(map[string]any)["tags"]); strings.Contains(tags, "isthmus-") && strings.Contains(tags, "default_thumb") {
						own++
					}
				}
				if in := e.placed(id); own != 1 || len(in) != 3 {
					t.Errorf("%s #%d (before %v): %d pictures, in %q", op, nth, before, own, in)
				}
			}
		}
	}
	if broken < 30*lostDepth {
		t.Errorf("only %d runs broke anything", broken)
	}
	c.ReferenceID, c.Categories = new("spaces-tour-0042"), &[]string{"courses>c301", "courses>c302"}
	m, err := e.open(a).(gateway.Editor).Make(t.Context(), alice, "itm_whole", gateway.Image, c)
	must(t, err)
	for range 2 {
		_, err = e.open(a).(gateway.Editor).Edit(t.Context(), alice, m.ID, c)
		must(t, err)
	}
	e.changed(t, m.ID, access)
}

// tallied counts calls by their action.
type tallied struct {
	http.Handler
	mu    sync.Mutex
	calls map[string]int
}

func (c *tallied) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, op, ok := strings.Cut(r.URL.Path, "/service/"); ok {
		c.mu.Lock()
		c.calls[strings.Replace(strings.ToLower(op), "/action/", ".", 1)]++
		c.mu.Unlock()
	}
	c.Handler.ServeHTTP(w, r)
}

// TestEditChangesNothingTwice: what is as it should be is not written again.
func TestEditChangesNothingTwice(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{})
	c, access := e.everything(t)
	n := &tallied{Handler: e.handler, calls: map[string]int{}}
	open := func() gateway.Editor {
		p, err := integrations.New(integrations.Options{Local: map[string]http.Handler{serviceURL: n}, Log: slog.New(slog.DiscardHandler)}).Open(a)
		must(t, err)
		return p.(gateway.Editor)
	}
	m, err := open().Make(t.Context(), alice, "once", gateway.Video, gateway.EntryChange{})
	must(t, err)
	for range 3 {
		_, err = open().Edit(t.Context(), alice, m.ID, c)
		must(t, err)
	}
	e.changed(t, m.ID, access)
	for op, want := range map[string]int{
		"media.add": 1, "media.update": 1, "category.add": 3, "categoryentry.add": 3, "categoryentry.delete": 0, "metadata_metadata.add": 1, "metadata_metadata.update": 0,
	} {
		if n.calls[op] != want {
			t.Errorf("%s: %d calls, want %d", op, n.calls[op], want)
		}
	}
	// The categories are these only; dates go again.
	_, err = open().Edit(t.Context(), alice, m.ID, gateway.EntryChange{Categories: &[]string{"courses>c302"}, StartAt: &time.Time{}, EndAt: &time.Time{}, CanEdit: &[]string{}})
	must(t, err)
	got := e.api(e.adminKS(), "media.get", map[string]any{"entryId": m.ID})
	if in := e.placed(m.ID); !slices.Equal(in, []string{"courses>c302"}) || got["startDate"] != nil || got["endDate"] != nil || got["entitledUsersEdit"] != "" {
		t.Errorf("in %q, %v to %v, edited by %v", in, got["startDate"], got["endDate"], got["entitledUsersEdit"])
	}
	if got["entitledUsersView"] != "kim@school.example" {
		t.Errorf("what was not said was changed: %v", got)
	}
}

// TestParallelEdits: many items of a manifest name the same new categories at once, from two processes.
func TestParallelEdits(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{})
	two := []gateway.Editor{e.open(a).(gateway.Editor), e.open(a).(gateway.Editor)}
	ids := make([]string, 24)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			for range 20 {
				m, err := two[i%2].Make(t.Context(), alice, fmt.Sprintf("item-%d", i/2), gateway.Audio, gateway.EntryChange{
					Categories: &[]string{fmt.Sprintf("big>shared>%d", i/2%3), "big>all"}, Tags: &[]string{"same"},
				})
				if !passing(t, err) {
					ids[i] = m.ID
					return
				}
			}
		})
	}
	wg.Wait()
	list := e.api(e.adminKS(), "category.list", map[string]any{})
	if list["totalCount"] != 6.0 {
		t.Errorf("%v categories", list["totalCount"])
	}
	for i, id := range ids {
		if in := e.placed(id); !slices.Equal(in, []string{"big>all", fmt.Sprintf("big>shared>%d", i/2%3)}) {
			t.Errorf("item %d is in %q", i, in)
		}
	}
}

// TestEditWithinACategory: other hubs' categories of an entry are not ours to change, and theirs alone are no way to it.
func TestEditWithinACategory(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, storetest.SQLite(t))
	plain := e.token(map[string]any{})
	hub, other := e.category("hub", 0), e.category("other", 0)
	below := e.category("below", hub)
	limited := plain
	limited.CategoryID = hub
	all, ed := e.open(plain).(gateway.Editor), e.open(limited).(gateway.Editor)

	both, err := all.Make(t.Context(), alice, "both", gateway.Video, gateway.EntryChange{CategoryIDs: &[]int64{below, other}})
	must(t, err)
	theirs, err := all.Make(t.Context(), alice, "theirs", gateway.Video, gateway.EntryChange{CategoryIDs: &[]int64{other}})
	must(t, err)
	if _, err := ed.Edit(t.Context(), alice, theirs.ID, gateway.EntryChange{CategoryIDs: &[]int64{hub}}); gateway.CodeOf(err) != gateway.NotFound {
		t.Errorf("an entry of another category: %v", err)
	}
	if err := ed.Check(t.Context(), alice, gateway.EntryChange{CategoryIDs: &[]int64{other}}); !gateway.IsReason(err, "category_outside") {
		t.Errorf("another category: %v", err)
	}
	if err := ed.Check(t.Context(), alice, gateway.EntryChange{Categories: &[]string{"hubbub"}}); !gateway.IsReason(err, "category_outside") {
		t.Errorf("a category whose name only begins alike: %v", err)
	}
	_, err = ed.Edit(t.Context(), alice, both.ID, gateway.EntryChange{Categories: &[]string{"hub>new"}})
	must(t, err)
	if in := e.placed(both.ID); !slices.Equal(in, []string{"hub", "hub>new", "other"}) {
		t.Errorf("in %q", in)
	}
	gone := limited
	gone.CategoryID = 999
	if err := e.open(gone).(gateway.Editor).Check(t.Context(), alice, gateway.EntryChange{Categories: &[]string{"x"}}); !gateway.IsReason(err, "category_missing") {
		t.Errorf("the hub's category is gone: %v", err)
	}
}

// TestEditInAPrivacyContext: what is made can be seen by those for whom it is made.
func TestEditInAPrivacyContext(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionPrivileges": "enableentitlement,privacycontext:school"})
	a.Entitlement, a.PrivacyContext = gateway.EntitlementEnforce, "school"
	e.category("without", 0)
	ed := e.open(a).(gateway.Editor)
	m, err := ed.Make(t.Context(), alice, "seen", gateway.Video, gateway.EntryChange{Categories: &[]string{"lectures>one"}})
	must(t, err)
	if found, err := ed.FindAll(t.Context(), bob, "seen"); err != nil || len(found) != 1 || found[0].ID != m.ID {
		t.Errorf("bob finds %+v, %v", found, err)
	}
	if _, err := ed.Edit(t.Context(), alice, m.ID, gateway.EntryChange{Categories: &[]string{"without"}}); !gateway.IsReason(err, "category_outside") {
		t.Errorf("a category that nobody would see: %v", err)
	}
}

// TestEditWithoutAdmin: a token of user sessions changes its user's own entries, and says what it may not.
func TestEditWithoutAdmin(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, storetest.SQLite(t))
	a := e.token(map[string]any{"sessionType": 0})
	ed := e.open(a).(gateway.Editor)
	m, err := ed.Make(t.Context(), alice, "mine", gateway.Video, gateway.EntryChange{Name: new("mine")})
	must(t, err)
	_, err = ed.Edit(t.Context(), alice, m.ID, gateway.EntryChange{Name: new("still mine"), Tags: &[]string{"A", "Bee", "bee"}})
	must(t, err)
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for what, c := range map[string]gateway.EntryChange{
		"a date": {StartAt: &at}, "an owner": {UserID: new("bob@school.example")}, "a profile": {AccessControl: gateway.ManifestRef{Name: "x"}},
		"a category": {Categories: &[]string{"new"}},
	} {
		if _, err := ed.Edit(t.Context(), alice, m.ID, c); gateway.CodeOf(err) != gateway.Forbidden {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ed.Edit(t.Context(), bob, m.ID, gateway.EntryChange{Name: new("bob's")}); gateway.CodeOf(err) != gateway.Forbidden {
		t.Errorf("somebody else's: %v", err)
	}
	own := bob
	own.OwnRight = true
	if _, err := e.open(e.token(map[string]any{})).(gateway.Editor).Edit(t.Context(), own, m.ID, gateway.EntryChange{Name: new("bob's")}); gateway.CodeOf(err) != gateway.Forbidden {
		t.Errorf("somebody else's, with a person's own right: %v", err)
	}
}

// TestTemplates: a new entry has what its template has, but for what is said of itself.
func TestTemplates(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t, storetest.SQLite(t))
	ed := e.open(e.token(map[string]any{})).(gateway.Editor)
	from, err := ed.Make(t.Context(), alice, "template", gateway.Video, gateway.EntryChange{
		Name: new("Template"), Description: new("of all"), Tags: &[]string{"360", "tour"}, Categories: &[]string{"tours"},
	})
	must(t, err)
	m, err := ed.Make(t.Context(), bob, "made", gateway.Video, gateway.EntryChange{Name: new("Mine"), TemplateEntryID: from.ID, Tags: &[]string{"own"}})
	must(t, err)
	if m.Name != "Mine" || m.Description != "of all" || !slices.Equal(m.Tags, []string{"own"}) || m.OwnerID != bob.PlatformUserID {
		t.Errorf("%+v", m)
	}
	if in := e.placed(m.ID); !slices.Equal(in, []string{"tours"}) {
		t.Errorf("in %q", in)
	}
}
