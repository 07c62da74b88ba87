package gateway_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// libraryCopy keeps a copy of the library as a client does that may not lose a change.
type libraryCopy struct {
	lib    *gateway.Library
	actor  gateway.Actor
	cursor string
	items  map[string]string // by id: name and version
}

func facts(it gateway.LibraryItem) string {
	return fmt.Sprintf("%s v%d shared=%t", it.Name, it.Version, it.Shared)
}

// pull takes over one page; it tells whether there may be more.
func (c *libraryCopy) pull(ctx context.Context) (bool, error) {
	page, err := c.lib.Changes(ctx, c.actor, c.cursor, 1+rand.IntN(7), 0)
	if err != nil {
		return false, err
	}
	for _, ch := range page.Changes {
		if ch.Item == nil {
			delete(c.items, ch.ItemID)
			continue
		}
		c.items[ch.ItemID] = facts(*ch.Item)
	}
	c.cursor = page.Cursor
	return page.More || len(page.Changes) > 0, nil
}

func (c *libraryCopy) all(t testing.TB) {
	t.Helper()
	for {
		more, err := c.pull(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

// truth is what an actor may see.
func (s *site) truth(a gateway.Actor) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for w := (gateway.Slice{Limit: 500}); ; {
		list, err := s.library.List(s.t.Context(), a, "", nil, w)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, it := range list {
			out[it.ID], w.After = facts(it), it.ID
		}
		if len(list) < w.Limit {
			return out
		}
	}
}

// Many write at once, hold their transactions open, give up, write several items in one: who reads all
// the time ends up with exactly what is there, having been told each thing after what came before.
func TestNoChangeIsLostAmongWriters(t *testing.T) {
	t.Parallel()
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		ctx := t.Context()
		errGivenUp := errors.New("given up")
		item := func(name string) *gateway.LibraryItem {
			id := gateway.NewID("lib")
			return &gateway.LibraryItem{
				Row: gateway.Row{ID: id, HubID: s.house.Hub.ID}, ParticipantID: s.house.Ada.ParticipantID, IntegrationID: s.in.ID, EntryID: id, JobID: gateway.NewID("job"),
				Kind: gateway.ItemLink, Name: name, State: gateway.ItemReady, Shared: rand.IntN(3) > 0,
			}
		}
		var done atomic.Bool
		var finished atomic.Int64
		readers := []*libraryCopy{
			{lib: s.library, actor: s.house.Bob, items: map[string]string{}},
			{lib: s.library, actor: s.house.Ada, items: map[string]string{}},
			{lib: s.library, actor: s.spacesClient("cli_x"), items: map[string]string{}},
		}
		const writers, rounds = 12, 25
		together(writers+len(readers), func(i int) {
			if i >= writers {
				for c := readers[i-writers]; !done.Load(); {
					if _, err := c.pull(ctx); err != nil {
						t.Error(err)
						return
					}
				}
				return
			}
			var mine []gateway.LibraryItem
			for n := range rounds {
				err := db.Tx(ctx, func(tx gateway.Tx) error {
					var made []gateway.LibraryItem
					for range 1 + rand.IntN(3) {
						it := item(fmt.Sprintf("%d/%d", i, n))
						if err := tx.Library().Insert(ctx, it); err != nil {
							return err
						}
						made = append(made, *it)
					}
					if len(mine) > 0 {
						it := mine[rand.IntN(len(mine))]
						it, err := tx.Library().Get(ctx, gateway.AnyHub, it.ID)
						if err == nil && rand.IntN(3) == 0 {
							err = tx.Library().Delete(ctx, gateway.AnyHub, it.ID)
						} else if err == nil {
							it.Name, it.Shared = it.Name+"'", !it.Shared
							err = tx.Library().Update(ctx, &it)
						}
						if err != nil && gateway.CodeOf(err) != gateway.NotFound {
							return err
						}
					}
					if rand.IntN(4) == 0 {
						time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond) // others overtake
					}
					if rand.IntN(6) == 0 {
						return errGivenUp
					}
					mine = append(mine, made...)
					return nil
				})
				if err != nil && !strings.Contains(err.Error(), errGivenUp.Error()) {
					t.Error(err)
				}
			}
			if finished.Add(1) == writers {
				done.Store(true)
			}
		})
		for _, c := range readers {
			c.all(t)
			if want := s.truth(c.actor); !maps.Equal(want, c.items) {
				t.Errorf("%s: %d items are there, %d were told", c.actor.Subject(), len(want), len(c.items))
			}
			fresh := &libraryCopy{lib: s.library, actor: c.actor, items: map[string]string{}}
			if fresh.all(t); !maps.Equal(fresh.items, c.items) {
				t.Error("who begins anew sees something else")
			}
		}
	})
}

