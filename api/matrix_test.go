package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"isthmus/api"
	"isthmus/gateway"
)

// grounds is a hub with one thing of every kind, made by its admin. things maps the beginning of a path,
// without the hub, to the id of what exists there; the longest that fits counts.
type grounds struct {
	*rig
	things map[string]string
}

func newGrounds(t *testing.T) *grounds {
	r := newRig(t)
	g := &grounds{r, map[string]string{}}
	ada, hub := connected(t, r, "own")
	r.signIn("eve@example.org")
	id := func(a answer, path ...string) string {
		t.Helper()
		var v any
		a.into(t, &v)
		for _, step := range path {
			v = v.(map[string]any)[step]
		}
		return v.(string)
	}
	bio := r.hub["bio"]
	var me struct {
		Hubs []struct{ ID, ParticipantID string }
	}
	raw := ada.want(200, "GET", "/v1/me", nil)
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(raw.body), "participant_id", "ParticipantID")), &me); err != nil {
		t.Fatal(err)
	}
	owner := ""
	for _, h := range me.Hubs {
		if h.ID == bio {
			owner = h.ParticipantID
		}
	}
	in, err := r.db.Integrations().ByHub(t.Context(), bio, gateway.PlatformKaltura)
	if err != nil {
		t.Fatal(err)
	}
	row := func(prefix string) gateway.Row { return gateway.Row{ID: gateway.NewID(prefix), HubID: bio} }
	g.things["/webhooks/"] = id(ada.want(201, "POST", hub+"/webhooks", map[string]any{"url": "https://hooks.example.org/x", "events": []string{"*"}}), "webhook", "id")
	g.things["/webhooks/{id}/deliveries/"] = id(ada.want(202, "POST", hub+"/webhooks/"+g.things["/webhooks/"]+"/test", nil), "id")
	g.things["/uploads/"] = id(ada.want(201, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 1000}), "id")
	g.things["/transfers/"] = id(ada.want(201, "POST", hub+"/transfers", map[string]any{"files": []any{map[string]any{"name": "b.mp4", "size": 1000}}}), "transfer", "id")
	folder := id(ada.want(201, "POST", hub+"/drop-folders", map[string]any{"name": "Matrix"}), "id")
	file := gateway.DropFile{Row: row("dfi"), FolderID: folder, Name: "secret.mp4", NameKey: "secret.mp4", State: gateway.DropQuarantined}
	entry := gateway.DropItem{Row: row("dit"), FolderID: folder, FileID: file.ID, Number: 1, Line: 1, State: gateway.ItemQueued}
	if err := r.db.DropFiles().Insert(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	if err := r.db.DropItems().Insert(t.Context(), &entry); err != nil {
		t.Fatal(err)
	}
	g.things["/drop-folders/"], g.things["/drop-folders/files/"], g.things["/drop-folders/items/"], g.things["/drop-folders/remote/"] = folder, file.ID, entry.ID, "7_remote"
	g.things["/members/"] = owner
	job := gateway.Job{Row: row("job"), ParticipantID: owner, Kind: "import", Subject: "x", State: gateway.JobRunning}
	item := gateway.LibraryItem{
		Row: row("lib"), ParticipantID: owner, IntegrationID: in.ID, EntryID: "0_secret", Kind: gateway.ItemLink, Name: "Secret", Type: gateway.Video,
		State: gateway.ItemReady, JobID: job.ID,
	}
	mapping := gateway.Mapping{Row: row("map"), IntegrationID: in.ID, ParticipantID: owner, PlatformUserID: "ada", How: gateway.MappedManual, State: gateway.MappingActive}
	for _, put := range []func() error{
		func() error { return r.db.Jobs().Insert(t.Context(), &job) },
		func() error { return r.db.Library().Insert(t.Context(), &item) },
		func() error {
			if have, err := r.db.Mappings().ByParticipant(t.Context(), in.ID, owner); err == nil {
				mapping = have // made by the upload
				return nil
			}
			return r.db.Mappings().Insert(t.Context(), &mapping)
		},
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
	}
	g.things["/jobs/"], g.things["/library/"], g.things["/mappings/"] = job.ID, item.ID, mapping.ID
	var client string
	for _, scopes := range [][]string{{gateway.ScopeMediaRead}} {
		c, _, err := r.access.NewClient(t.Context(), bio, "matrix", scopes)
		if err != nil {
			t.Fatal(err)
		}
		client = c.ID
	}
	g.things["/clients/"] = client
	g.things["/media/"] = "0_secret"
	return g
}

