package gateway_test

import (
	"flag"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// For random accounts nobody ever receives, on any path, an entry that Decide refuses; and nobody
// is denied one that it allows.
func TestNobodyReceivesWhatDecideRefuses(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityShared)
	people := map[string]gateway.Actor{
		"ada": w.hub.Ada, "bob": w.hub.Bob, "teacher": w.hub.Teacher, "admin": w.hub.Admin,
		"machine":  gatewaytest.Machine(w.hub.Hub, gateway.ScopeMediaRead),
		"stranger": gatewaytest.NewHouse(t, w.db, w.clock.Now, "south", gateway.PlanEnterprise).Ada,
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for n := range people {
			if !yield(n) {
				return
			}
		}
	})
	owners := []string{"ada@example.org", "bob@example.org", "kim@media.test", "teacher@example.org", "nobody-here"}
	truth := map[string]gateway.Media{}                      // what really lies in the account
	categories := w.categories("courses", "physics", "arts") // physics lies below courses
	where := map[string]int64{}                              // the category of an entry; 0 = none
	// fact is what Decide is to be asked about an entry in the account as it is connected now.
	fact := func(id string) gateway.Media {
		m := truth[id]
		if c := where[id]; c != 0 && (c == in.CategoryID || c == categories[1] && in.CategoryID == categories[0]) {
			m.CategoryID = in.CategoryID
		}
		return m
	}
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		// A check is some thirty requests through client and server: enough of them, unless more are asked for.
		if err := checks.Value.Set("15"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = checks.Value.Set(checks.DefValue) }()
	}
	rapid.Check(t, func(rt *rapid.T) {
		rt.Repeat(map[string]func(*rapid.T){
			"upload": func(rt *rapid.T) {
				if len(truth) >= 60 {
					rt.Skip()
				}
				owner := rapid.SampledFrom(owners).Draw(rt, "owner")
				tags := rapid.SampledFrom([]string{"", "360", "my 360 tour", "physics, 360"}).Draw(rt, "tags")
				name := fmt.Sprint("entry ", len(truth))
				id := w.entry(owner, name, tags)
				truth[id] = gateway.Media{ID: id, OwnerID: owner}
				if c := rapid.SampledFrom(append([]int64{0}, categories...)).Draw(rt, "category"); c != 0 {
					w.categorise(id, c)
					where[id] = c
				}
			},
			"change category": func(rt *rapid.T) {
				changed := in
				changed.CategoryID = rapid.SampledFrom(append([]int64{0}, categories...)).Draw(rt, "category")
				if err := w.db.Integrations().Update(ctx, &changed); err != nil {
					rt.Fatal(err)
				}
				in = changed
			},
			"change visibility": func(rt *rapid.T) {
				v := rapid.SampledFrom([]gateway.Visibility{gateway.VisibilityShared, gateway.VisibilityOwn}).Draw(rt, "visibility")
				changed := in // past the settings page, which would diagnose the account each time
				changed.Visibility = v
				if err := w.db.Integrations().Update(ctx, &changed); err != nil {
					rt.Fatal(err)
				}
				in = changed
			},
			"link to another user": func(rt *rapid.T) {
				m, err := w.mappings.Mine(ctx, w.hub.Bob, in.ID)
				if gateway.CodeOf(err) == gateway.NotFound {
					rt.Skip() // a person has a user from their first look on
				}
				if err != nil {
					rt.Fatal(err)
				}
				_, err = w.mappings.Link(ctx, w.hub.Admin, m.ID, m.Version, rapid.SampledFrom(owners).Draw(rt, "user"))
				if gateway.IsReason(err, "platform_user_unknown") {
					rt.Skip() // users come with their first entry
				}
				if err != nil {
					rt.Fatal(err)
				}
			},
			"look": func(rt *rapid.T) {
				name := rapid.SampledFrom(names).Draw(rt, "who")
				a := people[name]
				may := func(m gateway.Media) bool {
					if a.HubID != in.HubID {
						return false
					}
					mapped := a
					if mine, err := w.mappings.Mine(ctx, a, in.ID); err == nil {
						mapped.PlatformUserID = mine.PlatformUserID
					}
					return gateway.Decide(mapped, in, m).Allowed
				}
				q := gateway.Query{
					Limit: rapid.SampledFrom([]int{7, 100}).Draw(rt, "limit"), Mine: rapid.Bool().Draw(rt, "mine"),
					OwnerID: rapid.SampledFrom(append([]string{"", ""}, owners...)).Draw(rt, "owner filter"),
				}
				given := map[string]bool{}
				for {
					page, err := w.catalog.Browse(ctx, a, q)
					if err != nil {
						break
					}
					for i, m := range page.Items {
						if !may(fact(m.ID)) || !page.Decisions[i].Allowed {
							rt.Fatalf("%s was given %s of %q in %s", name, m.ID, m.OwnerID, in.Visibility)
						}
						given[m.ID] = true
					}
					if q.Cursor = page.Next; q.Cursor != "" {
						continue
					}
					for id := range truth {
						m := fact(id)
						if !q.Mine && q.OwnerID == "" && may(m) && !given[id] {
							rt.Fatalf("%s was denied %s of %q in %s", name, id, m.OwnerID, in.Visibility)
						}
					}
					break
				}
			},
			"open by id": func(rt *rapid.T) {
				if len(truth) == 0 {
					rt.Skip()
				}
				all := make([]string, 0, len(truth))
				for id := range truth {
					all = append(all, id)
				}
				slices.Sort(all)
				id, name := rapid.SampledFrom(all).Draw(rt, "id"), rapid.SampledFrom(names).Draw(rt, "who")
				a := people[name]
				m, d, err := w.catalog.Get(ctx, a, id)
				_, _, perr := w.catalog.Playback(ctx, a, id)
				mapped := a
				if mine, err := w.mappings.Mine(ctx, a, in.ID); err == nil && a.HubID == in.HubID {
					mapped.PlatformUserID = mine.PlatformUserID
				}
				allowed := gateway.Decide(mapped, in, fact(id)).Allowed
				if err == nil && (!allowed || !d.Allowed || m.ID != id) {
					rt.Fatalf("%s opened %s of %q in %s", name, id, truth[id].OwnerID, in.Visibility)
				}
				// Entries without content have nothing to play or to see; the platform's own words for
				// that show that it was asked, which must not happen either.
				if !allowed && (perr == nil || gateway.IsReason(perr, "not_ready")) {
					rt.Fatalf("%s played %s of %q", name, id, truth[id].OwnerID)
				}
				if allowed && gateway.CodeOf(err) == gateway.NotFound {
					rt.Fatalf("%s was denied %s of %q in %s", name, id, truth[id].OwnerID, in.Visibility)
				}
				thumb, _, terr := w.catalog.Thumbnail(ctx, a, id, 100)
				if terr == nil {
					_ = thumb.Close()
				}
				if !allowed && (terr == nil || gateway.IsReason(terr, "thumbnail_not_found")) {
					rt.Fatalf("%s saw the picture of %s of %q", name, id, truth[id].OwnerID)
				}
				if allowed && err == nil && !gateway.IsReason(terr, "thumbnail_not_found") {
					rt.Fatalf("the platform's words have changed: %v", terr)
				}
				if tagged, err := w.catalog.Mark360(ctx, a, id); err == nil && !allowed {
					rt.Fatalf("%s tagged %s", name, tagged.ID)
				}
			},
			"": func(*rapid.T) { w.clock.Add(time.Second) },
		})
	})
}