func TestCursors(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		ctx := t.Context()
		add := func(shared bool) gateway.LibraryItem {
			id := gateway.NewID("lib")
			it := gateway.LibraryItem{
				Row: gateway.Row{ID: id, HubID: s.house.Hub.ID}, ParticipantID: s.house.Ada.ParticipantID, IntegrationID: s.in.ID, EntryID: id, JobID: gateway.NewID("job"),
				Kind: gateway.ItemLink, Name: "x", State: gateway.ItemReady, Shared: shared,
			}
			if err := db.Library().Insert(ctx, &it); err != nil {
				t.Fatal(err)
			}
			return it
		}
		shared, private, gone := add(true), add(false), add(true)
		if err := db.Library().Delete(ctx, gateway.AnyHub, gone.ID); err != nil {
			t.Fatal(err)
		}
		page, err := s.library.Changes(ctx, s.house.Bob, "", 0, 0)
		if err != nil || len(page.Changes) != 1 || page.Changes[0].ItemID != shared.ID {
			t.Fatalf("%+v %v", page, err) // nothing of Ada's own, nothing of what was gone before
		}
		// Taken back: gone for Bob, still there for Ada.
		if _, err = s.library.Share(ctx, s.house.Ada, shared.ID, shared.Version, false); err != nil {
			t.Fatal(err)
		}
		next, err := s.library.Changes(ctx, s.house.Bob, page.Cursor, 0, 0)
		if err != nil || len(next.Changes) != 1 || next.Changes[0].Item != nil || next.Changes[0].ItemID != shared.ID {
			t.Fatalf("%+v %v", next, err)
		}
		// A private one that goes is no news for Bob, and not even its id is told.
		if err := s.library.Remove(ctx, s.house.Ada, private.ID); err != nil {
			t.Fatal(err)
		}
		if last, err := s.library.Changes(ctx, s.house.Bob, next.Cursor, 0, 0); err != nil || len(last.Changes) != 0 {
			t.Fatalf("%+v %v", last, err)
		}
		for _, bad := range []string{"x", "MSAw", page.Cursor + "A", strings.ToUpper(page.Cursor)} {
			_, err := s.library.Changes(ctx, s.house.Bob, bad, 0, 0)
			gatewaytest.Want(t, err, gateway.Invalid, "bad_cursor")
		}
		_, err = s.library.Changes(ctx, s.house.Ada, page.Cursor, 0, 0) // what one saw is not what another may skip
		gatewaytest.Want(t, err, gateway.Invalid, "bad_cursor")

		// Waiting ends with the change.
		add(true)
		waited, err := s.library.Changes(ctx, s.house.Bob, next.Cursor, 0, 0)
		if err != nil || len(waited.Changes) != 1 {
			t.Fatal(err)
		}
		got := make(chan gateway.ChangePage, 1)
		go func() {
			p, err := s.library.Changes(ctx, s.house.Bob, waited.Cursor, 0, 20*time.Second)
			if err != nil {
				t.Error(err)
			}
			got <- p
		}()
		late := add(true)
		if p := <-got; len(p.Changes) != 1 || p.Changes[0].ItemID != late.ID {
			t.Errorf("%+v", p)
		}

		// Removals are told for a time. Then an older cursor is refused in words, a younger one works.
		if err := s.library.SweepChanges(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err = s.library.Changes(ctx, s.house.Bob, page.Cursor, 0, 0); err != nil {
			t.Fatal(err)
		}
		add(true)
		recent, err := s.library.Changes(ctx, s.house.Bob, "", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.library.RemovalLife = time.Nanosecond
		if err := s.library.SweepChanges(ctx); err != nil {
			t.Fatal(err)
		}
		_, err = s.library.Changes(ctx, s.house.Bob, page.Cursor, 0, 0)
		gatewaytest.Want(t, err, gateway.Gone, "cursor_too_old")
		gatewaytest.Explained(t, err)
		if _, err = s.library.Changes(ctx, s.house.Bob, recent.Cursor, 0, 0); err != nil {
			t.Error(err)
		}
		// Who is in the middle of a first look may go on, however old what was forgotten.
		first, err := s.library.Changes(ctx, s.house.Bob, "", 1, 0)
		if err != nil || !first.More {
			t.Fatal(err)
		}
		if _, err = s.library.Changes(ctx, s.house.Bob, first.Cursor, 1, 0); err != nil {
			t.Error(err)
		}
		// Acknowledged by one client is not so by another.
		spaces, other := s.spacesClient("cli_a"), s.spacesClient("cli_b")
		if _, err := s.library.Acknowledge(ctx, spaces, late.ID); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			a    gateway.Actor
			want int
		}{{spaces, 1}, {other, 0}} {
			p, err := s.library.Changes(ctx, c.a, "", 0, 0)
			n := 0
			for _, ch := range p.Changes {
				if ch.Acked != nil {
					n++
				}
			}
			if err != nil || n != c.want {
				t.Errorf("%s sees %d acknowledged, %v", c.a.ClientID, n, err)
			}
		}
		_, err = s.library.Acknowledge(ctx, spaces, shared.ID) // not for its eyes
		gatewaytest.Want(t, err, gateway.NotFound, "")
		_, err = s.library.Acknowledge(ctx, s.house.Bob, late.ID)
		gatewaytest.Want(t, err, gateway.Forbidden, "machine_only")
	})
}

