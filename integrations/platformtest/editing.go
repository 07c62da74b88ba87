package platformtest

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
)

func ptr[T any](v T) *T { return &v }

// reference is a fresh reference id.
func (s *suite) reference() string { return s.describe("", "", 0, gateway.Image).ReferenceID }

// editing: an entry is made once, changed in all that a manifest can say, found by its references; what does not
// resolve is refused before anything was changed.
func (s *suite) editing(t *testing.T) {
	ed, ok := s.p.(gateway.Editor)
	if !ok {
		t.Skip("no editor")
	}
	ref := s.reference()
	change := gateway.EntryChange{
		Name: ptr("Made — 日本語"), Description: ptr("two\nlines"), Tags: ptr([]string{s.marker, "360", "Alte Brücke"}), ReferenceID: ptr("not-yet"),
	}
	var made [3]gateway.Media
	for i := range made {
		m, err := s.Open().(gateway.Editor).Make(t.Context(), s.Alice, ref, gateway.Video, change)
		if err != nil {
			t.Fatal(err)
		}
		made[i] = m
	}
	m := made[0]
	if made[1].ID != m.ID || made[2].ID != m.ID || m.ReferenceID != ref || m.Status != gateway.MediaUploading || m.OwnerID != s.Alice.PlatformUserID ||
		m.Name != *change.Name || m.Type != gateway.Video || !m.Is360() {
		t.Errorf("%+v", made)
	}
	ours := s.reference()
	change = gateway.EntryChange{
		ReferenceID: &ours, UserID: ptr(s.Bob.PlatformUserID), CanEdit: ptr([]string{s.Alice.PlatformUserID}), CanView: ptr([]string{}),
		Categories: ptr([]string{s.Root + "editing>one", s.Root + "editing>two", s.Root + "editing>one"}),
		StartAt:    ptr(time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)), EndAt: ptr(time.Date(2127, 5, 1, 8, 0, 0, 0, time.UTC)),
		PartnerData: ptr(`{"space":"s-17"}`), PartnerSortData: ptr(int64(7)),
	}
	var read func(string) string
	if s.Custom != nil {
		read = s.Custom(t, s.marker+"-topic")
		change.CustomData = []gateway.ManifestCustom{{Profile: gateway.ManifestRef{Name: s.marker + "-topic"}, XML: "<metadata><Topic>bridges</Topic></metadata>"}}
	}
	for range 3 {
		got, err := ed.Edit(t.Context(), s.Alice, m.ID, change)
		if err != nil {
			t.Fatal(err)
		}
		if got.OwnerID != s.Bob.PlatformUserID || got.ReferenceID != ours || got.Name != m.Name || !slices.Equal(got.Tags, m.Tags) {
			t.Errorf("%+v", got)
		}
	}
	if read != nil && !strings.Contains(read(m.ID), "bridges") {
		t.Errorf("custom metadata: %s", read(m.ID))
	}
	found, err := ed.FindAll(t.Context(), s.Bob, ours)
	if err != nil || len(found) != 1 || found[0].ID != m.ID {
		t.Errorf("%+v, %v", found, err)
	}
	if gone, err := ed.FindAll(t.Context(), s.Bob, ref); err != nil || len(gone) != 0 {
		t.Errorf("%+v, %v", gone, err)
	}
	if read != nil {
		change.CustomData[0].Action = "delete"
		for range 2 {
			if _, err := ed.Edit(t.Context(), s.Alice, m.ID, gateway.EntryChange{CustomData: change.CustomData}); err != nil {
				t.Error(err)
			}
		}
		if s := read(m.ID); s != "" {
			t.Errorf("deleted metadata: %s", s)
		}
	}
	s.unresolved(t, ed, m.ID)
}