func TestHiddenAndUnknownAnswerAlike(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.connect(gateway.VisibilityOwn)
		bobs := w.entry("bob@example.org", "Bob's secret", "")
		for _, id := range []string{bobs, "0_zzzzzzzz", "", "../etc", "0_zzz/zzz", "\x00"} {
			_, _, err := w.catalog.Get(t.Context(), w.hub.Ada, id)
			_, _, err2 := w.catalog.Playback(t.Context(), w.hub.Ada, id)
			_, _, err3 := w.catalog.Thumbnail(t.Context(), w.hub.Ada, id, 100)
			_, err4 := w.catalog.Mark360(t.Context(), w.hub.Ada, id)
			_, _, unknown := w.catalog.Get(t.Context(), w.hub.Ada, "0_yyyyyyyy")
			for _, err := range []error{err, err2, err3, err4} {
				e, u := *gateway.AsError(err), *gateway.AsError(unknown)
				e.Err, u.Err = nil, nil
				if !reflect.DeepEqual(e, u) || e.Code != gateway.NotFound {
					t.Errorf("%q: %+v", id, e)
				}
			}
		}
		// A machine is told what to do, whether or not the entry exists.
		m := gatewaytest.Machine(w.hub.Hub, gateway.ScopeMediaRead)
		for _, id := range []string{bobs, "0_zzzzzzzz"} {
			_, _, err := w.catalog.Get(t.Context(), m, id)
			gatewaytest.Want(t, err, gateway.Forbidden, "machine_own")
			gatewaytest.Explained(t, err)
		}
		_, err := w.catalog.Browse(t.Context(), m, gateway.Query{})
		gatewaytest.Want(t, err, gateway.Forbidden, "machine_own")
	})
}