// outpost is the spaces platform with its own memory of its media: what was changed here and not yet
// taken over there is dirty.
type outpost struct {
	actor  gateway.Actor
	cursor string
	mine   map[string]*posted // by external id
	others map[string]string
	seen   map[string]bool // since it began anew; nil = it did not
}

type posted struct {
	name    string
	shared  bool
	id      string
	version int64
	dirty   bool
	gone    bool
}

func (o *outpost) push(lib *gateway.Library, lost bool) error {
	var list []gateway.Push
	ids := slices.Sorted(maps.Keys(o.mine))
	ids = slices.DeleteFunc(ids, func(id string) bool { return !o.mine[id].dirty })
	for _, id := range ids {
		p := o.mine[id]
		list = append(list, gateway.Push{Remove: p.gone, Registration: gateway.Registration{
			ExternalID: id, Name: p.name, Shared: &p.shared, Version: p.version, URL: "https://media.example.org/" + id + ".mp4",
		}})
	}
	done, err := lib.Push(context.Background(), o.actor, list)
	if err != nil || lost {
		return err
	}
	for i, d := range done {
		p := o.mine[ids[i]]
		switch {
		case d.Outcome == gateway.PushRemoved, gateway.IsReason(d.Err, "item_removed"):
			delete(o.mine, ids[i])
		case gateway.IsReason(d.Err, "stale"): // the platform's own word counts: say it again, knowing what is there
			p.version, p.id = d.Item.Version, d.Item.ID
		case d.Err != nil:
			return d.Err
		default:
			p.version, p.id, p.dirty = d.Item.Version, d.Item.ID, false
		}
	}
	return nil
}

func (o *outpost) pull(lib *gateway.Library, lost bool) (bool, error) {
	page, err := lib.Changes(context.Background(), o.actor, o.cursor, 3, 0)
	if err != nil || lost {
		return true, err
	}
	for _, ch := range page.Changes {
		if o.seen != nil {
			o.seen[ch.ItemID] = true
		}
		switch {
		case ch.ExternalID == "" && ch.Item == nil:
			delete(o.others, ch.ItemID)
		case ch.ExternalID == "":
			o.others[ch.ItemID] = facts(*ch.Item)
		case ch.Item == nil:
			if p := o.mine[ch.ExternalID]; p != nil && p.id == ch.ItemID {
				delete(o.mine, ch.ExternalID)
			}
		default:
			p := o.mine[ch.ExternalID]
			if p == nil {
				p = &posted{}
				o.mine[ch.ExternalID] = p
			}
			p.id, p.version = ch.ItemID, ch.Item.Version
			if !p.dirty {
				p.name, p.shared = ch.Item.Name, ch.Item.Shared
			}
		}
	}
	o.cursor = page.Cursor
	if o.seen != nil && !page.More { // what is not listed to who begins anew is gone
		maps.DeleteFunc(o.mine, func(_ string, p *posted) bool { return !p.dirty && !o.seen[p.id] })
		o.seen = nil
	}
	return page.More || len(page.Changes) > 0, nil
}

