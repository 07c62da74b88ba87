package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// run works a job as the queue would, until it is over.
func (w *world) run(job gateway.Job) gateway.Job {
	w.t.Helper()
	if err := w.mappings.RunJob(w.t.Context(), job.ID); err != nil {
		w.t.Fatal(err)
	}
	return w.job(job)
}

func (w *world) job(job gateway.Job) gateway.Job {
	w.t.Helper()
	j, err := w.db.Jobs().Get(w.t.Context(), gateway.AnyHub, job.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

// owner asks the platform itself whose an entry is.
func (w *world) owner(id string) string {
	w.t.Helper()
	var e struct{ UserID string }
	w.ask("baseEntry", "get", map[string]any{"entryId": id}, &e)
	return e.UserID
}

func (w *world) counts(id string) map[string]int {
	w.t.Helper()
	run, err := w.mappings.Run(w.t.Context(), w.hub.Admin, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return run.Counts
}

// A dry run tells of everybody what would become of them, and changes nothing.
func TestMappingDryRun(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := t.Context()
		in := w.connect(gateway.VisibilityShared, func(c *gateway.Connection) { c.MappingMode = gateway.MappingOff })
		w.user("u-ada", "ada@example.org")
		w.user("bob-1", "bob@example.org")
		w.user("bob-2", "bob@example.org")
		w.user("teacher@example.org", "somebody@else.example")
		hubs := &gateway.Hubs{Store: db, Clock: w.clock.Now}
		for i, name := range []string{"new", "unverified", "gone", "linked"} {
			id := gatewaytest.Identity(name, "north", gateway.PlanEnterprise, gateway.RoleParticipant)
			id.EmailVerified = name != "unverified"
			b, err := hubs.SignIn(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			p := b[0].Participant
			switch name {
			case "gone":
				now := w.clock.Now()
				p.SuspendedAt = &now
				if err := db.Participants().Update(ctx, &p); err != nil {
					t.Fatal(err)
				}
			case "linked":
				if err := db.Mappings().Insert(ctx, &gateway.Mapping{
					Row: gateway.Row{ID: fmt.Sprint("map_", i), HubID: w.hub.Hub.ID}, IntegrationID: in.ID, ParticipantID: p.ID,
					PlatformUserID: "x", How: gateway.MappedManual, State: gateway.MappingActive,
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
		users := len(w.users())
		outcome := func(rule gateway.MappingRule) map[string]string {
			t.Helper()
			run, job, err := w.mappings.DryRun(ctx, w.hub.Admin, rule)
			if err != nil {
				t.Fatal(err)
			}
			if job = w.run(job); job.State != gateway.JobDone || job.Progress != 1 {
				t.Fatalf("%+v", job)
			}
			items, people, err := w.mappings.RunItems(ctx, w.hub.Admin, run.ID, nil, gateway.Slice{})
			if err != nil {
				t.Fatal(err)
			}
			out := map[string]string{}
			for _, it := range items {
				if it.Detail == "" {
					t.Errorf("%+v says nothing", it)
				}
				out[strings.TrimSuffix(people[it.Subject].Email, "@example.org")] = strings.TrimSuffix(it.Outcome+" "+it.UserID, " ")
			}
			return out
		}
		for _, c := range []struct {
			rule gateway.MappingRule
			want map[string]string
		}{
			{gateway.MappingRule{MappingMode: gateway.MappingOnFirstUse}, map[string]string{
				"admin": "provisioned admin@example.org", "teacher": "conflict", "ada": "matched u-ada", "bob": "conflict",
				"new": "provisioned new@example.org", "unverified": "unverified", "linked": "unchanged x",
			}},
			{gateway.MappingRule{MappingMode: gateway.MappingApproval}, map[string]string{
				"admin": "pending admin@example.org", "teacher": "pending teacher@example.org", "ada": "pending ada@example.org", "bob": "pending bob@example.org",
				"new": "pending new@example.org", "unverified": "unverified", "linked": "unchanged x",
			}},
			{gateway.MappingRule{Visibility: gateway.VisibilityOwn}, map[string]string{
				"admin": "none", "teacher": "none", "ada": "none", "bob": "none", "new": "none", "unverified": "none", "linked": "unchanged x",
			}},
		} {
			if got := outcome(c.rule); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%+v:\n%v, want\n%v", c.rule, got, c.want)
			}
		}
		all, err := w.mappings.List(ctx, w.hub.Admin, gateway.MappingFilter{}, gateway.Slice{})
		if err != nil || len(all) != 1 || len(w.users()) != users {
			t.Error("a dry run changed something:", all, err)
		}

		// Kaltura is away in the middle: it waits and goes on. Cancelled, it stays so.
		run, job, err := w.mappings.DryRun(ctx, w.hub.Admin, gateway.MappingRule{MappingMode: gateway.MappingOnFirstUse})
		if err != nil {
			t.Fatal(err)
		}
		w.weather.Store(down)
		if err := w.mappings.RunJob(ctx, job.ID); err == nil || w.job(job).State != gateway.JobWaiting {
			t.Error(err, w.job(job))
		}
		w.weather.Store(fine)
		if _, err := (&gateway.Jobs{Store: db, Clock: w.clock.Now, Events: w.mappings.Events}).Cancel(ctx, w.hub.Admin, job.ID); err != nil {
			t.Fatal(err)
		}
		w.run(job)
		if got, err := w.mappings.Run(ctx, w.hub.Admin, run.ID); err != nil || got.State != gateway.JobCancelled {
			t.Error(got, err)
		}
		// Nobody else's business.
		south := gatewaytest.NewHouse(t, db, w.clock.Now, "south", gateway.PlanEnterprise)
		_, err = w.mappings.Run(ctx, south.Admin, run.ID)
		gatewaytest.Want(t, err, gateway.NotFound, "mapping_run_not_found")
		_, _, err = w.mappings.DryRun(ctx, w.hub.Ada, gateway.MappingRule{})
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
		// Old ones are forgotten.
		w.clock.Add(400 * 24 * time.Hour) // the database has the real clock
		if err := w.mappings.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err = w.mappings.Run(ctx, w.hub.Admin, run.ID); gateway.CodeOf(err) != gateway.NotFound {
			t.Error(err)
		}
	})
}

// Somebody worked with the user that was made for them and then gets a real one: their entries follow,
// a stop in the middle or a cancel costs nothing, and it can be taken back.
func TestMappingMerge(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := t.Context()
		in := w.connect(gateway.VisibilityOwn)
		if _, err := w.mappings.Resolve(ctx, w.hub.Ada, w.open()); err != nil {
			t.Fatal(err)
		}
		const made, real = "ada@example.org", "u-4711"
		var ids []string
		for i := range 25 {
			ids = append(ids, w.entry(made, fmt.Sprint("hers ", i), ""))
		}
		bobs := w.entry("bob@example.org", "his", "")
		mine := func() gateway.Mapping {
			t.Helper()
			m, err := w.mappings.Mine(ctx, w.hub.Ada, in.ID)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		m := mine()
		if m.How != gateway.MappedProvisioned {
			t.Fatal(m)
		}
		refused := func(to string, code gateway.Code, reason string) {
			t.Helper()
			_, err := w.mappings.PreviewMerge(ctx, w.hub.Admin, m.ID, to)
			gatewaytest.Want(t, err, code, reason)
			gatewaytest.Explained(t, err)
			_, _, err = w.mappings.Merge(ctx, w.hub.Admin, m.ID, m.Version, to)
			gatewaytest.Want(t, err, code, reason)
		}
		refused(real, gateway.Invalid, "platform_user_unknown")
		refused("", gateway.Invalid, "platform_user_id")
		refused(made, gateway.Invalid, "platform_user_id")
		w.user(real, "ada@school.example")
		p, err := w.mappings.PreviewMerge(ctx, w.hub.Admin, m.ID, real)
		if err != nil || p.Entries != 25 || p.From.ID != made || p.To.ID != real || !p.Undo || p.Note == "" {
			t.Fatal(p, err)
		}
		if w.owner(ids[0]) != made || mine().PlatformUserID != made {
			t.Error("the preview changed something")
		}
		_, _, err = w.mappings.Merge(ctx, w.hub.Admin, m.ID, m.Version+1, real)
		gatewaytest.Want(t, err, gateway.Precondition, "stale")
		_, _, err = w.mappings.Merge(ctx, w.hub.Ada, m.ID, m.Version, real)
		gatewaytest.Want(t, err, gateway.Forbidden, "not_admin")
		south := gatewaytest.NewHouse(t, db, w.clock.Now, "south", gateway.PlanEnterprise)
		_, _, err = w.mappings.Merge(ctx, south.Admin, m.ID, m.Version, real)
		gatewaytest.Want(t, err, gateway.NotFound, "mapping_not_found")

		run, job, err := w.mappings.Merge(ctx, w.hub.Admin, m.ID, m.Version, real)
		if err != nil {
			t.Fatal(err)
		}
		if now := mine(); now.PlatformUserID != real || now.How != gateway.MappedManual {
			t.Error("new uploads would belong to the former user:", now)
		}
		_, _, err = w.mappings.Undo(ctx, w.hub.Admin, run.ID)
		gatewaytest.Want(t, err, gateway.Conflict, "job_running")

		// The process dies midway, again and again; another one goes on.
		for dies := 0; w.job(job).State != gateway.JobDone; dies++ {
			if dies > 200 {
				t.Fatal("it never ends")
			}
			ctx, kill := context.WithCancel(ctx)
			left := w.calls.Load() + int64(7+dies)
			stop := make(chan struct{})
			go func() {
				for w.calls.Load() < left {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
				}
				kill()
			}()
			_ = w.mappings.RunJob(ctx, job.ID)
			close(stop)
			kill()
		}
		for _, id := range ids {
			if o := w.owner(id); o != real {
				t.Errorf("%s belongs to %s", id, o)
			}
		}
		if w.owner(bobs) != "bob@example.org" {
			t.Error("somebody else's entry was moved")
		}
		if c := w.counts(run.ID); c[gateway.OutcomeMoved] != 25 || len(c) != 1 {
			t.Error(c)
		}
		w.run(job) // a task that runs once more does no harm
		if got := w.audit("mapping.merge_ended"); len(got) != 1 || got[0].Actor != w.hub.Admin.Subject() || len(w.audit("mapping.merge")) != 1 {
			t.Error(got)
		}
		m = mine()
		refused(made, gateway.Conflict, "merge_not_provisioned") // a real user's entries stay theirs

		// Taken back; one was given to somebody else meanwhile, one is gone: they stay as they are.
		var out any
		w.ask("media", "update", map[string]any{"entryId": ids[3], "mediaEntry": map[string]any{"objectType": "KalturaMediaEntry", "userId": "bob@example.org"}}, &out)
		w.ask("media", "delete", map[string]any{"entryId": ids[4]}, &out)
		back, job, err := w.mappings.Undo(ctx, w.hub.Admin, run.ID)
		if err != nil || back.ID != run.ID || back.Total != 25 {
			t.Fatal(back, err)
		}
		if job = w.run(job); job.State != gateway.JobDone || job.Kind != gateway.JobMappingUndo {
			t.Error(job)
		}
		if c := w.counts(run.ID); c[gateway.OutcomeUndone] != 23 || c[gateway.OutcomeKept] != 2 {
			t.Error(c)
		}
		if w.owner(ids[0]) != made || w.owner(ids[3]) != "bob@example.org" {
			t.Error(w.owner(ids[0]), w.owner(ids[3]))
		}
		if m = mine(); m.PlatformUserID != made || m.How != gateway.MappedProvisioned {
			t.Error(m)
		}
		_, _, err = w.mappings.Undo(ctx, w.hub.Admin, run.ID)
		gatewaytest.Want(t, err, gateway.Conflict, "nothing_to_do")

		// Cancelled in the beginning, resumed later; the former user is deleted meanwhile: no way back, and it says so.
		run, job, err = w.mappings.Merge(ctx, w.hub.Admin, m.ID, m.Version, real)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (&gateway.Jobs{Store: db, Clock: w.clock.Now, Events: w.mappings.Events}).Cancel(ctx, w.hub.Admin, job.ID); err != nil {
			t.Fatal(err)
		}
		w.run(job)
		if got, err := w.mappings.Run(ctx, w.hub.Admin, run.ID); err != nil || got.State != gateway.JobCancelled || w.owner(ids[0]) != made {
			t.Error(got, err)
		}
		if _, job, err = w.mappings.Resume(ctx, w.hub.Admin, run.ID); err != nil {
			t.Fatal(err)
		}
		if job = w.run(job); job.State != gateway.JobDone || w.owner(ids[0]) != real {
			t.Error(job, w.owner(ids[0]))
		}
		_, _, err = w.mappings.Resume(ctx, w.hub.Admin, run.ID)
		gatewaytest.Want(t, err, gateway.Conflict, "nothing_to_do")
		w.ask("user", "delete", map[string]any{"userId": made}, &out)
		_, _, err = w.mappings.Undo(ctx, w.hub.Admin, run.ID)
		gatewaytest.Want(t, err, gateway.Conflict, "merge_user_gone")
		gatewaytest.Explained(t, err)

		runs, err := w.mappings.Runs(ctx, w.hub.Admin, gateway.RunMerge, m.ID, gateway.Slice{})
		if err != nil || len(runs) != 2 || runs[0].ID != run.ID {
			t.Error(runs, err)
		}
	})
}

// Two people who are the same Kaltura user: the one's media are not taken away by merging the other.
func TestMergeOfASharedUser(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	in := w.connect(gateway.VisibilityOwn)
	for _, a := range []gateway.Actor{w.hub.Ada, w.hub.Bob} {
		if _, err := w.mappings.Resolve(ctx, a, w.open()); err != nil {
			t.Fatal(err)
		}
	}
	w.user("u-real", "real@example.org")
	bobs, err := w.mappings.Mine(ctx, w.hub.Bob, in.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.mappings.Link(ctx, w.hub.Admin, bobs.ID, bobs.Version, "ada@example.org"); err != nil {
		t.Fatal(err)
	}
	adas, err := w.mappings.Mine(ctx, w.hub.Ada, in.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.mappings.Merge(ctx, w.hub.Admin, adas.ID, adas.Version, "u-real")
	gatewaytest.Want(t, err, gateway.Conflict, "merge_shared_user")
	gatewaytest.Explained(t, err)
	// Nor are anybody's media given to a user that is somebody else's.
	if _, err = w.mappings.Resolve(ctx, w.hub.Teacher, w.open()); err != nil {
		t.Fatal(err)
	}
	teachers, err := w.mappings.Mine(ctx, w.hub.Teacher, in.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = w.mappings.Merge(ctx, w.hub.Admin, teachers.ID, teachers.Version, "ada@example.org")
	gatewaytest.Want(t, err, gateway.Conflict, "merge_target_taken")
	gatewaytest.Explained(t, err)
}

// A token of type USER cannot give entries to others: refused before anything happens.
func TestMergeWithoutTheRight(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	ctx := t.Context()
	c := w.token(map[string]any{"sessionType": 0, "sessionPrivileges": "sview:*"}).connection(gateway.VisibilityOwn)
	c.MatchBy = gateway.MatchUserID
	in, err := w.integrations.Save(ctx, w.hub.Admin, 0, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.mappings.Resolve(ctx, w.hub.Ada, w.open()); err != nil {
		t.Fatal(err)
	}
	w.user("u-real", "real@example.org")
	m, err := w.mappings.Mine(ctx, w.hub.Ada, in.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.mappings.PreviewMerge(ctx, w.hub.Admin, m.ID, "u-real"); gateway.CodeOf(err) != gateway.Forbidden {
		t.Error(err)
	}
	gatewaytest.Explained(t, err)
}

// An admin finds people by name, address and Kaltura user, and by how it came about.
func TestMappingSearch(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := t.Context()
		w.connect(gateway.VisibilityOwn)
		w.user("u-4711", "ada@example.org")
		w.user("bob-1", "bob@example.org")
		w.user("bob-2", "bob@example.org")
		for _, a := range []gateway.Actor{w.hub.Ada, w.hub.Bob, w.hub.Teacher, w.hub.Admin} {
			_, _ = w.mappings.Resolve(ctx, a, w.open())
		}
		for name, c := range map[string]struct {
			f    gateway.MappingFilter
			want []string
		}{
			"all":          {gateway.MappingFilter{}, []string{"bob", "admin", "teacher", "ada"}},
			"name":         {gateway.MappingFilter{Text: "TEACHER ex"}, []string{"teacher"}},
			"e-mail":       {gateway.MappingFilter{Text: "ada@"}, []string{"ada"}},
			"user":         {gateway.MappingFilter{Text: "u-47"}, []string{"ada"}},
			"no wild card": {gateway.MappingFilter{Text: "%"}, nil},
			"conflict":     {gateway.MappingFilter{States: []gateway.MappingState{gateway.MappingConflict}}, []string{"bob"}},
			"how":          {gateway.MappingFilter{Hows: []gateway.MappingHow{gateway.MappedProvisioned}}, []string{"admin", "teacher"}},
			"all of it":    {gateway.MappingFilter{Text: "example", States: []gateway.MappingState{gateway.MappingActive}, Hows: []gateway.MappingHow{gateway.MappedMatched}}, []string{"ada"}},
		} {
			var got []string
			for after := ""; ; {
				page, err := w.mappings.List(ctx, w.hub.Admin, c.f, gateway.Slice{After: after, Limit: 1})
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				after = page[0].Cursor()
				got = append(got, strings.TrimSuffix(page[0].Person.Email, "@example.org"))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
		conflict, err := w.mappings.List(ctx, w.hub.Admin, gateway.MappingFilter{Text: "bob"}, gateway.Slice{})
		if err != nil || len(conflict) != 1 {
			t.Fatal(conflict, err)
		}
		_, users, err := w.mappings.Get(ctx, w.hub.Admin, conflict[0].ID)
		if err != nil || len(users) != 2 || users[0].Email != "bob@example.org" || !users[0].Active {
			t.Error(users, err)
		}
		south := gatewaytest.NewHouse(t, db, w.clock.Now, "south", gateway.PlanEnterprise)
		if none, err := w.mappings.List(ctx, south.Admin, gateway.MappingFilter{}, gateway.Slice{}); err != nil || len(none) != 0 {
			t.Error(none, err)
		}
		_, _, err = w.mappings.Get(ctx, south.Admin, conflict[0].ID)
		gatewaytest.Want(t, err, gateway.NotFound, "mapping_not_found")
	})
}