func TestBrowseWhenKalturaIsDown(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityShared)
	w.entry("ada@example.org", "one", "")
	fresh, err := w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{})
	if err != nil || fresh.Stale || len(fresh.Items) != 1 {
		t.Fatal(fresh, err)
	}
	if _, err := w.catalog.Browse(ctx, w.hub.Bob, gateway.Query{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.catalog.Browse(ctx, w.hub.Teacher, gateway.Query{Text: "one"}); err != nil {
		t.Fatal(err)
	}
	for _, weather := range []int32{down, html} {
		w.weather.Store(weather)
		w.clock.Add(time.Minute)
		old, err := w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{})
		if err != nil || !old.Stale || len(old.Items) != 1 || !old.AsOf.Equal(fresh.AsOf) || len(old.Decisions) != 1 {
			t.Fatalf("%+v, %v", old, err)
		}
	}
	// Another question, or another viewer who never asked, has no old answer.
	_, err = w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{Text: "two"})
	gatewaytest.Want(t, err, gateway.Unavailable, "")
	gatewaytest.Explained(t, err)
	_, err = w.catalog.Browse(ctx, w.hub.Teacher, gateway.Query{})
	gatewaytest.Want(t, err, gateway.Unavailable, "")
	// Own entries only from now on: Bob's cached page of the whole account is not his any more.
	own := in
	own.Visibility = gateway.VisibilityOwn
	if err := w.db.Integrations().Update(ctx, &own); err != nil {
		t.Fatal(err)
	}
	_, err = w.catalog.Browse(ctx, w.hub.Bob, gateway.Query{})
	gatewaytest.Want(t, err, gateway.Unavailable, "")
	own.Visibility = gateway.VisibilityShared
	if err := w.db.Integrations().Update(ctx, &own); err != nil {
		t.Fatal(err)
	}
	if p, err := w.catalog.Browse(ctx, w.hub.Bob, gateway.Query{}); err != nil || !p.Stale {
		t.Fatal(p, err)
	}
	// Too old is not an answer.
	w.clock.Add(time.Hour)
	_, err = w.catalog.Browse(ctx, w.hub.Ada, gateway.Query{})
	gatewaytest.Want(t, err, gateway.Unavailable, "")
}

