package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"

	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

func init() { openapi3filter.RegisterBodyDecoder("application/jsonl", openapi3filter.FileBodyDecoder) }

// auditable is a hub with a connection, its admin and a person who was mapped.
func auditable(t *testing.T, db *store.DB) (r *rig, admin *caller, base string) {
	t.Helper()
	r = newRigOn(t, db)
	admin = r.signIn("ada@example.org")
	base = "/v1/hubs/" + r.hub["bio"]
	admin.want(http.StatusOK, "PUT", base+"/integrations/kaltura", r.appToken("shared"))
	admin.want(http.StatusOK, "GET", base+"/media", nil)
	return r, admin, base
}

func (c *caller) mappings(path string) (all []openapi.Mapping) {
	c.r.t.Helper()
	var page openapi.MappingPage
	c.want(http.StatusOK, "GET", path, nil).into(c.r.t, &page)
	return page.Items
}

// An admin looks people up, tries a rule, merges and takes back, and takes the list away, all over HTTP.
func TestMappingsOverHTTP(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		r, admin, base := auditable(t, db)
		all := admin.mappings(base + "/mappings")
		if len(all) != 1 || all[0].How != "provisioned" || all[0].LinkedAt.IsZero() || deref(all[0].ParticipantEmail) != "ada@example.org" {
			t.Fatalf("%+v", all)
		}
		for query, want := range map[string]int{"?q=ADA@": 1, "?q=nobody": 0, "?state=conflict": 0, "?state=active&how=provisioned": 1, "?how=manual": 0} {
			if got := admin.mappings(base + "/mappings" + query); len(got) != want {
				t.Errorf("%s: %d", query, len(got))
			}
		}
		admin.want(http.StatusBadRequest, "GET", base+"/mappings?state=odd", nil)
		for scope, status := range map[string][2]int{gateway.ScopeMembersAdmin: {http.StatusOK, http.StatusForbidden}, gateway.ScopeMappingsAdmin: {http.StatusForbidden, http.StatusOK}} {
			app := r.client(r.hub["bio"], scope)
			app.want(status[0], "GET", base+"/members", nil)
			app.want(status[1], "GET", base+"/mappings", nil)
		}
		m := all[0]
		one := admin.want(http.StatusOK, "GET", base+"/mappings/"+m.ID, nil)
		if !strings.HasPrefix(one.Header.Get("ETag"), strings.TrimSuffix(m.Etag, `"`)) {
			t.Error(one.Header)
		}
		// The merge: preview, then only with the version that was seen.
		var ks string
		var out any
		r.kalturaCall("session", "start", map[string]any{"secret": "admin-secret-of-the-account-01", "userId": "kadmin@example.org", "type": 2, "partnerId": partner, "expiry": 3600}, &ks)
		r.kalturaCall("user", "add", map[string]any{"ks": ks, "user": map[string]any{"objectType": "KalturaUser", "id": "u-real", "email": "ada@real.example"}}, &out)
		var p openapi.MergePreview
		admin.want(http.StatusOK, "GET", base+"/mappings/"+m.ID+"/merge?platform_user_id=u-real", nil).into(t, &p)
		if p.To.ID != "u-real" || !p.Undo || p.Entries != 0 {
			t.Errorf("%+v", p)
		}
		body := map[string]any{"platform_user_id": "u-real"}
		admin.want(http.StatusPreconditionRequired, "POST", base+"/mappings/"+m.ID+"/merge", body)
		admin.want(http.StatusPreconditionFailed, "POST", base+"/mappings/"+m.ID+"/merge", body, "If-Match", `"v99"`)
		var run, again openapi.MappingRun
		began := admin.want(http.StatusAccepted, "POST", base+"/mappings/"+m.ID+"/merge", body, "If-Match", m.Etag, "Idempotency-Key", "k1")
		began.into(t, &run)
		admin.want(http.StatusAccepted, "POST", base+"/mappings/"+m.ID+"/merge", body, "If-Match", m.Etag, "Idempotency-Key", "k1").into(t, &again)
		if run.ID != again.ID || began.Header.Get("Location") != base+"/mapping-runs/"+run.ID {
			t.Error(run, again, began.Header)
		}
		if err := r.mappings.RunJob(t.Context(), run.JobID); err != nil {
			t.Fatal(err)
		}
		admin.want(http.StatusOK, "GET", base+"/mapping-runs/"+run.ID, nil).into(t, &run)
		if run.State != "done" || deref(run.ToUser) != "u-real" {
			t.Errorf("%+v", run)
		}
		admin.want(http.StatusOK, "GET", base+"/mapping-runs/"+run.ID+"/items", nil)
		admin.want(http.StatusConflict, "POST", base+"/mapping-runs/"+run.ID+"/resume", nil)
		admin.want(http.StatusAccepted, "POST", base+"/mapping-runs/"+run.ID+"/undo", nil).into(t, &run)
		admin.want(http.StatusConflict, "POST", base+"/mapping-runs/"+run.ID+"/undo", nil)
		if err := r.mappings.RunJob(t.Context(), run.JobID); err != nil {
			t.Fatal(err)
		}
		if now := admin.mappings(base + "/mappings"); now[0].PlatformUserID != "ada@example.org" {
			t.Errorf("%+v", now)
		}
		admin.want(http.StatusAccepted, "POST", base+"/mappings/dry-run", map[string]any{"mapping_mode": "off", "visibility": "own"}).into(t, &run)
		if err := r.mappings.RunJob(t.Context(), run.JobID); err != nil {
			t.Fatal(err)
		}
		var items openapi.MappingRunItemPage
		admin.want(http.StatusOK, "GET", base+"/mapping-runs/"+run.ID+"/items?outcome=unchanged", nil).into(t, &items)
		if len(items.Items) != 1 || deref(items.Items[0].ParticipantEmail) != "ada@example.org" {
			t.Errorf("%+v", items)
		}
		var runs openapi.MappingRunPage
		admin.want(http.StatusOK, "GET", base+"/mapping-runs?kind=merge&mapping="+m.ID, nil).into(t, &runs)
		if len(runs.Items) != 1 {
			t.Errorf("%+v", runs)
		}
		admin.want(http.StatusNotFound, "GET", base+"/mapping-runs/mrn_none", nil)
		// A client needs the scope, and sees no other hub.
		r.client(r.hub["bio"], gateway.ScopeMappingsAdmin).want(http.StatusOK, "GET", base+"/mapping-runs", nil)
		denied := r.client(r.hub["bio"], gateway.ScopeAuditRead).want(http.StatusForbidden, "GET", base+"/mappings/export", nil).problem(t)
		if !strings.Contains(denied.Code+*denied.Detail, "scope") {
			t.Errorf("%+v", denied)
		}
	})
}

