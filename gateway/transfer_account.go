package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // a schedule means the same on a machine without zone files
)

// TransferAccount is a hub's bandwidth: what its transfers may take together, and what people may choose.
type TransferAccount struct {
	Row
	CapBPS        int64            `bun:"cap_bps"`      // bit/s of whole packets, all transfers together; 0 = no cap
	MaxRateBPS    int64            `bun:"max_rate_bps"` // of one transfer; 0 = no limit
	DefaultPolicy TransferPolicy   `bun:"default_policy"`
	Policies      []TransferPolicy `bun:"policies"` // stored as JSON
	Schedule      []TransferHours  `bun:"schedule"` // stored as JSON; the first that fits wins over CapBPS
	TimeZone      string           `bun:"time_zone"`
	Weights       TransferWeights  `bun:"weights"` // stored as JSON
}

// TransferHours is a cap for some hours of some days. From and To are "15:04" on the clocks of the
// account's time zone; To not after From is of the next day.
type TransferHours struct {
	Days   []string `json:"days"` // "mon" … "sun", on which it begins
	From   string   `json:"from"`
	To     string   `json:"to"`
	CapBPS int64    `json:"cap_bps"` // 0 = no cap
}

// TransferWeights are the shares of the cap by who sends.
type TransferWeights struct {
	Admin        int64 `json:"admin"`
	ContentAdmin int64 `json:"content_admin"`
	Participant  int64 `json:"participant"`
	App          int64 `json:"app"` // a machine client
}

// TransferAccountChange is what is changed of an account; nil stays as it is.
type TransferAccountChange struct {
	CapBPS        *int64
	MaxRateBPS    *int64
	DefaultPolicy *TransferPolicy
	Policies      []TransferPolicy
	Schedule      *[]TransferHours
	TimeZone      *string
	Weights       *TransferWeights
}

// TransferAccountTable holds the accounts. Their id is the hub's.
type TransferAccountTable interface {
	Rows[TransferAccount]
}