func TestBrowseFilters(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	w.connect(gateway.VisibilityShared)
	w.entry("ada@example.org", "sphere", "360")
	w.entry("bob@example.org", "tour", "my 360 tour")
	w.entry("bob@example.org", "plain", "physics")
	yes, no := true, false
	for _, c := range []struct {
		name string
		who  gateway.Actor
		q    gateway.Query
		want string
	}{
		{"only 360 is exact", w.hub.Ada, gateway.Query{Only360: &yes, Sort: gateway.SortName}, "sphere(ada@example.org) "},
		{"not 360", w.hub.Ada, gateway.Query{Only360: &no, Sort: gateway.SortName}, "plain(bob@example.org) tour(bob@example.org) "},
		{"mine", w.hub.Bob, gateway.Query{Mine: true, Sort: gateway.SortName}, "plain(bob@example.org) tour(bob@example.org) "},
		{"mine, but of another owner", w.hub.Bob, gateway.Query{Mine: true, OwnerID: "ada@example.org"}, ""},
		{"a machine has none of its own", gatewaytest.Machine(w.hub.Hub), gateway.Query{Mine: true}, ""},
		{"a machine sees a shared account", gatewaytest.Machine(w.hub.Hub), gateway.Query{Tags: []string{"physics"}}, "plain(bob@example.org) "},
		{"by owner", w.hub.Ada, gateway.Query{OwnerID: "ada@example.org"}, "sphere(ada@example.org) "},
		{"text", w.hub.Ada, gateway.Query{Text: "sphe"}, "sphere(ada@example.org) "},
	} {
		page, err := w.catalog.Browse(ctx, c.who, c.q)
		if err != nil || ids(page) != c.want {
			t.Errorf("%s: got %s (%v), want %s", c.name, ids(page), err, c.want)
		}
	}
	for field, q := range map[string]gateway.Query{
		"/sort": {Sort: "random"}, "/type": {Types: []gateway.MediaType{"text"}}, "/status": {Statuses: []gateway.MediaStatus{"odd"}},
		"/created_before": {CreatedAfter: w.clock.Now(), CreatedBefore: w.clock.Now().Add(-time.Hour)},
	} {
		_, err := w.catalog.Browse(ctx, w.hub.Ada, q)
		if e := gateway.AsError(err); e == nil || e.Code != gateway.Invalid || e.Field != field || e.NextStep == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestMark360(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	w.connect(gateway.VisibilityShared)
	id := w.entry("bob@example.org", "sphere", "physics")
	for range 2 { // marking twice is harmless and told once
		m, err := w.catalog.Mark360(ctx, w.hub.Ada, id)
		if err != nil || !m.Is360() || !slices.Contains(m.Tags, "physics") {
			t.Fatal(m.Tags, err)
		}
	}
	if got, _, err := w.catalog.Get(ctx, w.hub.Bob, id); err != nil || !got.Is360() {
		t.Fatal(got, err)
	}
	if n := len(w.audit("media.tagged")); n != 1 || w.happened()["media.tagged"] != 1 {
		t.Errorf("%d lines, %v", n, w.happened())
	}
}

func TestSharedAccountIsReadWithoutAUserWhenMappingIsOff(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.connect(gateway.VisibilityShared, func(c *gateway.Connection) { c.MappingMode = gateway.MappingOff })
	id := w.entry("bob@example.org", "one", "")
	users := len(w.users())
	page, err := w.catalog.Browse(t.Context(), w.hub.Ada, gateway.Query{})
	if err != nil || len(page.Items) != 1 {
		t.Fatal(ids(page), err)
	}
	if _, _, err := w.catalog.Get(t.Context(), w.hub.Ada, id); err != nil {
		t.Fatal(err)
	}
	_, err = w.catalog.Mark360(t.Context(), w.hub.Ada, id)
	gatewaytest.Want(t, err, gateway.Forbidden, "mapping_off")
	if len(w.users()) != users {
		t.Error("a user was made")
	}
}
