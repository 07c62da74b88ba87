package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/store"
	"isthmus/store/storetest"
)

func (s *site) people() *gateway.People {
	return &gateway.People{Store: s.db, Clock: s.uploads.Clock, Events: s.events, Uploads: s.uploads, Library: s.library}
}

// person is a participant as a browser knows them.
func (s *site) session(a gateway.Actor) (gateway.Session, gateway.Participant) {
	s.t.Helper()
	p, err := s.db.Participants().Get(s.t.Context(), gateway.AnyHub, a.ParticipantID)
	if err != nil {
		s.t.Fatal(err)
	}
	access := &gateway.Access{Store: s.db, Clock: s.uploads.Clock}
	_, ses, err := access.StartSession(s.t.Context(), gateway.Identity{Issuer: p.Issuer, Subject: p.Subject, Email: p.Email, Name: p.Name})
	if err != nil {
		s.t.Fatal(err)
	}
	return ses, p
}

func TestSuspensionIsAtOnceAndForGood(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		ctx, people := t.Context(), s.people()
		hubs := &gateway.Hubs{Store: db, Clock: gateway.SystemClock, Events: s.events}
		access := &gateway.Access{Store: db, Clock: gateway.SystemClock}
		admin, ada := s.house.Admin, s.house.Ada
		ses, p := s.session(ada)
		in := func() bool {
			_, err := hubs.ActorIn(ctx, ses, s.house.Hub.ID)
			_, err2 := hubs.ActorFor(ctx, s.house.Hub.ID, p.ID)
			if (err == nil) != (err2 == nil) {
				t.Fatal(err, err2)
			}
			return err == nil
		}

		// Who may: admins of this hub, and machine clients with the scope.
		other := gatewaytest.NewHouse(t, db, gateway.SystemClock, "south", gateway.PlanEnterprise)
		for name, a := range map[string]gateway.Actor{
			"a participant": s.house.Bob, "a curator": s.house.Teacher, "the person": ada,
			"a client without the scope": gatewaytest.Machine(s.house.Hub, gateway.ScopeMappingsAdmin),
		} {
			if _, err := people.Suspend(ctx, a, p.ID); gateway.CodeOf(err) != gateway.Forbidden {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, a := range map[string]gateway.Actor{"another hub's admin": other.Admin, "another hub's client": gatewaytest.Machine(other.Hub, gateway.ScopeMembersAdmin)} {
			_, err := people.Suspend(ctx, a, p.ID)
			_, unknown := people.Suspend(ctx, a, "par_unknown")
			if gateway.CodeOf(err) != gateway.NotFound || err.Error() != unknown.Error() {
				t.Errorf("%s: %v, %v", name, err, unknown)
			}
		}
		_, err := people.Suspend(ctx, admin, admin.ParticipantID)
		gatewaytest.Want(t, err, gateway.Conflict, "not_yourself")
		if !in() {
			t.Fatal("suspended by somebody who may not")
		}

		// A write that is under way ends within a second or so; what arrived stays.
		u, err := s.uploads.Create(ctx, ada, gateway.NewUpload{Name: "a.mp4", Size: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		r, w := io.Pipe()
		written := make(chan error, 1)
		go func() {
			_, err := s.uploads.Write(ctx, ada, u.ID, 0, r)
			_ = r.CloseWithError(errors.New("over"))
			written <- err
		}()
		if _, err := w.Write([]byte("first bytes")); err != nil {
			t.Fatal(err)
		}
		live, err := s.events.Listen(ctx, ada, gateway.FromNow)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // again is harmless
			if p, err = people.Suspend(ctx, gatewaytest.Machine(s.house.Hub, gateway.ScopeMembersAdmin), p.ID); err != nil || p.SuspendedAt == nil || !p.Held {
				t.Fatal(p, err)
			}
		}
		if in() || access.Still(ctx, ses) == nil {
			t.Fatal("still in")
		}
		for m := range live {
			if m.Type == "member.suspended" && m.Subject == p.ID {
				break
			}
		}
		for {
			if _, err := w.Write(make([]byte, 100)); err != nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if err := <-written; gateway.CodeOf(err) != gateway.NotFound {
			t.Errorf("the write ended with %v", err)
		}
		if got, err := db.Uploads().Get(ctx, gateway.AnyHub, u.ID); err != nil || got.State != gateway.UploadReceiving {
			t.Error("the upload must wait for them", got.State, err)
		}

		// Tokens do not lift it; reinstating does, and the upload goes on.
		id := gateway.Identity{Issuer: p.Issuer, Subject: p.Subject, Email: p.Email, EmailVerified: true, Name: p.Name, Memberships: []gateway.Membership{{HubExternalID: "north", Role: gateway.RoleAdmin}}}
		if b, err := hubs.SignIn(ctx, id); err != nil || len(b) != 0 {
			t.Fatal("a sign-in lifted it", b, err)
		}
		// One who is suspended may leave: it is written down, and lifts nothing.
		if p, err = people.Remove(ctx, admin, p.ID); err != nil || !p.Held || in() {
			t.Fatal(p, err)
		}
		left, err := db.Audit().List(ctx, gateway.Scope(s.house.Hub.ID), gateway.AuditFilter{Action: "member.left", Subject: p.ID}, gateway.Slice{})
		if err != nil || len(left) != 1 {
			t.Errorf("%d records that a suspended person left, %v", len(left), err)
		}
		if p, err = people.Reinstate(ctx, admin, p.ID); err != nil || p.SuspendedAt != nil || p.Held || !in() {
			t.Fatal(p, err)
		}
		if p.Role != gateway.RoleAdmin {
			t.Error("the provider's newest word about the role is lost")
		}
		if _, offset, err := s.uploads.Offset(ctx, ada, u.ID); err != nil || offset < int64(len("first bytes")) {
			t.Error(offset, err)
		}

		// Leaving is undone by the next token, by the platform's own names.
		machine := gatewaytest.Machine(s.house.Hub, gateway.ScopeMembersAdmin)
		found, err := people.BySubject(ctx, machine, "", p.Subject)
		if err != nil || found != p.ID {
			t.Fatal(found, err)
		}
		_, err = people.BySubject(ctx, machine, "https://other", p.Subject)
		gatewaytest.Want(t, err, gateway.NotFound, "member_not_found")
		if _, err = people.Remove(ctx, machine, found); err != nil || in() {
			t.Fatal(err)
		}
		// Removed again, a token from between the two does not count either.
		id.IssuedAt = time.Now()
		time.Sleep(time.Millisecond)
		if _, err = people.Remove(ctx, machine, found); err != nil {
			t.Fatal(err)
		}
		if b, err := hubs.SignIn(ctx, id); err != nil || len(b) != 0 {
			t.Fatal("a token from before the last word", b, err)
		}
		id.IssuedAt = time.Time{}
		time.Sleep(time.Millisecond)
		if b, err := hubs.SignIn(ctx, id); err != nil || len(b) != 1 || !in() {
			t.Fatal(b, err)
		}
	})
}

// One hub's admin does not sign somebody out of another hub.
func TestSuspensionIsTheHubs(t *testing.T) {
	db := storetest.SQLite(t)
	ctx := t.Context()
	hubs := &gateway.Hubs{Store: db, Clock: gateway.SystemClock}
	access := &gateway.Access{Store: db, Clock: gateway.SystemClock}
	people := &gateway.People{Store: db, Clock: gateway.SystemClock, Events: &gateway.Events{Store: db, Clock: gateway.SystemClock}}
	id := gatewaytest.Identity("ada", "north", gateway.PlanFree, gateway.RoleParticipant)
	id.Memberships = append(id.Memberships, gateway.Membership{HubExternalID: "south"})
	in, err := hubs.SignIn(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	_, ses, err := access.StartSession(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	suspend := func(b gateway.Belonging) {
		t.Helper()
		if _, err := people.Suspend(ctx, gatewaytest.Machine(b.Hub, gateway.ScopeMembersAdmin), b.Participant.ID); err != nil {
			t.Fatal(err)
		}
	}
	suspend(in[0])
	if err := access.Still(ctx, ses); err != nil {
		t.Fatal(err)
	}
	if b, err := hubs.Belongings(ctx, id.Issuer, id.Subject); err != nil || len(b) != 1 || b[0].Hub.ID != in[1].Hub.ID {
		t.Fatal(b, err)
	}
	suspend(in[1])
	gatewaytest.Want(t, access.Still(ctx, ses), gateway.Unauthenticated, "")
}

// failing refuses the nth transaction, as a process that was killed there would leave it.
type failing struct {
	gateway.Store
	left int
}

var errKilled = errors.New("killed")

func (f *failing) Tx(ctx context.Context, do func(gateway.Tx) error) error {
	if f.left--; f.left == 0 {
		return errKilled
	}
	return f.Store.Tx(ctx, do)
}

func TestExportAndErasure(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		s := newSite(t, db, siteOptions{})
		ctx, people, hub := t.Context(), s.people(), s.house.Hub.ID
		ada, bob, admin := s.house.Ada, s.house.Bob, s.house.Admin
		_, before := s.session(ada)
		owned := func(a gateway.Actor, name string) (upload, private, shared string) {
			t.Helper()
			u, err := s.uploads.Create(ctx, a, gateway.NewUpload{Name: name + ".mp4", Size: 100})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.uploads.Write(ctx, a, u.ID, 0, strings.NewReader("half")); err != nil {
				t.Fatal(err)
			}
			job := gateway.Job{Row: gateway.Row{ID: gateway.NewID("job"), HubID: hub}, ParticipantID: a.ParticipantID, Kind: "import", State: gateway.JobDone}
			for _, sh := range []bool{false, true} {
				it := gateway.LibraryItem{
					Row: gateway.Row{ID: gateway.NewID("lib"), HubID: hub}, Source: gateway.SourceKaltura, ParticipantID: a.ParticipantID, IntegrationID: s.in.ID, EntryID: "0_" + gateway.NewToken()[:8],
					Kind: gateway.ItemLink, Name: name, Type: gateway.Video, State: gateway.ItemReady, Shared: sh, JobID: job.ID,
				}
				if err := db.Library().Insert(ctx, &it); err != nil {
					t.Fatal(err)
				}
				if sh {
					shared = it.ID
				} else {
					private = it.ID
				}
			}
			job.Subject = private
			if err := db.Jobs().Insert(ctx, &job); err != nil {
				t.Fatal(err)
			}
			return u.ID, private, shared
		}
		upload, private, shared := owned(ada, "adas-film")
		owned(bob, "bobs-film")
		// Merges name the platform users of a person, which often are addresses.
		merges := map[string]string{}
		for _, a := range []gateway.Actor{ada, bob} {
			m, err := db.Mappings().ByParticipant(ctx, s.in.ID, a.ParticipantID)
			if err != nil {
				t.Fatal(err)
			}
			run := gateway.MappingRun{
				Row: gateway.Row{ID: gateway.NewID("mrn"), HubID: hub}, IntegrationID: s.in.ID, Kind: gateway.RunMerge, State: gateway.JobDone,
				MappingID: m.ID, FromUser: a.Email, ToUser: "real-" + a.Email,
			}
			it := gateway.MappingRunItem{Row: gateway.Row{ID: gateway.NewID("mri"), HubID: hub}, RunID: run.ID, Subject: "0_entry"}
			if err := errors.Join(db.MappingRuns().Insert(ctx, &run), db.MappingRuns().Add(ctx, &it)); err != nil {
				t.Fatal(err)
			}
			merges[a.ParticipantID] = run.ID
		}

		// The export holds all of hers and nothing of his, and no secrets.
		e, err := people.Export(ctx, admin, ada.ParticipantID)
		if err != nil || len(e.Hubs) != 1 {
			t.Fatal(err)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{before.Email, before.Subject, before.Name, upload, private, shared, "adas-film", "upload.created"} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("the export lacks %s", want)
			}
		}
		for _, secret := range []string{"bobs-film", bob.ParticipantID, "relay"} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("the export holds %s", secret)
			}
		}
		for _, a := range []gateway.Actor{bob, s.house.Teacher, gatewaytest.Machine(s.house.Hub, gateway.ScopeMappingsAdmin)} {
			if _, err := people.Export(ctx, a, ada.ParticipantID); gateway.CodeOf(err) != gateway.Forbidden {
				t.Error(err)
			}
			if _, err := people.Erase(ctx, a, ada.ParticipantID, before.Email); gateway.CodeOf(err) != gateway.Forbidden {
				t.Error(err)
			}
		}

		// What it would do is said before; a wrong confirmation does nothing.
		_, lines, err := people.ErasureOf(ctx, admin, ada.ParticipantID)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if want := map[string]int64{"uploads": 1, "library_private": 1, "library_shared": 1, "jobs": 1}[l.Kind]; want != 0 && l.Count != want || l.Text == "" {
				t.Errorf("%+v", l)
			}
		}
		for _, typed := range []string{"", "ada", bob.Email} {
			_, err := people.Erase(ctx, admin, ada.ParticipantID, typed)
			gatewaytest.Want(t, err, gateway.Invalid, "not_confirmed")
		}

		ses, _ := s.session(ada)
		hubs := &gateway.Hubs{Store: db, Clock: gateway.SystemClock}
		er, err := people.Erase(ctx, admin, ada.ParticipantID, " "+strings.ToUpper(before.Email)+" ")
		if err != nil {
			t.Fatal(err)
		}
		// At once nobody is known by it.
		if _, err := hubs.ActorIn(ctx, ses, hub); gateway.CodeOf(err) != gateway.NotFound {
			t.Error(err)
		}
		if err := (&gateway.Access{Store: db, Clock: gateway.SystemClock}).Still(ctx, ses); gateway.CodeOf(err) != gateway.Unauthenticated {
			t.Error(err)
		}
		if _, err := people.Member(ctx, admin, ada.ParticipantID); gateway.CodeOf(err) != gateway.NotFound {
			t.Error(err)
		}
		if _, err := people.Erase(ctx, admin, ada.ParticipantID, before.Email); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("twice", err)
		}
		if _, err := people.Reinstate(ctx, admin, ada.ParticipantID); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("reinstated", err)
		}
		// A token from before brings nobody back; signing in begins anew, already now.
		id := gateway.Identity{Issuer: before.Issuer, Subject: before.Subject, Email: before.Email, EmailVerified: true, Name: before.Name, Memberships: []gateway.Membership{{HubExternalID: "north"}}}
		id.IssuedAt = time.Now().Add(-2 * time.Second)
		if old, err := hubs.SignIn(ctx, id); err != nil || len(old) != 0 {
			t.Fatal("an old token recreated who was erased", old, err)
		}
		id.IssuedAt = time.Time{}
		again, err := hubs.SignIn(ctx, id)
		if err != nil || len(again) != 1 || again[0].Participant.ID == ada.ParticipantID {
			t.Fatal(again, err)
		}

		// Killed at every step, it is done in the end.
		runs := 0
		for n := 1; ; n++ {
			f := &failing{Store: db, left: n}
			broken := *people
			broken.Store = f
			err := broken.RunErasure(ctx, er.ID)
			if runs++; err == nil {
				break
			}
			if !errors.Is(err, errKilled) || runs > 20 {
				t.Fatal(err)
			}
		}
		if err := people.RunErasure(ctx, er.ID); err != nil {
			t.Fatal("again", err)
		}
		done, err := people.Erasing(ctx, admin, er.ID)
		if err != nil || done.FinishedAt == nil || done.Done["uploads"] != 1 || done.Done["jobs"] != 1 {
			t.Fatal(done, err)
		}
		counts, err := db.Erasures().Count(ctx, hub, ada.ParticipantID)
		if err != nil {
			t.Fatal(err)
		}
		for kind, n := range counts {
			if n != 0 && kind != "audit" && kind != "library_shared" && kind != "library_changes" && kind != "erasures" {
				t.Errorf("%d %s are left", n, kind)
			}
		}
		if left, err := db.MappingRuns().List(ctx, gateway.Scope(hub), gateway.RunMerge, "", gateway.Slice{}); err != nil || len(left) != 1 || left[0].ID != merges[bob.ParticipantID] {
			t.Error("the merges that are left:", left, err)
		}
		if counts["library_shared"] != 1 {
			t.Error("what was shared must stay")
		}
		if _, err := s.staging.Durable(ctx, upload); gateway.CodeOf(err) != gateway.NotFound {
			t.Error("the bytes are still there", err)
		}
		if _, err := s.library.Get(ctx, bob, shared); err != nil {
			t.Error("others must still see what was shared", err)
		}
		// Nothing of who she was is anywhere in what is left of her; the audit chain is whole.
		records, err := db.Audit().List(ctx, gateway.Scope(hub), gateway.AuditFilter{}, gateway.Slice{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			line := r.Actor + r.Subject + string(r.Data)
			if strings.Contains(line, before.Subject) || strings.Contains(line, before.Email) && !strings.HasPrefix(r.Action, "mapping.") {
				t.Errorf("the audit log names her: %s %s", r.Action, line)
			}
		}
		if list, err := hubs.Members(ctx, admin, gateway.Slice{}); err != nil || len(list) != 4 {
			t.Error(len(list), err)
		}

		// By oneself: typed, everywhere, signed out; not while held.
		mine, me := s.session(bob)
		if _, err := people.Suspend(ctx, admin, bob.ParticipantID); err != nil {
			t.Fatal(err)
		}
		_, err = people.EraseOwn(ctx, mine, me.Email)
		gatewaytest.Want(t, err, gateway.Conflict, "member_held")
		if _, err := people.Reinstate(ctx, admin, bob.ParticipantID); err != nil {
			t.Fatal(err)
		}
		_, err = people.EraseOwn(ctx, mine, "yes")
		gatewaytest.Want(t, err, gateway.Invalid, "not_confirmed")
		if own, err := people.ExportOwn(ctx, mine); err != nil || len(own.Hubs) != 1 {
			t.Error(err)
		}
		// An operator is none any more, if there is another.
		operators := &gateway.Operators{Store: db, Clock: gateway.SystemClock}
		if err := operators.Ensure(ctx, mine.Issuer, mine.Subject, me.Name); err != nil {
			t.Fatal(err)
		}
		_, err = people.EraseOwn(ctx, mine, me.Email)
		gatewaytest.Want(t, err, gateway.Conflict, "last_operator")
		gatewaytest.Explained(t, err)
		if lines, err := people.OwnErasure(ctx, mine); err != nil || lines[len(lines)-1].Kind != "operator" {
			t.Error(lines, err)
		}
		op, err := operators.Of(ctx, mine)
		if err == nil {
			_, err = operators.Add(ctx, op, mine.Issuer, "sub-other", "Other")
		}
		if err != nil {
			t.Fatal(err)
		}
		if all, err := people.EraseOwn(ctx, mine, me.Email); err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		_, err = operators.Of(ctx, mine)
		gatewaytest.Want(t, err, gateway.Forbidden, "not_operator")
	})
}
