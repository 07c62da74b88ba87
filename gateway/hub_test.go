package gateway

import (
	"testing"
	"time"
)

func TestPlanGate(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	const grace = 30 * 24 * time.Hour
	for _, c := range []struct {
		name        string
		hub         Hub
		read, write bool
	}{
		{"enterprise", Hub{Plan: PlanEnterprise}, true, true},
		{"university", Hub{Plan: PlanUniversity}, true, true},
		{"free", Hub{Plan: PlanFree}, false, false},
		{"no plan", Hub{}, false, false},
		{"unknown plan", Hub{Plan: "gold"}, false, false},
		{"just downgraded", Hub{Plan: PlanFree, DowngradedAt: ago(0)}, true, false},
		{"within grace", Hub{Plan: PlanFree, DowngradedAt: ago(grace - time.Second)}, true, false},
		{"grace is over", Hub{Plan: PlanFree, DowngradedAt: ago(grace)}, false, false},
		{"upgraded again", Hub{Plan: PlanEnterprise, DowngradedAt: ago(grace * 2)}, true, true},
	} {
		for write, want := range map[bool]bool{false: c.read, true: c.write} {
			err := planGate(c.hub, write, grace, now)
			if (err == nil) != want {
				t.Errorf("%s, write %v: %v", c.name, write, err)
			}
			if err != nil && (CodeOf(err) != Forbidden || !IsReason(err, "plan_too_low") || AsError(err).NextStep == "") {
				t.Errorf("%s: %v does not say what to do", c.name, err)
			}
		}
	}
}

func TestDowngraded(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	before := now.Add(-time.Hour)
	for _, c := range []struct {
		from Plan
		at   *time.Time
		to   Plan
		want *time.Time
	}{
		{PlanEnterprise, nil, PlanFree, &now},
		{PlanFree, &before, PlanFree, &before}, // the grace time does not begin anew
		{PlanFree, &before, PlanUniversity, nil},
		{PlanFree, nil, PlanFree, nil},
		{PlanEnterprise, nil, PlanUniversity, nil},
	} {
		got := downgraded(Hub{Plan: c.from, DowngradedAt: c.at}, c.to, now)
		if (got == nil) != (c.want == nil) || (got != nil && !got.Equal(*c.want)) {
			t.Errorf("%s → %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func TestAdminOnly(t *testing.T) {
	const scope = ScopeConnectionsAdmin
	for _, c := range []struct {
		name   string
		a      Actor
		reason string
	}{
		{"admin with a session", Actor{ParticipantID: "p", Role: RoleAdmin}, ""},
		{"admin with the scope", Actor{ParticipantID: "p", Role: RoleAdmin, Scopes: []string{scope}}, ""},
		{"admin whose token lacks it", Actor{ParticipantID: "p", Role: RoleAdmin, Scopes: []string{}}, "insufficient_scope"},
		{"content admin", Actor{ParticipantID: "p", Role: RoleContentAdmin}, "not_admin"},
		{"participant with the scope", Actor{ParticipantID: "p", Role: RoleParticipant, Scopes: []string{scope}}, "not_admin"},
		{"nobody's role", Actor{ParticipantID: "p"}, "not_admin"},
		{"machine with the scope", Actor{ClientID: "c", Scopes: []string{scope}}, ""},
		{"machine with another", Actor{ClientID: "c", Scopes: []string{ScopeMediaRead}}, "insufficient_scope"},
		{"machine without scopes", Actor{ClientID: "c"}, "insufficient_scope"},
		{"machine that calls itself admin", Actor{ClientID: "c", Role: RoleAdmin}, "insufficient_scope"},
	} {
		err := adminOnly(c.a, scope)
		if c.reason == "" && err != nil || c.reason != "" && (!IsReason(err, c.reason) || CodeOf(err) != Forbidden) {
			t.Errorf("%s: %v, want %q", c.name, err, c.reason)
		}
	}
}
