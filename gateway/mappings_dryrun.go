package gateway

import (
	"cmp"
	"context"
)

// MappingRule is what decides who becomes whom. Empty fields are as saved.
type MappingRule struct {
	MappingMode MappingMode `json:"mapping_mode,omitempty"`
	MatchBy     MatchBy     `json:"match_by,omitempty"`
	Visibility  Visibility  `json:"visibility,omitempty"`
}

// dryRunMost is how many people a dry run looks at: each may cost a call to the platform.
const dryRunMost = 10_000

// DryRun begins to find out what a change of the rules would do to everybody, and changes nothing.
func (s *Mappings) DryRun(ctx context.Context, a Actor, rule MappingRule) (MappingRun, Job, error) {
	if err := adminOnly(a, ScopeMappingsAdmin); err != nil {
		return MappingRun{}, Job{}, err
	}
	o, err := s.Integrations.OpenFor(ctx, a.HubID, false)
	if err != nil {
		return MappingRun{}, Job{}, err
	}
	in := o.Integration
	rule = MappingRule{cmp.Or(rule.MappingMode, in.MappingMode, MappingOnFirstUse), cmp.Or(rule.MatchBy, in.MatchBy, MatchEmail), cmp.Or(rule.Visibility, in.Visibility)}
	var run MappingRun
	var job Job
	err = s.Store.Tx(ctx, func(tx Tx) error {
		run = MappingRun{Row: Row{ID: NewID("mrn"), HubID: a.HubID}, IntegrationID: in.ID, Kind: RunDryRun, Rule: rule}
		var err error
		if job, err = s.begin(ctx, tx, a, JobMappingDryRun, &run, tx.MappingRuns().Insert); err != nil {
			return err
		}
		return audit(ctx, tx, a, "mapping.dry_run", in.ID, rule)
	})
	return run, job, err
}

// foreseeAll looks at the people of a hub, newest first, and goes on where it was.
func (s *Mappings) foreseeAll(ctx context.Context, o Opened, run MappingRun) error {
	people := s.Store.Participants()
	if run.Total == 0 {
		for w := (Slice{Limit: 500}); run.Total < dryRunMost; {
			page, err := people.List(ctx, Scope(run.HubID), w)
			if err != nil {
				return err
			}
			for _, p := range page {
				w.After, run.Total = p.ID, run.Total+1
			}
			if len(page) < w.Limit {
				break
			}
		}
	}
	run.Total = min(run.Total, dryRunMost)
	for run.Listing != listed {
		page, err := people.List(ctx, Scope(run.HubID), Slice{After: run.Listing, Limit: 20})
		if err != nil {
			return err
		}
		for _, p := range page {
			if p.SuspendedAt == nil {
				it, err := s.foreseeOne(ctx, o, run.Rule, p)
				s.Integrations.Heard(ctx, o.Integration, err)
				if err != nil {
					return err
				}
				it.Row, it.RunID, it.Subject = Row{ID: NewID("mri"), HubID: run.HubID}, run.ID, p.ID
				if err = s.Store.MappingRuns().Add(ctx, &it); err != nil {
					return err
				}
			}
			run.Listing = p.ID
			run.Done++
		}
		if len(page) < 20 || run.Done >= dryRunMost {
			run.Listing = listed
		}
		if err = s.keep(ctx, &run); err != nil {
			return err
		}
		if err = s.step(ctx, run, func(*Job) {}); err != nil {
			return err
		}
	}
	return nil
}

// foreseeOne tells what a rule would make of one person.
func (s *Mappings) foreseeOne(ctx context.Context, o Opened, rule MappingRule, p Participant) (MappingRunItem, error) {
	m, err := s.Store.Mappings().ByParticipant(ctx, o.Integration.ID, p.ID)
	if err != nil && CodeOf(err) != NotFound {
		return MappingRunItem{}, err
	}
	have := err == nil
	if have && m.State == MappingConflict {
		return MappingRunItem{Outcome: OutcomeConflict, Detail: "In conflict already: an administrator decides."}, nil
	}
	if have && (m.State != MappingPending || rule.MappingMode != MappingOnFirstUse) {
		return MappingRunItem{Outcome: OutcomeUnchanged, UserID: m.PlatformUserID, Detail: stays[m.State]}, nil
	}
	switch {
	case rule.MappingMode == MappingOff && rule.Visibility == VisibilityShared:
		return MappingRunItem{Outcome: OutcomeNone, Detail: "Sees the shared account, and cannot upload."}, nil
	case rule.MappingMode == MappingOff:
		return MappingRunItem{Outcome: OutcomeNone, Detail: "Sees nothing, and cannot upload."}, nil
	case !p.EmailVerified || p.Email == "":
		return MappingRunItem{Outcome: OutcomeUnverified, Detail: "The e-mail address is not verified, so nobody is matched."}, nil
	case rule.MappingMode == MappingApproval:
		return MappingRunItem{Outcome: OutcomePending, UserID: userIDFor(p.Email), Detail: "Waits for an administrator on first use."}, nil
	}
	prov, _ := o.Platform.(Provisioner)
	f, err := lookUser(ctx, prov, rule.MatchBy, p.Email)
	switch {
	case err != nil:
		return MappingRunItem{}, err
	case f.userID == "":
		return MappingRunItem{Outcome: OutcomeConflict, Detail: "It is not certain which Kaltura user this is: an administrator decides."}, nil
	case f.how == MappedProvisioned:
		return MappingRunItem{Outcome: OutcomeProvisioned, UserID: f.userID, Detail: "Gets a new Kaltura user on first use."}, nil
	}
	return MappingRunItem{Outcome: OutcomeMatched, UserID: f.userID, Detail: "Is this Kaltura user already."}, nil
}

// stays says why a mapping that exists is not touched by a rule.
var stays = map[MappingState]string{
	MappingActive:   "Stays linked.",
	MappingPending:  "Goes on waiting for an administrator.",
	MappingUnlinked: "Stays unlinked: an administrator cut the link.",
}