// standardAccount is that of a hub that has changed nothing.
func standardAccount(hubID string) TransferAccount {
	return TransferAccount{
		Row: Row{ID: hubID, HubID: hubID, Version: 1}, DefaultPolicy: PolicyFair, Policies: slices.Clone(TransferPolicies),
		Schedule: []TransferHours{}, TimeZone: "UTC", Weights: TransferWeights{1, 1, 1, 1},
	}
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// CapAt is the cap at a time; 0 = none.
func (t TransferAccount) CapAt(now time.Time) int64 {
	zone, err := time.LoadLocation(t.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	now = now.In(zone)
	for _, h := range t.Schedule {
		if h.at(now) {
			return h.CapBPS
		}
	}
	return t.CapBPS
}

// at goes by what clocks show, so that a day on which they are changed has the hours that people see.
func (h TransferHours) at(local time.Time) bool {
	clock, day := local.Format("15:04"), int(local.Weekday())
	begins := func(day int) bool { return slices.Contains(h.Days, weekdays[(day+7)%7]) }
	if h.From < h.To {
		return begins(day) && h.From <= clock && clock < h.To
	}
	return begins(day) && h.From <= clock || begins(day-1) && clock < h.To
}

// weight is the share of who sends with a policy.
func (w TransferWeights) weight(role Role, machine bool, p TransferPolicy) float64 {
	n := w.Participant
	switch {
	case machine:
		n = w.App
	case role == RoleAdmin:
		n = w.Admin
	case role == RoleContentAdmin:
		n = w.ContentAdmin
	}
	switch p {
	case PolicyFixed, PolicyHigh:
		return float64(2 * max(1, n))
	case PolicyLow:
		return float64(max(1, n)) / 2
	}
	return float64(max(1, n))
}

// allow refuses a policy or rate that people of the hub may not choose.
func (t TransferAccount) allow(p TransferPolicy, rate int64) error {
	switch {
	case !slices.Contains(TransferPolicies, p):
		return E(Invalid, "policy_invalid", "There is no such policy.").Next("Choose fixed, high, fair or low.").At("/policy")
	case !slices.Contains(t.Policies, p):
		return E(Forbidden, "policy_not_allowed", "The hub does not allow the policy "+string(p)+".").
			Next("Choose one that the hub's transfer account names, or ask an admin of the hub.").At("/policy")
	case rate < 0 || rate > 0 && rate < leastRate:
		return E(Invalid, "rate_invalid", fmt.Sprintf("The rate is less than %d bit/s.", leastRate)).Next("Choose a higher rate.").At("/rate_bps")
	case p == PolicyFixed && rate == 0:
		return E(Invalid, "rate_missing", "The policy fixed needs a rate.").Next("Say a rate, or choose another policy.").At("/rate_bps")
	}
	return nil
}

const (
	leastRate = 8000       // bit/s
	mostRate  = 1000 << 30 // bit/s, beyond what any line has
)

// Account gives the hub's account to everybody in it.
func (s *Transfers) Account(ctx context.Context, a Actor) (TransferAccount, error) {
	if err := needScope(a, ScopeTransfersRead); err != nil {
		return TransferAccount{}, err
	}
	return accountOf(ctx, s.Store, a.HubID)
}

func accountOf(ctx context.Context, t Tables, hubID string) (TransferAccount, error) {
	acc, err := t.TransferAccounts().Get(ctx, Scope(hubID), hubID)
	if CodeOf(err) == NotFound {
		return standardAccount(hubID), nil
	}
	return acc, err
}

// SetAccount changes the account, for admins of the hub. version is the one that the change was made
// from; Conflict with reason "changed_meanwhile" when it is not the saved one. What runs follows within two seconds.
func (s *Transfers) SetAccount(ctx context.Context, a Actor, version int64, c TransferAccountChange) (TransferAccount, error) {
	if err := adminOnly(a, ScopeTransfersAdmin); err != nil {
		return TransferAccount{}, err
	}
	var saved TransferAccount
	err := s.Store.Tx(ctx, func(tx Tx) error {
		acc, err := accountOf(ctx, tx, a.HubID)
		if err != nil {
			return err
		}
		if acc.Version != version {
			return accountChanged()
		}
		before := acc
		c.apply(&acc)
		if err := acc.check(); err != nil {
			return err
		}
		if acc.CreatedAt.IsZero() { // never saved: the first version is the standard one
			row := standardAccount(a.HubID)
			if err := tx.TransferAccounts().Insert(ctx, &row); IsReason(err, "already_exists") {
				return accountChanged()
			} else if err != nil {
				return err
			}
			acc.Row = row.Row
		}
		if err := tx.TransferAccounts().Update(ctx, &acc); err != nil {
			return err
		}
		if err := audit(ctx, tx, a, "transfer_account.change", a.HubID, map[string]any{"from": before.news(), "to": acc.news(), "cap_bps": acc.CapBPS}); err != nil {
			return err
		}
		saved = acc
		tx.AfterCommit(s.look)
		return s.Events.Append(ctx, tx, a.HubID, "", "transfer_account.changed", a.HubID, acc.news())
	})
	if err != nil {
		return TransferAccount{}, err
	}
	return saved, nil
}

func accountChanged() *Error {
	return E(Conflict, "changed_meanwhile", "Somebody else changed the account.").Next("Look at it again, then repeat your change.")
}

func (c TransferAccountChange) apply(t *TransferAccount) {
	put(&t.CapBPS, c.CapBPS)
	put(&t.MaxRateBPS, c.MaxRateBPS)
	put(&t.DefaultPolicy, c.DefaultPolicy)
	put(&t.TimeZone, c.TimeZone)
	put(&t.Weights, c.Weights)
	put(&t.Schedule, c.Schedule)
	if c.Policies != nil {
		t.Policies = c.Policies
	}
}

func put[T any](to, v *T) {
	if v != nil {
		*to = *v
	}
}

func (t TransferAccount) check() error {
	if !rateOK(t.CapBPS) {
		return E(Invalid, "rate_invalid", "The cap is not a rate.").Next("Say it in bit/s, at least %d; 0 for none.", leastRate).At("/cap_bps")
	}
	if !rateOK(t.MaxRateBPS) {
		return E(Invalid, "rate_invalid", "The limit of one transfer is not a rate.").Next("Say it in bit/s, at least %d; 0 for none.", leastRate).At("/max_rate_bps")
	}
	seen := map[TransferPolicy]bool{}
	for _, p := range t.Policies {
		if !slices.Contains(TransferPolicies, p) || seen[p] {
			return E(Invalid, "policy_invalid", "The policies are not those that there are, each once.").Next("Choose of fixed, high, fair and low.").At("/policies")
		}
		seen[p] = true
	}
	if !seen[t.DefaultPolicy] {
		return E(Invalid, "policy_invalid", "The default policy is not one that people may choose.").Next("Choose one of the policies.").At("/default_policy")
	}
	if t.DefaultPolicy == PolicyFixed {
		return E(Invalid, "policy_invalid", "The policy fixed needs a rate and can be no default.").Next("Choose another default.").At("/default_policy")
	}
	if _, err := time.LoadLocation(t.TimeZone); err != nil || t.TimeZone == "" || t.TimeZone == "Local" {
		return E(Invalid, "time_zone_invalid", "There is no such time zone.").Next("Use an IANA name such as Europe/Berlin.").At("/time_zone")
	}
	for i, h := range t.Schedule {
		if err := h.check(); err != nil {
			return err.At(fmt.Sprintf("/schedule/%d%s", i, err.Field))
		}
	}
	w := t.Weights
	for _, n := range []int64{w.Admin, w.ContentAdmin, w.Participant, w.App} {
		if n < 1 || n > 100 {
			return E(Invalid, "weight_invalid", "A weight is not between 1 and 100.").Next("Choose a number from 1 to 100.").At("/weights")
		}
	}
	return nil
}

func (h TransferHours) check() *Error {
	if !rateOK(h.CapBPS) {
		return E(Invalid, "rate_invalid", "The cap of some hours is not a rate.").Next("Say it in bit/s, at least %d; 0 for none.", leastRate).At("/cap_bps")
	}
	for _, clock := range []string{h.From, h.To} {
		if t, err := time.Parse("15:04", clock); err != nil || t.Format("15:04") != clock {
			return E(Invalid, "hours_invalid", "The hours are not times of a day.").Next("Write them as 08:00.")
		}
	}
	for _, d := range h.Days {
		if !slices.Contains(weekdays, d) {
			return E(Invalid, "hours_invalid", "There is no such day.").Next("Choose of mon, tue, wed, thu, fri, sat and sun.").At("/days")
		}
	}
	if len(h.Days) == 0 {
		return E(Invalid, "hours_invalid", "The hours are of no day.").Next("Name at least one day.").At("/days")
	}
	return nil
}

func rateOK(bps int64) bool { return bps == 0 || bps >= leastRate && bps <= mostRate }

// news is what events and the audit log say of an account.
func (t TransferAccount) news() map[string]any {
	return map[string]any{
		"cap_bps": t.CapBPS, "max_rate_bps": t.MaxRateBPS, "default_policy": t.DefaultPolicy, "policies": t.Policies,
		"schedule": t.Schedule, "time_zone": t.TimeZone, "weights": t.Weights,
	}
}
