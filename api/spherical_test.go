package api_test

import (
	"fmt"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

// madeEntry makes a ready entry of a user's, as Kaltura's administrator.
func (r *rig) madeEntry(owner, name, tags string) string {
	r.t.Helper()
	var ks string
	r.kalturaCall("session", "start", map[string]any{"secret": "admin-secret-of-the-account-01", "userId": "kadmin@example.org", "type": 2, "partnerId": partner, "expiry": 3600}, &ks)
	var made struct{ ID string }
	r.kalturaCall("media", "add", map[string]any{"ks": ks, "entry": map[string]any{
		"objectType": "KalturaMediaEntry", "mediaType": 1, "name": name, "tags": tags, "userId": owner,
	}}, &made)
	e, err := r.db.Kaltura().Entries().Get(r.t.Context(), partner, made.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	e.Status = 2
	if err := r.db.Kaltura().Entries().Update(r.t.Context(), &e); err != nil {
		r.t.Fatal(err)
	}
	return made.ID
}

// An admin allows the search, looks at what it found, marks, undoes and dismisses; workers are played by hand.
func TestUntagged360(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r := newRigOn(t, db)
		ada, hub := connected(t, r, "shared")
		path := hub + "/integrations/kaltura/untagged-360"
		in, err := db.Integrations().ByHub(t.Context(), r.hub["bio"], gateway.PlatformKaltura)
		if err != nil {
			t.Fatal(err)
		}
		search := func() {
			t.Helper()
			if err := r.sphere.RunScan(t.Context(), in.ID); err != nil {
				t.Fatal(err)
			}
		}
		state := func() (u openapi.Untagged360) {
			t.Helper()
			ada.want(200, "GET", path, nil).into(t, &u)
			return u
		}
		entries := func(query string) (p openapi.Untagged360Page) {
			t.Helper()
			ada.want(200, "GET", path+"/entries?"+query, nil).into(t, &p)
			return p
		}
		tags := func(id string) string {
			t.Helper()
			e, err := db.Kaltura().Entries().Get(t.Context(), partner, id)
			if err != nil {
				t.Fatal(err)
			}
			return e.Tags
		}
		ours := r.madeEntry("ada@example.org", "Tour 360", "tour")
		theirs := r.madeEntry("pat@example.org", "Insta360 ride", "")
		r.madeEntry("pat@example.org", "lecture 360p", "")

		if u := state(); u.Allowed || u.Search.State != openapi.Untagged360SearchStateNever {
			t.Fatalf("%+v", u)
		}
		if p := ada.want(409, "POST", path+"/search", nil).problem(t); p.Code != "search_not_allowed" {
			t.Errorf("%+v", p)
		}
		ada.want(400, "PATCH", path, "{}", "Content-Type", "application/merge-patch+json")
		ada.want(428, "PATCH", path, `{"allowed":true}`, "Content-Type", "application/merge-patch+json")
		off := ada.want(200, "GET", path, nil).Header.Get("ETag")
		ada.want(200, "PATCH", path, `{"allowed":true}`, "Content-Type", "application/merge-patch+json", "If-Match", off)
		ada.want(412, "PATCH", path, `{"allowed":false}`, "Content-Type", "application/merge-patch+json", "If-Match", off)
		if u := state(); !u.Allowed || u.Search.State != openapi.Untagged360SearchStateWaiting {
			t.Fatalf("%+v", u)
		}
		search()
		if u := state(); u.Search.State != openapi.Untagged360SearchStateDone || u.Search.Looked != 3 || u.Search.Found != 2 || u.Search.EndedAt == nil {
			t.Fatalf("%+v", u)
		}
		a := ada.want(202, "POST", path+"/search", nil)
		search()
		if u := state(); !strings.Contains(string(a.body), `"waiting"`) || u.Search.Looked != 3 || u.Search.Found != 0 {
			t.Errorf("asked again: %s, then %+v", a.body, u)
		}

		// One page after the other, each entry once.
		ids := map[string]string{}
		for cursor, pages := "", 0; pages < 5; pages++ {
			p := entries("state=offered&limit=1" + cursor)
			for _, c := range p.Items {
				ids[c.EntryID] = c.ID
				if len(c.Evidence) == 0 || !strings.HasPrefix(c.ThumbnailURL, "/thumbs/") || c.State != openapi.Untagged360StateOffered || c.Error != nil {
					t.Errorf("%+v", c)
				}
			}
			if p.Next == nil {
				break
			}
			cursor = "&cursor=" + *p.Next
		}
		if len(ids) != 2 || ids[ours] == "" || ids[theirs] == "" {
			t.Fatal(ids)
		}
		ada.want(400, "GET", path+"/entries?state=flat", nil)
		ada.want(400, "GET", path+"/entries?cursor=rubbish", nil)

		// Limits of what can be named at once.
		many := make([]string, 101)
		for i := range many {
			many[i] = fmt.Sprint("sph_", i)
		}
		for _, op := range []string{"/mark", "/undo", "/dismiss"} {
			ada.want(400, "POST", path+op, map[string]any{"ids": many})
			ada.want(400, "POST", path+op, map[string]any{"ids": []string{}})
		}
		ada.want(400, "POST", path+"/undo", map[string]any{})
		ada.want(400, "POST", path+"/undo", map[string]any{"ids": many[:1], "job": "job_1"})
		if p := ada.want(409, "POST", path+"/mark", map[string]any{"ids": many[:1]}).problem(t); p.Code != "nothing_to_do" {
			t.Errorf("%+v", p)
		}
		machine := r.client(r.hub["bio"], scopes...)
		if p := machine.want(403, "POST", path+"/mark", map[string]any{"ids": []string{ids[ours]}}).problem(t); p.Code != "needs_person" {
			t.Errorf("%+v", p)
		}

		// Marked in bulk with Ada's own right: Kaltura refuses what is not hers.
		run := func(op string, body map[string]any) (out openapi.Untagged360Run) {
			t.Helper()
			a := ada.want(202, "POST", path+op, body)
			a.into(t, &out)
			if a.Header.Get("Location") != hub+"/jobs/"+out.Job.ID {
				t.Error(a.Header)
			}
			if err := r.sphere.RunMark(t.Context(), out.Job.ID); err != nil {
				t.Fatal(err)
			}
			ada.want(200, "GET", a.Header.Get("Location"), nil).into(t, &out.Job)
			return out
		}
		marked := run("/mark", map[string]any{"ids": []string{ids[ours], ids[theirs], "sph_unknown"}})
		if len(marked.Accepted) != 2 || len(marked.Skipped) != 1 || marked.Skipped[0] != "sph_unknown" || marked.Job.State != "done" || marked.Job.Error == nil {
			t.Errorf("%+v", marked)
		}
		if tags(ours) != "tour, 360" || tags(theirs) != "" {
			t.Errorf("%q, %q", tags(ours), tags(theirs))
		}
		for _, c := range entries("job=" + marked.Job.ID).Items {
			switch {
			case c.EntryID == ours && (c.State != openapi.Untagged360StateMarked || c.Error != nil),
				c.EntryID == theirs && (c.State != openapi.Untagged360StateOffered || c.Error == nil || c.Error.Code != "kaltura_forbidden" || c.Error.NextStep == nil):
				t.Errorf("%+v", c)
			}
		}

		// The run is undone, then one entry; nothing else is touched.
		if u := run("/undo", map[string]any{"job": marked.Job.ID}); len(u.Accepted) != 1 || tags(ours) != "tour" {
			t.Errorf("%+v, %q", u, tags(ours))
		}
		run("/mark", map[string]any{"ids": []string{ids[ours]}})
		if run("/undo", map[string]any{"ids": []string{ids[ours]}}); tags(ours) != "tour" {
			t.Errorf("%q", tags(ours))
		}

		// Dismissed entries are not offered again until that is taken back.
		dismiss := func(body map[string]any) (d openapi.Untagged360Dismissed) {
			t.Helper()
			ada.want(200, "POST", path+"/dismiss", body).into(t, &d)
			return d
		}
		for want := 1; want >= 0; want-- {
			if d := dismiss(map[string]any{"ids": []string{ids[theirs]}}); len(d.Changed) != want || len(d.Skipped) != 1-want {
				t.Errorf("%+v", d)
			}
		}
		if n := len(entries("state=offered").Items); n != 1 {
			t.Errorf("%d offered", n)
		}
		if d := dismiss(map[string]any{"ids": []string{ids[theirs]}, "dismissed": false}); len(d.Changed) != 1 || len(entries("state=offered").Items) != 2 {
			t.Errorf("%+v", d)
		}

		// Where each sees only their own media, so do admins: decided before the page is cut, and for ids too.
		ada.want(200, "PATCH", hub+"/integrations/kaltura", map[string]any{"visibility": "own"}, "Content-Type", "application/merge-patch+json", "If-Match",
			ada.want(200, "GET", hub+"/integrations/kaltura", nil).Header.Get("ETag"))
		p := entries("limit=1")
		if len(p.Items) != 1 || p.Items[0].EntryID != ours || p.Next != nil {
			t.Errorf("%+v", p)
		}
		if d := dismiss(map[string]any{"ids": []string{ids[theirs]}}); len(d.Changed) != 0 {
			t.Error("an entry was dismissed that the admin may not see")
		}
		ada.want(409, "POST", path+"/mark", map[string]any{"ids": []string{ids[theirs]}})
		ada.want(200, "PATCH", path, `{"allowed":false}`, "Content-Type", "application/merge-patch+json", "If-Match", state().Etag) // searches left it alone
		if state().Allowed {
			t.Error("still allowed")
		}
	})
}