// acting has a person allow an app everything in a hub, and gives the app acting for them with a token for
// all scopes but one.
func (g *grounds) acting(email, hub string) func(but string) *caller {
	g.t.Helper()
	var all []string
	for _, s := range gateway.Scopes {
		all = append(all, s.Name)
	}
	h := &house{rig: g.rig, secrets: map[string]string{}}
	app := h.app(gateway.Client{Type: gateway.ClientNative, AuthMethod: gateway.AuthNone, RedirectURIs: []string{nativeReply}, Scopes: all}, "")
	who, p := g.signIn(email), newProof()
	asked := h.authorize(who, h.ask(app, p, "scope", strings.Join(all, " ")))
	code := h.back(h.consent(who, asked.Header.Get("Location"), hub, "allow")).Get("code")
	got, err := g.tokens.Verify(g.t.Context(), h.token(&app, redeem(app, code, p)).Access)
	if err != nil || len(got.Scopes) != len(all) || got.ParticipantID == "" || got.HubID != g.hub[hub] {
		g.t.Fatal(got.Scopes, err)
	}
	return func(but string) *caller {
		g.t.Helper()
		access := got
		access.Scopes = slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == but })
		c := g.anonymous()
		if c.bearer, err = g.tokens.Sign(g.t.Context(), access); err != nil {
			g.t.Fatal(err)
		}
		return c
	}
}

var pathParameter = regexp.MustCompile(`\{[a-z_]+\}`)

// address fills a path's parameters: with the ids of what exists, or with ids of the same form that do
// not. It gives the ids it put in.
func (g *grounds) address(op specOperation, hub string, exists bool) (path string, ids []string) {
	tail := strings.TrimPrefix(op.path, "/v1/hubs/{hub}")
	path = strings.Replace(op.path, "{hub}", hub, 1)
	if op.id == "streamEvents" {
		path += "?hub=" + hub
	}
	for _, at := range pathParameter.FindAllStringIndex(tail, -1) {
		if tail[at[0]:at[1]] == "{hub}" {
			continue
		}
		real, best := fmt.Sprint("x_", len(ids)), "" // two parameters of a path are never the same
		for prefix, id := range g.things {
			rest, under := strings.CutPrefix(tail[:at[0]], prefix)
			if under && len(prefix) > len(best) && !strings.Contains(rest, "{") {
				real, best = id, prefix
			}
		}
		id := real
		if !exists {
			kind, _, _ := strings.Cut(real, "_")
			id = gateway.NewID(kind)
		}
		ids = append(ids, id)
		path = strings.Replace(path, tail[at[0]:at[1]], id, 1)
	}
	return path, ids
}

var ofTheMoment = regexp.MustCompile(`"trace_id":"[0-9a-f]{32}"|"(hub|whe|whd|upl|trf|job|lib|map|par|cli|dfo|dfi|dit)_[0-9a-z]{26}"`)

// bare is an answer without what belongs to the one request: its trace and the ids that were asked for.
func bare(a answer, hub string, ids []string) string {
	s := strings.ReplaceAll(string(a.body), hub, "HUB")
	for i, id := range ids {
		s = strings.ReplaceAll(s, id, fmt.Sprint("ID", i))
	}
	return fmt.Sprint(a.StatusCode, " ", a.Header.Get("Content-Type"), " ", a.Header.Get("WWW-Authenticate"), " ", ofTheMoment.ReplaceAllString(s, ""))
}

