package platformtest

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"isthmus/gateway"
)

func (s *suite) probe(t *testing.T) {
	prober, ok := s.p.(gateway.Prober)
	if !ok {
		t.Skip("no prober")
	}
	for _, v := range []gateway.Visibility{gateway.VisibilityShared, gateway.VisibilityOwn} {
		d, err := prober.Probe(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		if f := d.Failed(); len(f) > 0 {
			t.Errorf("%s: %+v", v, f)
		}
		for _, c := range d.Checks {
			if c.Text == "" || c.State == "failed" && (c.Reason == "" || c.Fix == "") {
				t.Errorf("%+v says too little", c)
			}
		}
	}
}

func (s *suite) tags(t *testing.T) {
	tagger, ok := s.p.(gateway.Tagger)
	if !ok {
		t.Skip("no tagger")
	}
	data := read(t, s.Picture)
	id := s.put(t, s.Alice, s.describe("Tagged", s.Picture, len(data), gateway.Image, "keep me"), data).ID
	want := []string{gateway.Tag360, "one", "two", "three", "four"}
	var wg sync.WaitGroup
	for _, tag := range append(want, gateway.Tag360) { // the same twice
		wg.Go(func() {
			if _, err := tagger.AddTag(t.Context(), s.Alice, id, tag); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	m, err := s.p.Get(t.Context(), s.Alice, id)
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, "keep me", s.marker)
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(m.Tags)); !slices.Equal(got, want) || !m.Is360() {
		t.Errorf("tags %q, want %q", got, want)
	}
	// Taking one away keeps the others, also while some are added; again it does no harm.
	for _, tag := range []string{gateway.Tag360, gateway.Tag360, "two"} {
		wg.Go(func() {
			if _, err := tagger.RemoveTag(t.Context(), s.Alice, id, tag); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() {
		if _, err := tagger.AddTag(t.Context(), s.Alice, id, "five"); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	if m, err = s.p.Get(t.Context(), s.Alice, id); err != nil {
		t.Fatal(err)
	}
	want = slices.Sorted(slices.Values([]string{"one", "three", "four", "five", "keep me", s.marker}))
	if got := slices.Sorted(slices.Values(m.Tags)); !slices.Equal(got, want) || m.Is360() {
		t.Errorf("tags %q, want %q", got, want)
	}
	_, err = tagger.AddTag(t.Context(), s.Alice, "0_doesnotexist", gateway.Tag360)
	wantCode(t, err, gateway.NotFound)
	_, err = tagger.RemoveTag(t.Context(), s.Alice, "0_doesnotexist", gateway.Tag360)
	wantCode(t, err, gateway.NotFound)
}

func (s *suite) users(t *testing.T) {
	users, ok := s.p.(gateway.Provisioner)
	if !ok {
		t.Skip("no provisioner")
	}
	email := strings.ReplaceAll(s.marker, "_", "-") + "@school.example"
	if found, err := users.FindUsers(t.Context(), email); err != nil || len(found) != 0 {
		t.Fatalf("%v, %v", found, err)
	}
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			u, created, err := users.CreateUser(t.Context(), gateway.PlatformUser{ID: email, Email: email, FirstName: "Ada", LastName: "Byron"})
			if err != nil || u.ID != email || !u.Active {
				t.Errorf("%+v, %v", u, err)
			}
			if created {
				made.Add(1)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d users were made", made.Load())
	}
	for _, q := range []string{email, strings.ToUpper(email)} {
		found, err := users.FindUsers(t.Context(), q)
		if err != nil || len(found) != 1 || found[0].ID != email || found[0].FirstName != "Ada" {
			t.Errorf("%s: %+v, %v", q, found, err)
		}
	}
	if u, err := users.User(t.Context(), email); err != nil || u.ID != email || !u.Active {
		t.Errorf("%+v, %v", u, err)
	}
	_, err := users.User(t.Context(), "nobody-"+s.marker)
	wantCode(t, err, gateway.NotFound)
	// An address that only begins like another is not found for it.
	if found, err := users.FindUsers(t.Context(), strings.TrimSuffix(email, "e")); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
	// A second account with the same address makes it ambiguous, and both are told.
	if _, created, err := users.CreateUser(t.Context(), gateway.PlatformUser{ID: "other-" + s.marker, Email: email}); err != nil || !created {
		t.Fatal(err)
	}
	if found, err := users.FindUsers(t.Context(), email); err != nil || len(found) != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	_, _, err = users.CreateUser(t.Context(), gateway.PlatformUser{ID: "not an id/", Email: email})
	wantCode(t, err, gateway.Invalid)
}

// owners: the entries of one user are listed and given to another, each once, and to nobody else's harm.
func (s *suite) owners(t *testing.T) {
	owner, ok := s.p.(gateway.Reowner)
	users, finds := s.p.(gateway.Provisioner)
	if !ok || !finds {
		t.Skip("entries keep their owner")
	}
	from, to := "from-"+s.marker, "to-"+s.marker
	for _, id := range []string{from, to} {
		if _, _, err := users.CreateUser(t.Context(), gateway.PlatformUser{ID: id, Email: id + "@school.example"}); err != nil {
			t.Fatal(err)
		}
	}
	listed := func(user string, want int) (ids []string) {
		t.Helper()
		for tries := 0; ; tries++ { // an index may lag
			ids = nil
			var total int
			for cursor := ""; ; {
				page, next, n, err := owner.OwnedBy(t.Context(), user, cursor)
				if err != nil {
					t.Fatal(err)
				}
				if ids, total = append(ids, page...), n; next == "" {
					break
				}
				cursor = next
			}
			if len(ids) == want && total == want {
				return ids
			}
			if tries == 100 {
				t.Fatalf("%s has %d entries, %d were told, want %d", user, len(ids), total, want)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	listed(from, 0)
	data := read(t, s.Picture)
	theirs := gateway.Actor{ParticipantID: "p", PlatformUserID: from}
	a, b := s.put(t, theirs, s.describe("First", s.Picture, len(data), gateway.Image), data).ID, s.put(t, theirs, s.describe("Second", s.Picture, len(data), gateway.Image), data).ID
	alices := s.put(t, s.Alice, s.describe("Alice's", s.Picture, len(data), gateway.Image), data).ID
	if ids := listed(from, 2); !slices.Contains(ids, a) || !slices.Contains(ids, b) {
		t.Error(ids)
	}
	for range 2 {
		if err := owner.Reown(t.Context(), a, from, to); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := s.p.Get(t.Context(), s.Alice, a); err != nil || m.OwnerID != to || m.Name != "First" || !slices.Contains(m.Tags, s.marker) {
		t.Errorf("%+v, %v", m, err)
	}
	if ids := listed(from, 1); ids[0] != b {
		t.Error(ids)
	}
	listed(to, 1)
	err := owner.Reown(t.Context(), alices, from, to)
	wantCode(t, err, gateway.Conflict)
	if m, err := s.p.Get(t.Context(), s.Alice, alices); err != nil || m.OwnerID != s.Alice.PlatformUserID {
		t.Errorf("%+v, %v", m, err)
	}
	err = owner.Reown(t.Context(), "0_doesnotexist", from, to)
	wantCode(t, err, gateway.NotFound)
	if err := owner.Reown(t.Context(), a, to, from); err != nil { // and back
		t.Fatal(err)
	}
	listed(from, 2)
}

func (s *suite) remove(t *testing.T) {
	remover, ok := s.p.(gateway.Remover)
	if !ok {
		t.Skip("no remover")
	}
	data := read(t, s.Picture)
	m := s.describe("Removed", s.Picture, len(data), gateway.Image)
	id := s.put(t, s.Alice, m, data).ID
	if finder, ok := s.p.(gateway.Finder); ok {
		if got, err := finder.Find(t.Context(), s.Alice, m.ReferenceID); err != nil || got.ID != id {
			t.Errorf("%s, %v", got.ID, err)
		}
		_, err := finder.Find(t.Context(), s.Alice, m.ReferenceID+"-other")
		wantCode(t, err, gateway.NotFound)
	}
	for range 2 {
		if err := remover.Remove(t.Context(), s.Alice, id); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.p.Get(t.Context(), s.Alice, id)
	wantCode(t, err, gateway.NotFound)
}