// Both sides change things at random, answers are lost, both start anew: after a sync they are equal.
func TestBothSidesAreEqualAfterAnOutage(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		t.Cleanup(func() { _ = flag.Set("rapid.checks", checks.DefValue) })
		if err := flag.Set("rapid.checks", "12"); err != nil { // each is some thirty requests
			t.Fatal(err)
		}
	}
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		base := newSite(t, db, siteOptions{})
		n := 0
		rapid.Check(t, func(r *rapid.T) {
			n++
			s := *base
			s.house = gatewaytest.NewHouse(t, db, gateway.SystemClock, fmt.Sprintf("sync-%d", n), gateway.PlanUniversity)
			ctx := context.Background()
			o := &outpost{actor: s.spacesClient("cli_spaces"), mine: map[string]*posted{}, others: map[string]string{}}
			must := func(err error) {
				if err != nil {
					r.Fatal(err)
				}
			}
			external := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
			name := rapid.SampledFrom([]string{"Dawn", "Noon", "Dusk", "Night"})
			some := func() (gateway.LibraryItem, bool) {
				list, err := s.library.List(ctx, o.actor, "", nil, gateway.Slice{})
				must(err)
				if len(list) == 0 {
					return gateway.LibraryItem{}, false
				}
				return rapid.SampledFrom(list).Draw(r, "item"), true
			}
			r.Repeat(map[string]func(*rapid.T){
				"platform changes": func(r *rapid.T) {
					id := external.Draw(r, "id")
					p := o.mine[id]
					if p == nil || p.gone {
						p = &posted{}
						o.mine[id] = p
					}
					p.name, p.shared, p.dirty = name.Draw(r, "name"), rapid.Bool().Draw(r, "shared"), true
				},
				"platform removes": func(r *rapid.T) {
					if p := o.mine[external.Draw(r, "id")]; p != nil {
						p.gone, p.dirty = true, true
					}
				},
				"push": func(r *rapid.T) { must(o.push(s.library, rapid.Bool().Draw(r, "lost"))) },
				"pull": func(r *rapid.T) {
					_, err := o.pull(s.library, rapid.Bool().Draw(r, "lost"))
					must(err)
				},
				"hub changes": func(r *rapid.T) {
					it, ok := some()
					if !ok || it.Source != gateway.SourceSpaces {
						return
					}
					to, shared := name.Draw(r, "name"), rapid.Bool().Draw(r, "shared")
					_, err := s.library.Change(ctx, s.house.Admin, it.ID, it.Version, gateway.ItemChange{Name: &to, Shared: &shared})
					must(err)
				},
				"hub removes": func(*rapid.T) {
					if it, ok := some(); ok {
						must(s.library.Remove(ctx, s.house.Admin, it.ID))
					}
				},
				"hub imports": func(r *rapid.T) {
					id := gateway.NewID("lib")
					must(db.Library().Insert(ctx, &gateway.LibraryItem{
						Row: gateway.Row{ID: id, HubID: s.house.Hub.ID}, ParticipantID: s.house.Ada.ParticipantID, IntegrationID: s.in.ID, EntryID: id, JobID: gateway.NewID("job"),
						Kind: gateway.ItemLink, Name: "Import", State: gateway.ItemReady, Shared: rapid.Bool().Draw(r, "shared"),
					}))
				},
				"hub shares": func(r *rapid.T) {
					list, err := s.library.List(ctx, s.house.Ada, "", nil, gateway.Slice{})
					must(err)
					for _, it := range list {
						if it.ParticipantID == s.house.Ada.ParticipantID && rapid.Bool().Draw(r, "toggle") {
							_, err = s.library.Share(ctx, s.house.Ada, it.ID, it.Version, !it.Shared)
							must(err)
							return
						}
					}
				},
				"hub starts anew":       func(*rapid.T) { s.library = s.again() },
				"platform loses cursor": func(*rapid.T) { o.cursor, o.others, o.seen = "", map[string]string{}, map[string]bool{} },
			})
			// The outage is over: both say what they have until nobody has anything to say.
			for round := 0; ; round++ {
				must(o.push(s.library, false))
				news := false
				for more := true; more; {
					var err error
					more, err = o.pull(s.library, false)
					must(err)
					news = news || more
				}
				dirty := slices.ContainsFunc(slices.Collect(maps.Values(o.mine)), func(p *posted) bool { return p.dirty })
				if !news && !dirty {
					break
				}
				if round > 20 {
					r.Fatal("they never come to rest")
				}
			}
			there, here := map[string]string{}, map[string]string{}
			list, err := s.library.List(ctx, o.actor, "", nil, gateway.Slice{})
			must(err)
			for _, it := range list {
				if it.Source == gateway.SourceSpaces {
					there[it.ExternalID] = facts(it)
				} else {
					there[it.ID] = facts(it)
				}
			}
			for id, p := range o.mine {
				here[id] = facts(gateway.LibraryItem{Row: gateway.Row{Version: p.version}, Name: p.name, Shared: p.shared})
			}
			maps.Copy(here, o.others)
			if !maps.Equal(there, here) {
				r.Fatalf("the hub has %v, the platform %v", there, here)
			}
		})
	})
}

// again makes the library anew over the same data, as a start of the server would.
func (s *site) again() *gateway.Library {
	k := s.library
	return &gateway.Library{
		Store: k.Store, Clock: k.Clock, Catalog: k.Catalog, Tickets: k.Tickets, Assets: k.Assets, Events: k.Events,
		Uploads: k.Uploads, Fetcher: k.Fetcher, Sealer: k.Sealer, BaseURL: k.BaseURL, MaxSize: k.MaxSize,
	}
}