// Titles that a spreadsheet would run are harmless in what is exported (corpus 42).
func TestExportedCellsAreNoFormulas(t *testing.T) {
	r, admin, base := auditable(t, storetest.SQLite(t))
	names := []string{
		`=HYPERLINK("http://evil","x")`, "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1", "\n=1", "  =1", "\u00a0=1", "＝1", "|calc", "%0A=1", "plain, \"quoted\"", "ünï = 1",
	}
	in, err := r.db.Integrations().ByHub(t.Context(), r.hub["bio"], gateway.PlatformKaltura)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		p := gateway.Participant{Row: gateway.Row{ID: gateway.NewID("par"), HubID: r.hub["bio"]}, Issuer: "i", Subject: fmt.Sprint("f", i), Name: name, Email: name + "@x"}
		if err := r.db.Participants().Insert(t.Context(), &p); err != nil {
			t.Fatal(err)
		}
		if err := r.db.Mappings().Insert(t.Context(), &gateway.Mapping{
			Row: gateway.Row{ID: gateway.NewID("map"), HubID: r.hub["bio"]}, IntegrationID: in.ID, ParticipantID: p.ID, PlatformUserID: name,
			How: gateway.MappedManual, State: gateway.MappingActive, Candidates: []string{name},
		}); err != nil {
			t.Fatal(err)
		}
	}
	a := admin.want(http.StatusOK, "GET", base+"/mappings/export", nil)
	if a.Header.Get("Content-Type") != "text/csv" || !strings.Contains(a.Header.Get("Content-Disposition"), "attachment") {
		t.Error(a.Header)
	}
	rows, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil || len(rows) != len(names)+2 {
		t.Fatal(len(rows), err)
	}
	plain := 0
	for _, row := range rows[1:] {
		for _, cell := range row {
			bare := strings.TrimLeft(cell, " \u00a0\u3000")
			if bare != "" && strings.ContainsRune("=+-@\t\r\n|%＝", []rune(bare)[0]) {
				t.Errorf("%q would be run", cell)
			}
		}
		if row[0] == `plain, "quoted"` || row[0] == "ünï = 1" {
			plain++
		}
	}
	if plain != 2 {
		t.Error("harmless names were changed")
	}
}

