package gateway

import (
	"context"
	"slices"
	"strings"
)

// MergePreview is what a merge would do.
type MergePreview struct {
	From, To PlatformUser
	Entries  int    // that would get another owner
	Undo     bool   // whether it can be taken back
	Note     string // what to know about that
}

// PreviewMerge tells what merging a person's provisioned platform user into their real one would do,
// and refuses what Merge would refuse.
func (s *Mappings) PreviewMerge(ctx context.Context, a Actor, id, toUser string) (MergePreview, error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return MergePreview{}, err
	}
	m, err := s.Store.Mappings().Get(ctx, Scope(a.HubID), id)
	if CodeOf(err) == NotFound {
		return MergePreview{}, mappingNotFound()
	}
	if err != nil {
		return MergePreview{}, err
	}
	p, _, err := s.mergeable(ctx, a, m, toUser)
	return p, err
}

// mergeable checks that a mapping's user may be merged into another.
func (s *Mappings) mergeable(ctx context.Context, a Actor, m Mapping, toUser string) (MergePreview, Opened, error) {
	no := func(err error) (MergePreview, Opened, error) { return MergePreview{}, Opened{}, err }
	if m.State != MappingActive || m.How != MappedProvisioned {
		return no(E(Conflict, "merge_not_provisioned", "Only a user that Isthmus made for this person can be merged into another one.").
			Next("Link the person to the right user instead; entries of a user that was there before stay where they are."))
	}
	toUser = strings.TrimSpace(toUser)
	if !validUserID(toUser) || toUser == m.PlatformUserID {
		return no(E(Invalid, "platform_user_id", "This cannot be the other Kaltura user's id.").At("/platform_user_id").
			Next("Copy the id of the person's real user from the KMC under Administration → Users."))
	}
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return no(err)
	}
	if o.Integration.ID != m.IntegrationID {
		return no(mappingNotFound())
	}
	owner, can := o.Platform.(Reowner)
	prov, finds := o.Platform.(Provisioner)
	if !can || !finds {
		return no(notOffered())
	}
	if taken, err := s.othersAre(ctx, o, m, m.PlatformUserID); err != nil {
		return no(err)
	} else if taken {
		return no(E(Conflict, "merge_shared_user", "Somebody else is linked to this Kaltura user, too: their media would be taken away.").
			Next("Link the other person to a user of their own first."))
	}
	var p MergePreview
	if p.To.ID, err = s.existing(ctx, a, toUser); err != nil {
		return no(err)
	}
	if p.To, err = prov.User(ctx, p.To.ID); err != nil {
		return no(err)
	}
	if p.To.ID == m.PlatformUserID { // the same in another spelling
		return no(E(Invalid, "platform_user_id", "This is the user that the person has already.").At("/platform_user_id").Next("Choose the other one."))
	}
	if taken, err := s.othersAre(ctx, o, m, p.To.ID); err != nil {
		return no(err)
	} else if taken {
		return no(E(Conflict, "merge_target_taken", "Somebody else is this Kaltura user: they would get the person's media.").At("/platform_user_id").
			Next("Check the user id, or link the other person to their own user first."))
	}
	p.From, err = prov.User(ctx, m.PlatformUserID)
	switch {
	case CodeOf(err) == NotFound: // deleted in Kaltura; its entries remain
		p.From = PlatformUser{ID: m.PlatformUserID}
	case err != nil:
		return no(err)
	}
	if _, _, p.Entries, err = owner.OwnedBy(ctx, m.PlatformUserID, ""); err != nil {
		return no(err)
	}
	p.Undo = p.From.Active
	p.Note = "It can be taken back as long as the former user is there: the entries that were moved get their former owner again. Who created an entry stays as it is in Kaltura."
	if !p.Undo {
		p.Note = "It cannot be taken back: the former user was blocked or deleted in Kaltura, which gives no entries to such a user."
	}
	return p, o, nil
}

// othersAre tells whether somebody else than the person of a mapping is a user of the account, in any hub.
func (s *Mappings) othersAre(ctx context.Context, o Opened, m Mapping, user string) (bool, error) {
	all, err := s.Store.Mappings().OfUser(ctx, o.Integration, user)
	return slices.ContainsFunc(all, func(x Mapping) bool { return x.ID != m.ID && x.State == MappingActive }), err
}