// TestCrossTenantMatrix asks every operation of openapi.yaml as everybody who may not: whether something
// exists, in this hub or in another, makes no difference to a byte. An operation that is added takes
// part by itself.
func TestCrossTenantMatrix(t *testing.T) {
	g := newGrounds(t)
	bio, nowhere := g.hub["bio"], gateway.NewID("hub")
	eve, otto, pat, uma := g.signIn("eve@example.org"), g.signIn("otto@example.org"), g.signIn("pat@example.org"), g.signIn("uma@example.org")
	nobody, scopeless := g.anonymous(), g.client(bio)
	// Uma is suspended while her session goes on.
	if _, err := g.hubs.SignIn(t.Context(), gateway.Identity{
		Issuer: g.base + "/demo-idp", Subject: subjectOf(t, g.rig, "uma@example.org"), Email: "uma@example.org", Name: "Uma",
	}); err != nil {
		t.Fatal(err)
	}
	acting, foreign := g.acting("ada@example.org", "bio"), g.acting("eve@example.org", "other")
	contract, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]any{}
	for _, r := range contract.routes {
		if rb := r.Operation.RequestBody; rb != nil {
			for _, media := range rb.Value.Content {
				if v, ok := exampleOf(media); ok {
					bodies[r.Operation.OperationID] = v
				}
			}
		}
	}
	policies := api.Policies()
	ops := operations(t)
	slices.SortFunc(ops, func(a, b specOperation) int { return strings.Compare(a.id, b.id) })
	cells := map[string]int{}
	for _, op := range ops {
		p, declared := policies[op.id]
		if !declared {
			t.Errorf("%s has no policy", op.id)
			continue
		}
		if p.Public {
			continue
		}
		ask := func(c *caller, hub string, exists bool) (int, string, string) {
			t.Helper()
			path, ids := g.address(op, hub, exists)
			var body any
			if op.method != http.MethodGet && op.method != http.MethodDelete {
				if body = bodies[op.id]; body == nil {
					body = map[string]any{}
				}
			}
			a := c.on(t).do(op.method, path, body, "If-Match", `"v1"`)
			return a.StatusCode, bare(a, hub, ids), a.Header.Get("Content-Type")
		}
		// same asks for what exists and for what does not, and wants one and the same problem.
		same := func(who string, c *caller, want []int, hubs ...string) {
			t.Helper()
			cells[who]++
			status, first, kind := ask(c, bio, true)
			if !slices.Contains(want, status) || kind != "application/problem+json" {
				t.Errorf("%s as %s: %d, want %v: %s", op.id, who, status, want, first)
			}
			for _, hub := range append([]string{bio}, hubs...) {
				if _, other, _ := ask(c, hub, false); other != first {
					t.Errorf("%s as %s tells what exists:\n%s\n%s", op.id, who, first, other)
				}
			}
		}
		same("nobody", nobody, []int{401}, nowhere)
		if !op.inHub {
			if p.Operator {
				same("another hub's admin", eve, []int{403})
				same("an app", scopeless, []int{403})
			}
			continue
		}
		same("another hub's admin", eve, []int{404}, nowhere)
		same("another hub's user", otto, []int{404}, nowhere)
		same("a suspended user", uma, []int{404}, nowhere)
		same("an app for another hub's admin", foreign(""), []int{404}, nowhere)
		if op.scope != "" {
			same("an app without the scope", scopeless, []int{403})
			same("an app for an admin, with all scopes but one", acting(op.scope), []int{403})
		}
		switch {
		case p.Admin, p.Content:
			same("the same hub's other user", pat, []int{403})
		case pathParameter.MatchString(strings.TrimPrefix(op.path, "/v1/hubs/{hub}")):
			same("the same hub's other user", pat, []int{403, 404})
		case op.method == http.MethodGet && op.id != "streamEvents": // what is listed is theirs
			cells["the same hub's other user"]++
			path, _ := g.address(op, bio, true)
			a := pat.on(t).do(op.method, path, nil)
			for prefix, id := range g.things {
				if prefix != "/members/" && strings.Contains(string(a.body), id) {
					t.Errorf("%s shows %s to another user", op.id, id)
				}
			}
		}
	}
	t.Log("cells", cells, "of", len(ops), "operations")
	for who, n := range cells {
		if who != "an app" && n < len(ops)/4 {
			t.Errorf("%s: only %d operations were tried", who, n)
		}
	}
}

// A route without a policy is refused, whoever asks; and there is none, neither under /v1 nor elsewhere.
func TestEveryRouteHasItsPolicy(t *testing.T) {
	r := newRig(t)
	known := map[string]bool{}
	for _, op := range operations(t) {
		known[op.method+" "+strings.NewReplacer("{", ":", "}", "").Replace(op.path)] = true
	}
	// What is not described in openapi.yaml is named here, with the reason why it needs no policy.
	elsewhere := []string{
		"/oauth2/", "/.well-known/", // RFC 6749 and 8414 have their own rules
		"/files",                                         // tusPolicy
		"/thumbs/", "/captions/", "/play/", "/download/", // the address is the right: a ticket
		"/healthz", "/readyz", "/openapi.yaml", "/openapi.json", "/docs", "/embed", // public
		"/kaltura", "/auth", "/demo-idp", // mounted, with their own sign-in
	}
	for _, route := range r.api.Routes() {
		if known[route.Method+" "+route.Path] || route.Method == "echo_route_not_found" {
			continue
		}
		if !slices.ContainsFunc(elsewhere, func(p string) bool { return strings.HasPrefix(route.Path, p) }) {
			t.Errorf("%s %s has no policy", route.Method, route.Path)
		}
	}
}
