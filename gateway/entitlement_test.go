package gateway_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations/kaltura/platform"
	"isthmus/store/storetest"
)

// members makes a category of the context "school" that members alone may look into, with an entry.
func (w *world) members(entry string, people ...string) (category int64) {
	w.t.Helper()
	var c struct{ ID int64 }
	w.ask("category", "add", map[string]any{"category": map[string]any{"objectType": "KalturaCategory", "name": "staff", "privacy": 3, "privacyContext": "school"}}, &c)
	w.categorise(entry, c.ID)
	for _, p := range people {
		w.join(c.ID, p)
	}
	return c.ID
}

func (w *world) join(category int64, person string) {
	w.t.Helper()
	var out any
	w.ask("categoryUser", "add", map[string]any{"categoryUser": map[string]any{"objectType": "KalturaCategoryUser", "categoryId": category, "userId": person}}, &out)
}

// enforce connects the hub anew with the App Tokens that we ask for ourselves, entitlement enforced.
func (w *world) enforce(ins *gateway.Integrations, admin gateway.Actor, player bool) gateway.Integration {
	w.t.Helper()
	rule, in := gateway.EntitlementEnforce, "school"
	wish := gateway.TokenWish{Visibility: gateway.VisibilityShared, Entitlement: rule, PrivacyContext: in}
	asked := func() token {
		req, err := ins.TokenRequest(w.t.Context(), admin, serviceURL, wish)
		if err != nil {
			w.t.Fatal(err)
		}
		var body struct {
			AppToken struct{ SessionPrivileges string }
		}
		if err := json.Unmarshal([]byte(req.Body), &body); err != nil {
			w.t.Fatal(err)
		}
		return w.token(map[string]any{"sessionPrivileges": body.AppToken.SessionPrivileges})
	}
	c := asked().connection(gateway.VisibilityShared)
	c.Options.Entitlement, c.Options.PrivacyContext = &rule, &in
	if wish.Player = player; player {
		p := asked()
		c.Options.PlayerTokenID, c.Options.PlayerToken, c.Options.PlayerHashType = &p.ID, gateway.Secret(p.Token), "SHA256"
	}
	now, err := ins.Get(w.t.Context(), admin)
	if err != nil {
		w.t.Fatal(err)
	}
	if now, err = ins.Save(w.t.Context(), admin, now.Version, c); err != nil {
		w.t.Fatal(err)
	}
	return now
}