// unresolved names what is not there: each is refused with its reason, and the name stays as it was.
func (s *suite) unresolved(t *testing.T, ed gateway.Editor, id string) {
	t.Helper()
	before, err := s.p.Get(t.Context(), s.Alice, id)
	if err != nil {
		t.Fatal(err)
	}
	none := gateway.ManifestRef{Name: s.marker + "-none"}
	for reason, c := range map[string]gateway.EntryChange{
		"access_control_unknown":     {AccessControl: none},
		"conversion_profile_unknown": {ConversionProfile: gateway.ManifestRef{ID: 999999999}},
		"template_unknown":           {TemplateEntryID: "0_doesnotexist"},
		"parent_unknown":             {ParentReferenceID: s.marker + "-none"},
		"category_unknown":           {CategoryIDs: ptr([]int64{999999999})},
		"category_not_possible":      {Categories: ptr([]string{"a>>b"})},
		"user_id_not_allowed":        {UserID: ptr("a b")},
		"reference_not_possible":     {ReferenceID: ptr("x")},
		"schedule_reversed":          {StartAt: ptr(time.Unix(1800000000, 0)), EndAt: ptr(time.Unix(1700000000, 0))},
		"date_not_possible":          {StartAt: ptr(time.Unix(5, 0))},
		"metadata_profile_unknown":   {CustomData: []gateway.ManifestCustom{{Profile: none, XML: "<metadata/>"}}},
	} {
		c.Name = ptr("changed")
		for _, err := range []error{
			ed.Check(t.Context(), s.Alice, c),
			second(ed.Edit(t.Context(), s.Alice, id, c)),
			second(ed.Make(t.Context(), s.Alice, s.marker+"-refused", gateway.Video, c)),
		} {
			if !gateway.IsReason(err, reason) || gateway.CodeOf(err) != gateway.Invalid || gateway.AsError(err).NextStep == "" {
				t.Errorf("%s: %v", reason, err)
			}
		}
	}
	if err := ed.Check(t.Context(), s.Alice, gateway.EntryChange{Name: ptr("fine"), Categories: ptr([]string{s.Root + "editing>never made"})}); err != nil {
		t.Error(err)
	}
	if now, err := s.p.Get(t.Context(), s.Alice, id); err != nil || now.Name != before.Name {
		t.Errorf("%+v, %v", now, err)
	}
	if left, err := ed.FindAll(t.Context(), s.Alice, s.marker+"-refused"); err != nil || len(left) != 0 {
		t.Errorf("refused, and made all the same: %+v, %v", left, err)
	}
	for _, id := range []string{"0_doesnotexist", "", "../../etc/passwd"} {
		_, err := ed.Edit(t.Context(), s.Alice, id, gateway.EntryChange{Name: ptr("changed")})
		wantCode(t, err, gateway.NotFound)
		wantCode(t, ed.SetThumbnail(t.Context(), s.Alice, id, bytes.NewReader(read(t, s.Picture)), int64(len(read(t, s.Picture))), true), gateway.NotFound)
	}
}

func second[T any](_ T, err error) error { return err }