// Merge links a person to their real platform user and gives it, as a job, the entries of the one
// that was made for them. Version as in Integrations.Save.
func (s *Mappings) Merge(ctx context.Context, a Actor, id string, version int64, toUser string) (MappingRun, Job, error) {
	m, err := s.forAdmin(ctx, a, id, version)
	if err != nil {
		return MappingRun{}, Job{}, err
	}
	p, o, err := s.mergeable(ctx, a, m, toUser)
	if err != nil {
		return MappingRun{}, Job{}, err
	}
	var run MappingRun
	var job Job
	err = s.Store.Tx(ctx, func(tx Tx) error {
		run = MappingRun{
			Row: Row{ID: NewID("mrn"), HubID: a.HubID}, IntegrationID: o.Integration.ID, Kind: RunMerge, MappingID: m.ID,
			FromUser: m.PlatformUserID, ToUser: p.To.ID, Total: p.Entries,
		}
		// The link goes first: what the person uploads from now on belongs to the real user.
		if err := s.relink(ctx, tx, m, p.To.ID, MappedManual); err != nil {
			return err
		}
		var err error
		if job, err = s.begin(ctx, tx, a, JobMappingMerge, &run, tx.MappingRuns().Insert); err != nil {
			return err
		}
		return audit(ctx, tx, a, "mapping.merge", m.ID, map[string]any{"from": run.FromUser, "to": run.ToUser, "entries": p.Entries, "job": job.ID, "run": run.ID})
	})
	return run, job, err
}

// relink points a mapping to another user as part of a run.
func (s *Mappings) relink(ctx context.Context, tx Tx, m Mapping, user string, how MappingHow) error {
	m.PlatformUserID, m.How, m.State, m.Candidates, m.LinkedAt = user, how, MappingActive, nil, s.Clock()
	if err := tx.Mappings().Update(ctx, &m); err != nil {
		if CodeOf(err) == Conflict {
			return stale()
		}
		return err
	}
	return s.Events.Append(ctx, tx, m.HubID, m.ParticipantID, "mapping.linked", m.ID, mappingData(m))
}

// Undo gives the entries that a merge moved back to their former owner, and the person their former
// user. Resume goes on with a merge or an undo that was cancelled or failed. Both begin a new job of
// the same run; Conflict with reason "job_running" while one is under way.
func (s *Mappings) Undo(ctx context.Context, a Actor, runID string) (MappingRun, Job, error) {
	run, err := s.endedMerge(ctx, a, runID)
	if err != nil {
		return run, Job{}, err
	}
	if run.Counts[OutcomeMoved] == 0 && run.Undoing {
		return run, Job{}, E(Conflict, "nothing_to_do", "This merge was taken back already.").Next("Look at its outcome.")
	}
	o, err := s.Integrations.OpenFor(ctx, a.HubID, true)
	if err != nil {
		return run, Job{}, err
	}
	prov, can := o.Platform.(Provisioner)
	if !can || o.Integration.ID != run.IntegrationID {
		return run, Job{}, E(Conflict, "integration_changed", "The hub is connected to another account now.").Next("There is nothing to take back there.")
	}
	u, err := prov.User(ctx, run.FromUser)
	if CodeOf(err) == NotFound || err == nil && !u.Active {
		return run, Job{}, E(Conflict, "merge_user_gone", "The former Kaltura user was blocked or deleted, and Kaltura gives no entries to such a user.").
			Next("Activate the user %s in the KMC, then take the merge back.", run.FromUser)
	}
	if err != nil {
		return run, Job{}, err
	}
	var job Job
	err = s.Store.Tx(ctx, func(tx Tx) error {
		now := run
		m, err := tx.Mappings().Get(ctx, Scope(a.HubID), run.MappingID)
		switch {
		case err == nil && m.State == MappingActive && m.PlatformUserID == run.ToUser:
			if err = s.relink(ctx, tx, m, run.FromUser, MappedProvisioned); err != nil {
				return err
			}
		case err == nil && m.PlatformUserID != run.FromUser:
			return E(Conflict, "mapping_changed", "The person was linked to yet another user since.").Next("Decide by hand which user they should have.")
		case err != nil && CodeOf(err) != NotFound:
			return err
		}
		now.Undoing, now.Total, now.Done = true, run.Counts[OutcomeMoved], 0
		if job, err = s.begin(ctx, tx, a, JobMappingUndo, &now, tx.MappingRuns().Update); err != nil {
			return err
		}
		if err = audit(ctx, tx, a, "mapping.merge_undo", run.MappingID, map[string]any{"from": run.FromUser, "to": run.ToUser, "entries": now.Total, "job": job.ID, "run": run.ID}); err != nil {
			return err
		}
		run = now
		return nil
	})
	return run, job, err
}

// Resume is described at Undo.
func (s *Mappings) Resume(ctx context.Context, a Actor, runID string) (MappingRun, Job, error) {
	run, err := s.endedMerge(ctx, a, runID)
	if err != nil {
		return run, Job{}, err
	}
	if run.State == JobDone && run.Counts[OutcomeFailed] == 0 {
		return run, Job{}, E(Conflict, "nothing_to_do", "This merge is complete.").Next("Look at its outcome.")
	}
	kind := JobMappingMerge
	if run.Undoing {
		kind = JobMappingUndo
	}
	var job Job
	err = s.Store.Tx(ctx, func(tx Tx) error {
		now := run
		again := OutcomeTodo
		if run.Undoing {
			again = OutcomeMoved
		}
		for {
			failed, err := tx.MappingRuns().Items(ctx, run.ID, []string{OutcomeFailed}, Slice{Limit: 500})
			if err != nil {
				return err
			}
			for _, it := range failed {
				it.Outcome, it.Detail = again, ""
				if err = tx.MappingRuns().Settle(ctx, &it); err != nil {
					return err
				}
			}
			if len(failed) < 500 {
				break
			}
		}
		var err error
		if job, err = s.begin(ctx, tx, a, kind, &now, tx.MappingRuns().Update); err != nil {
			return err
		}
		if err = audit(ctx, tx, a, "mapping.merge_resume", run.MappingID, map[string]any{"from": run.FromUser, "to": run.ToUser, "job": job.ID, "run": run.ID}); err != nil {
			return err
		}
		run = now
		return nil
	})
	return run, job, err
}