// With entitlement enforced, by the App Tokens that we ask for, a member gets everything and a
// stranger nothing, on every way through the gateway; reconciliation takes hidden for what it is.
func TestEntitlementThroughTheGateway(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	w, ctx, catalog := l.world, t.Context(), l.library.Catalog
	owner, member, stranger := l.house.Ada, l.house.Admin, l.house.Bob
	stop := l.work()
	up := l.upload(owner, "staff.mp4", flatClip(t))
	eventually(t, "ready", func() bool { return l.state(up.ID).State == gateway.UploadReady })
	stop()
	entry := l.state(up.ID).EntryID
	var out any
	var cap struct{ ID string }
	w.ask("caption_captionasset", "add", map[string]any{"entryId": entry, "captionAsset": map[string]any{
		"objectType": "KalturaCaptionAsset", "language": "English", "format": "1", "label": "English",
	}}, &cap)
	w.ask("caption_captionasset", "setContent", map[string]any{"id": cap.ID, "contentResource": map[string]any{
		"objectType": "KalturaStringResource", "content": "1\n00:00:00,000 --> 00:00:01,000\nSecret\n",
	}}, &out)
	w.user(member.Email, member.Email)
	category := w.members(entry, member.Email)
	account, err := l.db.Kaltura().Accounts().Get(ctx, partner, fmt.Sprint(partner)) // the account itself hides it from anybody too
	if err != nil {
		t.Fatal(err)
	}
	account.Entitlement = true
	if err = l.db.Kaltura().Accounts().Update(ctx, &account); err != nil {
		t.Fatal(err)
	}
	l.platform = platform.New(platform.Config{
		BaseURL: serviceURL, Records: l.db, Staging: l.staging, Blobs: l.blobs, Assets: l.assets, Sealer: l.keys,
	})
	l.in = w.enforce(l.ins, l.house.Admin, true)

	lists := func(a gateway.Actor) bool {
		t.Helper()
		page, err := catalog.Browse(ctx, a, gateway.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(page.Items, func(m gateway.Media) bool { return m.ID == entry })
	}
	ways := map[string]func(gateway.Actor) error{
		"get": func(a gateway.Actor) error { _, _, err := catalog.Get(ctx, a, entry); return err },
		"playback": func(a gateway.Actor) error {
			_, p, err := catalog.Playback(ctx, a, entry)
			if err == nil && p.DASH == "" {
				t.Error("nothing to play")
			}
			return err
		},
		"captions": func(a gateway.Actor) error { _, err := catalog.Caption(ctx, a, entry, cap.ID); return err },
		"thumbnail": func(a gateway.Actor) error {
			r, _, err := catalog.Thumbnail(ctx, a, entry, 100)
			if err == nil {
				_ = r.Close()
			}
			return err
		},
		"import": func(a gateway.Actor) error {
			_, _, _, err := l.library.Import(ctx, a, entry, gateway.ItemLink, "")
			return err
		},
	}
	for _, a := range []gateway.Actor{member, owner} { // before the stranger: what they saw helps nobody else
		if !lists(a) {
			t.Errorf("not listed to %s", a.Email)
		}
		for way, f := range ways {
			if err := f(a); err != nil {
				t.Errorf("%s by %s: %v", way, a.Email, err)
			}
		}
	}
	for _, a := range []gateway.Actor{stranger, gatewaytest.Machine(l.house.Hub, gateway.ScopeMediaRead, gateway.ScopeMediaImport)} {
		if lists(a) {
			t.Errorf("listed to %s", a.Subject())
		}
		for way, f := range ways {
			if err := f(a); gateway.CodeOf(err) != gateway.NotFound {
				t.Errorf("%s by %s: %v", way, a.Subject(), err)
			}
		}
	}

	// Hidden from nobody in particular is not gone.
	it, _, _, err := l.library.Import(ctx, member, entry, gateway.ItemLink, "")
	if err != nil {
		t.Fatal(err)
	}
	rename := func(name string) {
		w.ask("media", "update", map[string]any{"entryId": entry, "mediaEntry": map[string]any{"objectType": "KalturaMediaEntry", "name": name}}, &out)
	}
	rename("for members")
	if r := l.reconcile(); r.Lost != 0 || l.item(it.ID).Lost() != nil || l.state(up.ID).Lost() != nil || l.item(it.ID).Name != "for members" {
		t.Errorf("%+v %+v", r, l.item(it.ID))
	}
	// Who may no longer see it hears nothing new of it.
	if err = l.db.Kaltura().CategoryUsers().Delete(ctx, partner, fmt.Sprintf("%d/%s", category, member.Email)); err != nil {
		t.Fatal(err)
	}
	rename("secret")
	l.reconcile()
	if got := l.item(it.ID); got.Name != "for members" {
		t.Errorf("renamed to %q", got.Name)
	}
	// And who plays it again has it back, with nothing else running.
	if l.item(it.ID).SourceLostAt == nil {
		t.Error("an entry that the importer may not see works as before")
	}
	w.join(category, member.Email)
	if _, _, err = l.library.Playback(ctx, member, it.ID); err != nil || l.item(it.ID).SourceLostAt != nil {
		t.Errorf("%v, %+v", err, l.item(it.ID))
	}

	// Without a player App Token it is said what is missing, and nothing is called deleted.
	none := ""
	now, err := l.ins.Get(ctx, l.house.Admin)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = l.ins.Save(ctx, l.house.Admin, now.Version, gateway.Connection{
		ServiceURL: now.ServiceURL, PartnerID: now.PartnerID, AppTokenID: now.AppTokenID, HashType: now.HashType, Visibility: now.Visibility,
		Options: gateway.ConnectionOptions{PlayerTokenID: &none},
	}); err != nil {
		t.Fatal(err)
	}
	_, _, err = l.library.Playback(ctx, member, it.ID)
	gatewaytest.Want(t, err, gateway.Forbidden, "playback_entitled")
	gatewaytest.Explained(t, err)
}

// An item follows its entry only as long as its importer may see the entry.
func TestItemsDoNotFollowWhatTheImporterMayNotSee(t *testing.T) {
	for name, c := range map[string]struct {
		narrow func(l *live, in *gateway.Integration, entry string)
		follow bool
	}{
		"as before":      {func(*live, *gateway.Integration, string) {}, true},
		"own media only": {func(_ *live, in *gateway.Integration, _ string) { in.Visibility = gateway.VisibilityOwn }, false},
		"another category": {func(l *live, in *gateway.Integration, _ string) {
			in.CategoryID = l.world.categories("a", "b", "c")[0]
		}, false},
		"its own category": {func(l *live, in *gateway.Integration, entry string) {
			ids := l.world.categories("a", "b", "c")
			l.world.categorise(entry, ids[1]) // below
			in.CategoryID = ids[0]
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLive(t, storetest.SQLite(t))
			entry := l.world.entry("zoe@example.org", "as it was", "")
			it, _, _, err := l.library.Import(t.Context(), l.house.Bob, entry, gateway.ItemCopy, "")
			if err != nil {
				t.Fatal(err)
			}
			it = l.item(it.ID)
			it.State = gateway.ItemReady
			if err = l.db.Library().Update(t.Context(), &it); err != nil {
				t.Fatal(err)
			}
			in, err := l.ins.Get(t.Context(), l.house.Admin)
			if err != nil {
				t.Fatal(err)
			}
			c.narrow(l, &in, entry)
			if err = l.db.Integrations().Update(t.Context(), &in); err != nil {
				t.Fatal(err)
			}
			var out any
			l.world.ask("media", "update", map[string]any{"entryId": entry, "mediaEntry": map[string]any{"objectType": "KalturaMediaEntry", "name": "secret"}}, &out)
			r := l.reconcile()
			got := l.item(it.ID)
			if (got.Name == "secret") != c.follow || (r.Changed == 1) != c.follow || (len(told(t, l.db, l.house.Bob, "library.changed")) == 1) != c.follow || got.Lost() != nil {
				t.Errorf("%+v, %+v", r, got)
			}
		})
	}
}

// A page from before entitlement was enforced is not served as a stale one afterwards.
func TestStalePagesOfOtherRules(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.connect(gateway.VisibilityShared)
	entry := w.entry("zoe@example.org", "Staff meeting", "")
	w.members(entry)
	if p, err := w.catalog.Browse(t.Context(), w.hub.Bob, gateway.Query{}); err != nil || len(p.Items) != 1 {
		t.Fatal(ids(p), err)
	}
	w.weather.Store(down)
	if p, err := w.catalog.Browse(t.Context(), w.hub.Bob, gateway.Query{}); err != nil || !p.Stale || len(p.Items) != 1 {
		t.Fatal(ids(p), err)
	}
	w.weather.Store(fine)
	w.enforce(w.integrations, w.hub.Admin, true)
	w.weather.Store(down)
	if p, err := w.catalog.Browse(t.Context(), w.hub.Bob, gateway.Query{}); err == nil {
		t.Errorf("served %s, stale: %v", ids(p), p.Stale)
	}
	if m, known := w.catalog.Recall(t.Context(), w.hub.Bob, entry); known {
		t.Errorf("recalled %s", m.Name)
	}
}