// send gives a fresh ingest that has all bytes.
func (s *suite) send(t *testing.T, p gateway.Platform, m gateway.NewMedia, data []byte) gateway.Ingest {
	t.Helper()
	in, err := p.Create(t.Context(), s.Alice, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.WriteAt(t.Context(), 0, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	return in
}

func (s *suite) original(t *testing.T, id string) []byte {
	t.Helper()
	body, err := s.p.Open(t.Context(), s.Alice, id, gateway.RenditionOriginal, gateway.Range{End: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replacing: an entry without content gets some, one with content gets other content, each once however often and
// from however many sides it is asked for.
func (s *suite) replacing(t *testing.T) {
	ed, ok := s.p.(gateway.Editor)
	if !ok {
		t.Skip("no editor")
	}
	picture, other := read(t, s.Picture), append(read(t, s.Picture), "and something after its end"...)
	m, err := ed.Make(t.Context(), s.Alice, s.reference(), gateway.Image, gateway.EntryChange{Name: ptr("Replaced")})
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{picture, other, picture} {
		what := s.describe("x", s.Picture, len(data), gateway.Image)
		in := s.send(t, s.p, what, data)
		what.Handle = in.Handle()
		if _, err := in.(gateway.Replacer).Replace(t.Context(), "0_doesnotexist", gateway.ManifestRef{}, gateway.ManifestRef{}); gateway.CodeOf(err) != gateway.NotFound {
			t.Errorf("an entry that is not there: %v", err)
		}
		if _, err := in.(gateway.Replacer).Replace(t.Context(), m.ID, gateway.ManifestRef{Name: s.marker}, gateway.ManifestRef{}); !gateway.IsReason(err, "flavor_unknown") {
			t.Errorf("a flavour that is not there: %v", err)
		}
		var wg sync.WaitGroup
		for range 3 {
			again, err := s.p.Create(t.Context(), s.Alice, what)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				got, err := again.(gateway.Replacer).Replace(t.Context(), m.ID, gateway.ManifestRef{}, gateway.ManifestRef{})
				if err != nil || got.ID != m.ID {
					t.Errorf("%+v, %v", got, err)
				}
			})
		}
		wg.Wait()
		s.ready(t, s.Alice, m.ID)
		// Another process does not know that all is done.
		again, err := s.Open().Create(t.Context(), s.Alice, what)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.(gateway.Replacer).Replace(t.Context(), m.ID, gateway.ManifestRef{}, gateway.ManifestRef{}); err != nil {
			t.Error(err)
		}
		s.ready(t, s.Alice, m.ID)
		if got := s.original(t, m.ID); !bytes.Equal(got, data) {
			t.Errorf("%d bytes instead of %d", len(got), len(data))
		}
	}
	// The bytes of one entry do not become those of another.
	what := s.describe("x", s.Picture, len(other), gateway.Image)
	in := s.send(t, s.p, what, other)
	if _, err := in.(gateway.Replacer).Replace(t.Context(), m.ID, gateway.ManifestRef{}, gateway.ManifestRef{}); err != nil {
		t.Fatal(err)
	}
	empty, err := ed.Make(t.Context(), s.Alice, s.reference(), gateway.Image, gateway.EntryChange{Name: ptr("Empty")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.(gateway.Replacer).Replace(t.Context(), empty.ID, gateway.ManifestRef{}, gateway.ManifestRef{}); !gateway.IsReason(err, "content_elsewhere") {
		t.Errorf("used bytes: %v", err)
	}
	s.ready(t, s.Alice, m.ID)
	if got := s.original(t, m.ID); !bytes.Equal(got, other) {
		t.Errorf("%d bytes instead of %d", len(got), len(other))
	}
}

// flavours: one flavour is replaced, and the others stay.
func (s *suite) flavours(t *testing.T) {
	if s.Flavor.Zero() {
		t.Skip("flavours cannot be replaced")
	}
	data := read(t, s.Video)
	id := s.put(t, s.Alice, s.describe("Renditions", s.Video, len(data), gateway.Video), data).ID
	before := s.ready(t, s.Alice, id)
	low := append(read(t, s.Video), "low"...)
	in := s.send(t, s.p, s.describe("x", s.Video, len(low), gateway.Video), low)
	for range 2 {
		if _, err := in.(gateway.Replacer).Replace(t.Context(), id, s.Flavor, gateway.ManifestRef{}); err != nil {
			t.Fatal(err)
		}
	}
	m := s.ready(t, s.Alice, id)
	sizes := map[int64]bool{}
	for _, r := range m.Renditions {
		sizes[r.Size] = true
		if r.Size != int64(len(low)) {
			continue
		}
		body, err := s.p.Open(t.Context(), s.Alice, id, r.ID, gateway.Range{End: -1})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		_ = body.Close()
		if err != nil || !bytes.Equal(got, low) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if !sizes[int64(len(low))] || !sizes[int64(len(data))] || len(m.Renditions) < len(before.Renditions) {
		t.Errorf("%+v, before: %+v", m.Renditions, before.Renditions)
	}
	if got := s.original(t, id); !bytes.Equal(got, data) {
		t.Errorf("the original has %d bytes instead of %d", len(got), len(data))
	}
}

// thumbnails: a picture becomes the entry's, once however often it is set; another one beside it does not.
func (s *suite) thumbnails(t *testing.T) {
	ed, ok := s.p.(gateway.Editor)
	player, plays := s.p.(gateway.Player)
	if !ok || !plays {
		t.Skip("no editor, or no player")
	}
	data, picture := read(t, s.Video), read(t, s.Picture)
	id := s.put(t, s.Alice, s.describe("Pictured", s.Video, len(data), gateway.Video), data).ID
	before := s.ready(t, s.Alice, id)
	set := func(p []byte, isDefault bool) error {
		return ed.SetThumbnail(t.Context(), s.Alice, id, bytes.NewReader(p), int64(len(p)), isDefault)
	}
	if err := set(append(slices.Clone(picture), "other"...), false); err != nil {
		t.Fatal(err)
	}
	if m := s.ready(t, s.Alice, id); m.ThumbVersion != before.ThumbVersion {
		t.Error("a picture that is not the default was shown")
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := set(picture, true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	after := s.ready(t, s.Alice, id)
	if after.ThumbVersion == before.ThumbVersion {
		t.Error("the picture is the old one")
	}
	s.thumbnail(t, player, after)
	if err := set(picture, true); err != nil {
		t.Error(err)
	}
	if m := s.ready(t, s.Alice, id); m.ThumbVersion != after.ThumbVersion {
		t.Error("the same picture was set anew")
	}
	if err := set([]byte("no picture at all"), true); !gateway.IsReason(err, "thumbnail_not_a_picture") {
		t.Errorf("no picture: %v", err)
	}
	if err := ed.SetThumbnail(t.Context(), s.Alice, id, bytes.NewReader(picture), int64(len(picture))+1, true); !gateway.IsReason(err, "source_failed") {
		t.Errorf("half a picture: %v", err)
	}
	if err := ed.SetThumbnail(t.Context(), s.Alice, id, bytes.NewReader(nil), 1<<40, true); gateway.CodeOf(err) != gateway.TooLarge {
		t.Errorf("a huge picture: %v", err)
	}
}

// editingScoped: a limited account neither changes nor finds what lies outside of its category, puts what it makes
// inside, and lets nothing leave.
func (s *suite) editingScoped(t *testing.T) {
	ed, ok := s.p.(gateway.Editor)
	if !ok || s.Scoped == nil {
		t.Skip("no editor, or no categories")
	}
	plain := s.p
	s.p = s.Scoped()
	defer func() { s.p = plain }()
	in := s.p.(gateway.Editor)
	ref := s.reference()
	outside, err := ed.Make(t.Context(), s.Alice, ref, gateway.Image, gateway.EntryChange{Name: ptr("Outside")})
	if err != nil {
		t.Fatal(err)
	}
	inside, err := in.Make(t.Context(), s.Alice, s.reference(), gateway.Image, gateway.EntryChange{Name: ptr("Inside")})
	if err != nil || inside.CategoryID == 0 {
		t.Fatalf("%+v, %v", inside, err)
	}
	name := gateway.EntryChange{Name: ptr("changed")}
	wantCode(t, second(in.Edit(t.Context(), s.Alice, outside.ID, name)), gateway.NotFound)
	picture := read(t, s.Picture)
	wantCode(t, in.SetThumbnail(t.Context(), s.Alice, outside.ID, bytes.NewReader(picture), int64(len(picture)), true), gateway.NotFound)
	up := s.send(t, s.p, s.describe("x", s.Picture, len(picture), gateway.Image), picture)
	_, err = up.(gateway.Replacer).Replace(t.Context(), outside.ID, gateway.ManifestRef{}, gateway.ManifestRef{})
	wantCode(t, err, gateway.NotFound)
	if found, err := in.FindAll(t.Context(), s.Alice, ref); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
	for reason, c := range map[string]gateway.EntryChange{
		"template_unknown": {TemplateEntryID: outside.ID}, "parent_unknown": {ParentReferenceID: ref},
		"category_outside": {Categories: ptr([]string{s.marker + "-elsewhere"})},
	} {
		if err := second(in.Edit(t.Context(), s.Alice, inside.ID, c)); !gateway.IsReason(err, reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	for _, categories := range [][]string{{s.ScopedName + ">deep>er"}, {}, {s.ScopedName}} {
		got, err := in.Edit(t.Context(), s.Alice, inside.ID, gateway.EntryChange{Categories: &categories})
		if err != nil || got.CategoryID == 0 {
			t.Fatalf("%v: %+v, %v", categories, got, err)
		}
		if m, err := s.p.Get(t.Context(), s.Alice, inside.ID); err != nil || m.CategoryID == 0 {
			t.Errorf("%v: %+v, %v", categories, m, err)
		}
	}
}