// endedMerge gives a merge that is not at work.
func (s *Mappings) endedMerge(ctx context.Context, a Actor, id string) (MappingRun, error) {
	run, err := s.Run(ctx, a, id)
	switch {
	case err != nil:
		return run, err
	case run.Kind != RunMerge:
		return run, E(Conflict, "not_a_merge", "Only a merge can be taken back or resumed.").Next("Begin another dry run.")
	case !(Job{State: run.State}).over():
		return run, E(Conflict, "job_running", "The job is still at work.").Next("Wait until it is done, or cancel it.")
	}
	return run, nil
}

// moveAll gives the entries of a merge their new owner, or, undoing, their former one.
func (s *Mappings) moveAll(ctx context.Context, o Opened, run MappingRun) error {
	owner, can := o.Platform.(Reowner)
	if !can {
		return notOffered()
	}
	todo, done, from, to := OutcomeTodo, OutcomeMoved, run.FromUser, run.ToUser
	if run.Undoing {
		todo, done, from, to = OutcomeMoved, OutcomeUndone, to, from
		counts, err := s.Store.MappingRuns().Counts(ctx, run.ID)
		if err != nil {
			return err
		}
		run.Done = counts[OutcomeUndone]
		run.Total = run.Done + counts[OutcomeMoved]
	}
	for round := 0; ; round++ {
		if !run.Undoing {
			if err := s.collect(ctx, o, owner, &run); err != nil {
				return err
			}
		}
		moved, err := s.moveListed(ctx, o, owner, &run, todo, done, from, to)
		if err != nil {
			return err
		}
		// What came to the former user while we were at work, or was not listed yet, is found by looking again.
		if run.Undoing || moved == 0 || round == 3 {
			return nil
		}
		run.Listing = ""
	}
}

// collect lists the entries of the former user, and goes on where it was.
func (s *Mappings) collect(ctx context.Context, o Opened, owner Reowner, run *MappingRun) error {
	for run.Listing != listed {
		ids, next, _, err := owner.OwnedBy(ctx, run.FromUser, run.Listing)
		s.Integrations.Heard(ctx, o.Integration, err)
		if err != nil {
			return err
		}
		for _, id := range ids {
			it := MappingRunItem{Row: Row{ID: NewID("mri"), HubID: run.HubID}, RunID: run.ID, Subject: id, Outcome: OutcomeTodo}
			if err = s.Store.MappingRuns().Add(ctx, &it); err != nil {
				return err
			}
		}
		if run.Listing = next; next == "" {
			run.Listing = listed
		}
		counts, err := s.Store.MappingRuns().Counts(ctx, run.ID)
		if err != nil {
			return err
		}
		run.Total = 0
		for _, n := range counts {
			run.Total += n
		}
		run.Done = run.Total - counts[OutcomeTodo]
		if err = s.keep(ctx, run); err != nil {
			return err
		}
		if err = s.step(ctx, *run, func(*Job) {}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Mappings) moveListed(ctx context.Context, o Opened, owner Reowner, run *MappingRun, todo, done, from, to string) (moved int, _ error) {
	for {
		page, err := s.Store.MappingRuns().Items(ctx, run.ID, []string{todo}, Slice{Limit: 50})
		if err != nil || len(page) == 0 {
			return moved, err
		}
		for i, it := range page {
			err := owner.Reown(ctx, it.Subject, from, to)
			s.Integrations.Heard(ctx, o.Integration, err)
			switch e := AsError(err); {
			case err == nil:
				it.Outcome, it.Detail = done, ""
				moved++
			case ctx.Err() != nil || passes(err) || e.Code == Internal:
				return moved, err
			case e.Code == NotFound:
				it.Outcome, it.Detail = OutcomeKept, "The entry is gone."
			case e.Code == Conflict:
				it.Outcome, it.Detail = OutcomeKept, e.Message
			default:
				it.Outcome, it.Detail = OutcomeFailed, e.Message
			}
			if err := s.Store.MappingRuns().Settle(ctx, &it); err != nil {
				return moved, err
			}
			run.Done++
			if i%10 == 9 || i == len(page)-1 {
				if err := s.step(ctx, *run, func(*Job) {}); err != nil {
					return moved, err
				}
			}
		}
	}
}