// What was done can be read, searched, taken away and checked by somebody else, and shows who touched it.
func TestAuditOverHTTP(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		r, admin, base := auditable(t, db)
		admin.want(http.StatusOK, "PATCH", base+"/integrations/kaltura", `{"mapping_mode":"off"}`, "Content-Type", "application/merge-patch+json",
			"If-Match", admin.want(http.StatusOK, "GET", base+"/integrations/kaltura", nil).Header.Get("ETag"), "X-Request-Id", "req-of-mine-1")
		var page openapi.AuditPage
		admin.want(http.StatusOK, "GET", base+"/audit?action=integration.", nil).into(t, &page)
		if len(page.Items) < 2 {
			t.Fatalf("%+v", page)
		}
		changed := page.Items[0]
		if changed.Action != "integration.change" || deref(changed.RequestID) != "req-of-mine-1" || changed.Actor.Kind != "person" ||
			deref(changed.Actor.Email) != "ada@example.org" || !strings.Contains(changed.Text, "changed the connection to Kaltura account 4711") {
			t.Errorf("%+v", changed)
		}
		// Page by page it is the same, once each.
		var seqs []int64
		for next := base + "/audit?limit=1"; next != ""; {
			page = openapi.AuditPage{}
			admin.want(http.StatusOK, "GET", next, nil).into(t, &page)
			for _, rec := range page.Items {
				seqs = append(seqs, rec.Seq)
			}
			next = ""
			if page.Next != nil {
				next = base + "/audit?limit=1&cursor=" + *page.Next
			}
		}
		for i, seq := range seqs {
			if seq != int64(len(seqs)-i) {
				t.Fatal(seqs)
			}
		}
		admin.want(http.StatusBadRequest, "GET", base+"/audit?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", nil)
		admin.want(http.StatusBadRequest, "GET", base+"/audit/verify?checkpoint=abc", nil)

		var c openapi.AuditCheck
		admin.want(http.StatusOK, "GET", base+"/audit/verify", nil).into(t, &c)
		if !c.Intact || !c.Complete || !c.Sealed || c.Records != int64(len(seqs)) {
			t.Fatalf("%+v", c)
		}
		// Somebody who has only the export and the description checks the chain.
		a := admin.want(http.StatusOK, "GET", base+"/audit/export?format=jsonl", nil)
		lines := strings.Split(strings.TrimSpace(string(a.body)), "\n")
		prev := ""
		for i, line := range lines[:len(lines)-1] {
			var l struct {
				Hub, ID, At, Actor, Action, Subject, Data, Prev, Hash string
				Seq                                                   json.Number
				ClientID                                              string `json:"client_id"`
				RequestID                                             string `json:"request_id"`
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			h := sha256.New()
			for _, f := range []string{"isthmus.audit.v1", l.Hub, l.Seq.String(), l.ID, l.At, l.Actor, l.ClientID, l.Action, l.Subject, l.RequestID, l.Data, l.Prev} {
				_ = binary.Write(h, binary.BigEndian, uint64(len(f)))
				h.Write([]byte(f))
			}
			if l.Seq.String() != fmt.Sprint(i+1) || l.Prev != prev || l.Hash != hex.EncodeToString(h.Sum(nil)) {
				t.Fatalf("line %d: %s", i+1, line)
			}
			prev = l.Hash
		}
		if want := fmt.Sprintf(`{"checkpoint":"%d:%s"}`, len(lines)-1, prev); lines[len(lines)-1] != want || len(lines) != len(seqs)+2 {
			t.Errorf("%s, want %s; %d lines", lines[len(lines)-1], want, len(lines))
		}
		rows, err := csv.NewReader(bytes.NewReader(admin.want(http.StatusOK, "GET", base+"/audit/export?action=audit.", nil).body)).ReadAll()
		if err != nil || len(rows) != 3 || rows[1][5] != "audit.export" || rows[1][3] == "" {
			t.Error(rows, err)
		}
		// With the scope, and only in the hub of one's own.
		auditor := r.client(r.hub["bio"], gateway.ScopeAuditRead)
		auditor.want(http.StatusOK, "GET", base+"/audit/verify?checkpoint="+c.Checkpoint, nil)
		r.signIn("eve@example.org")
		auditor.want(http.StatusNotFound, "GET", "/v1/hubs/"+r.hub["other"]+"/audit", nil)
		r.client(r.hub["bio"], gateway.ScopeMappingsAdmin).want(http.StatusForbidden, "GET", base+"/audit", nil)
		r.signIn("pat@example.org").want(http.StatusForbidden, "GET", base+"/audit/export", nil)

		if _, err := storetest.SQL(t, o).ExecContext(t.Context(), "DELETE FROM audit_records WHERE seq = 2 AND hub_id = '"+r.hub["bio"]+"'"); err != nil {
			t.Fatal(err)
		}
		admin.want(http.StatusOK, "GET", base+"/audit/verify", nil).into(t, &c)
		if c.Intact || c.Broken == nil || c.Broken.Kind != "missing" || c.Broken.Seq != 2 {
			t.Errorf("%+v", c)
		}
	})
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
