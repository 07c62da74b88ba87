package gateway

import (
	"cmp"
	"context"
	"time"
	"unicode/utf8"
)

// settle makes the hub's plan follow what decides it: the operator, else the identity provider, else
// there is none to speak of. A plan that no longer allows integrations begins the grace time.
func (h *Hub) settle(now time.Time) {
	next := cmp.Or(h.OperatorPlan, h.ProviderPlan, PlanFree)
	if next == h.Plan {
		return
	}
	h.DowngradedAt = downgraded(*h, next, now)
	h.Plan = next
}

// NewHub is what an operator makes a hub from.
type NewHub struct {
	Issuer, ExternalID string // how the identity provider names it; people who sign in there find it by these
	Name               string
	Plan               Plan // empty: as the identity provider says
	QuotaBytes         int64
}

// HubTerms is what an operator changes; nil stays as it is.
type HubTerms struct {
	Plan       *Plan  // empty gives the decision back to the identity provider
	QuotaBytes *int64 // 0 = no limit
}

// All lists the hubs of the installation for an operator; text searches the name and the external id.
func (h *Hubs) All(ctx context.Context, by Operator, text string, w Slice) ([]Hub, error) {
	if by.ID == "" {
		return nil, notOperator()
	}
	return h.Store.Hubs().List(ctx, cleanText(text), w)
}

// Terms gives one hub for an operator.
func (h *Hubs) Terms(ctx context.Context, by Operator, hubID string) (Hub, error) {
	if by.ID == "" {
		return Hub{}, notOperator()
	}
	hub, err := h.Store.Hubs().Get(ctx, Scope(hubID), hubID)
	if CodeOf(err) == NotFound {
		return Hub{}, noSuchHub()
	}
	return hub, err
}

// Create makes a hub before anybody of it has signed in. Conflict (hub_exists) when the identity
// provider's hub is here already.
func (h *Hubs) Create(ctx context.Context, by Operator, n NewHub) (Hub, error) {
	if by.ID == "" {
		return Hub{}, notOperator()
	}
	if err := checkIssuer(n.Issuer); err != nil {
		return Hub{}, err
	}
	if err := checkExternal(n.ExternalID, "/external_id", "the hub's id"); err != nil {
		return Hub{}, err
	}
	name := cleanText(n.Name)
	switch {
	case name == "":
		return Hub{}, E(Invalid, "name_empty", "The hub has no name.").Next("Give it a name.").At("/name")
	case utf8.RuneCountInString(name) > maxLabel:
		return Hub{}, labelTooLong("/name")
	}
	if err := checkTerms(&n.Plan, &n.QuotaBytes); err != nil {
		return Hub{}, err
	}
	id := NewID("hub")
	hub := Hub{
		Row: Row{ID: id, HubID: id}, Issuer: n.Issuer, ExternalID: n.ExternalID, Name: name,
		Plan: PlanFree, OperatorPlan: n.Plan, QuotaBytes: n.QuotaBytes,
	}
	hub.settle(h.Clock())
	err := h.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.Hubs().Insert(ctx, &hub); CodeOf(err) == Conflict {
			return E(Conflict, "hub_exists", "This hub of the identity provider is here already.").
				Next("Look for its external id in the list of hubs.").At("/external_id")
		} else if err != nil {
			return err
		}
		if err := audit(ctx, tx, Actor{HubID: id, OperatorID: by.ID}, "hub.create", id, map[string]any{
			"issuer": hub.Issuer, "external_id": hub.ExternalID, "name": hub.Name, "plan": hub.Plan, "quota_bytes": hub.QuotaBytes,
		}); err != nil {
			return err
		}
		return answered(ctx, tx, hub)
	})
	return hub, err
}

// SetTerms changes a hub's plan and quota. An operator's plan wins over the identity provider's until
// it is given back; the provider's last word then counts at once. Conflict (changed_meanwhile) when the
// hub is not at that version any more.
func (h *Hubs) SetTerms(ctx context.Context, by Operator, hubID string, version int64, t HubTerms) (Hub, error) {
	if by.ID == "" {
		return Hub{}, notOperator()
	}
	if err := checkTerms(t.Plan, t.QuotaBytes); err != nil {
		return Hub{}, err
	}
	var hub Hub
	err := h.Store.Tx(ctx, func(tx Tx) error {
		var err error
		if hub, err = tx.Hubs().Get(ctx, Scope(hubID), hubID); CodeOf(err) == NotFound {
			return noSuchHub()
		} else if err != nil {
			return err
		}
		was := hub
		hub.Version = version // Update refuses any but the saved one
		if t.Plan != nil {
			hub.OperatorPlan = *t.Plan
			hub.settle(h.Clock())
		}
		if t.QuotaBytes != nil {
			hub.QuotaBytes = *t.QuotaBytes
		}
		if err := tx.Hubs().Update(ctx, &hub); err != nil {
			return err
		}
		return audit(ctx, tx, Actor{HubID: hubID, OperatorID: by.ID}, "hub.terms", hubID, map[string]any{
			"plan": hub.Plan, "plan_before": was.Plan, "operator_plan": hub.OperatorPlan,
			"quota_bytes": hub.QuotaBytes, "quota_bytes_before": was.QuotaBytes,
		})
	})
	return hub, err
}

func checkTerms(plan *Plan, quota *int64) error {
	if plan != nil && *plan != "" && *plan != PlanFree && !plan.AllowsIntegrations() {
		return E(Invalid, "plan", "There is no such plan.").Next("Use free, enterprise or university.").At("/plan")
	}
	if quota != nil && *quota < 0 {
		return E(Invalid, "quota", "The quota cannot be less than nothing.").Next("Give it in bytes; 0 means no limit.").At("/quota_bytes")
	}
	return nil
}

func noSuchHub() *Error {
	return E(NotFound, "hub_not_found", "There is no such hub.").Next("Look at the list of hubs.")
}
