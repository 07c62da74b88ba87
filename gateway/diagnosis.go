package gateway

import (
	"context"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// Upkeep is what keeping a connection alive has to remember between two looks. One row per
// integration, with its id; it goes when the hub disconnects.
type Upkeep struct {
	Row
	DiagnoseAt  time.Time `bun:"diagnose_at"` // when the next full diagnosis is due
	ReconcileAt time.Time `bun:"reconcile_at"`
	ScanAt      time.Time `bun:"scan_at"`

	TokenID     string     `bun:"token_id"`     // the App Token that the next five speak of
	Held        []CheckID  `bun:"held"`         // privileges that worked when last known; stored as JSON
	Lost        []CheckID  `bun:"lost"`         // privileges that worked once and were told as lost; stored as JSON
	LongestLife int64      `bun:"longest_life"` // of its sessions, in seconds; 0 = not measured
	WarnedFor   *time.Time `bun:"warned_for"`   // the expiry that was last warned of …
	WarnedDays  int        `bun:"warned_days"`  // … and how many days ahead; 0 = not yet

	HookSecret Sealed     `bun:"hook_secret"`  // signs Kaltura's notifications; empty = none are taken
	HookMadeAt *time.Time `bun:"hook_made_at"` //
	HookAt     *time.Time `bun:"hook_at"`      // last notification that was taken; own setter

	Report    ReconcileReport `bun:"report"`    // of the last reconciliation; stored as JSON
	Spherical bool            `bun:"spherical"` // the hub wants untagged 360° media looked for
	Scan      SphericalScan   `bun:"scan"`      // the last look for them; stored as JSON
}

// hookPlace is where the secret of notifications is sealed.
func (u Upkeep) hookPlace() string { return "upkeeps.hook_secret/" + u.ID }

const (
	day          = 24 * time.Hour
	diagnoseTime = time.Minute // for all calls of one diagnosis
	outageRetry  = time.Hour   // a diagnosis that met an outage is tried again
)

// slot gives the next time that a daily thing of a connection is due: always at the same time of
// day, and each connection at another one, so that a thousand hubs do not knock at midnight.
func slot(id, what string, now time.Time) time.Time {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what + "/" + id))
	due := now.Truncate(day).Add(time.Duration(h.Sum64() % uint64(day))).Truncate(time.Second)
	if !due.After(now) {
		due = due.Add(day)
	}
	return due
}

// upkeep gives the row of an integration and makes it when it is missing.
func (s *Integrations) upkeep(ctx context.Context, in Integration) (Upkeep, error) {
	u, err := s.Store.Upkeeps().Get(ctx, AnyHub, in.ID)
	if CodeOf(err) != NotFound {
		return u, err
	}
	now := s.Clock()
	u = Upkeep{
		Row:        Row{ID: in.ID, HubID: in.HubID},
		DiagnoseAt: slot(in.ID, "diagnose", now), ReconcileAt: slot(in.ID, "reconcile", now), ScanAt: slot(in.ID, "scan", now),
		TokenID: in.AppTokenID, LongestLife: in.Diagnosis.SessionLife,
	}
	u.Held, _ = in.Diagnosis.privileges()
	if err = s.Store.Upkeeps().Insert(ctx, &u); CodeOf(err) == Conflict { // another replica was first
		return s.Store.Upkeeps().Get(ctx, AnyHub, in.ID)
	}
	return u, err
}

func (s *Integrations) changeUpkeep(ctx context.Context, id string, f func(Tx, *Upkeep) error) (Upkeep, error) {
	return changeRow(ctx, s.Store, func(t Tables) Rows[Upkeep] { return t.Upkeeps() }, AnyHub, id, f)
}

// privileges gives the checks of a diagnosis that say for certain that something may or may not be
// done. An outage in the middle says neither.
func (d Diagnosis) privileges() (may, mayNot []CheckID) {
	for _, c := range d.Checks {
		switch {
		case c.ID == CheckReach || c.ID == CheckSession: // health, which is told as such
		case c.State == "ok":
			may = append(may, c.ID)
		case c.State == "failed" && c.lacksPrivilege():
			mayNot = append(mayNot, c.ID)
		}
	}
	return may, mayNot
}

// lacksPrivilege tells whether a failed check says for certain that a right is missing.
func (c Check) lacksPrivilege() bool {
	return strings.HasSuffix(c.Reason, "_forbidden") || strings.HasSuffix(c.Reason, "_missing") || c.Reason == ReasonUserToken
}

// answered tells whether the platform was there at all and took the credential or refused it.
func (d Diagnosis) answered() bool {
	for _, c := range d.Checks {
		if (c.ID == CheckReach || c.ID == CheckSession) && c.State == "failed" && !c.refusesCredential() {
			return false
		}
	}
	return true
}

// KeepAlive warns of tokens about to expire and queues what is due of every connection (task
// KeepAlive, every few minutes).
func (s *Integrations) KeepAlive(ctx context.Context) error {
	for w := (Slice{Limit: 100}); ; {
		page, err := s.Store.Integrations().All(ctx, w)
		if err != nil {
			return err
		}
		for _, in := range page {
			w.After = in.ID
			if _, err := s.gate(ctx, in.HubID, false); err != nil {
				continue // not in use
			}
			if err := s.keep(ctx, in); err != nil && CodeOf(err) != NotFound { // disconnected meanwhile
				return err
			}
		}
		if len(page) < w.Limit {
			return nil
		}
	}
}

func (s *Integrations) keep(ctx context.Context, in Integration) error {
	if _, err := s.upkeep(ctx, in); err != nil {
		return err
	}
	_, err := s.changeUpkeep(ctx, in.ID, func(tx Tx, u *Upkeep) error {
		changed, err := s.warn(ctx, tx, in, u)
		if err != nil {
			return err
		}
		now := s.Clock()
		for _, due := range []struct {
			at   *time.Time
			what string
			task Task
			want bool
		}{
			{&u.DiagnoseAt, "diagnose", DiagnoseIntegration{in.ID}, true},
			{&u.ReconcileAt, "reconcile", ReconcileLibrary{in.ID}, true},
			{&u.ScanAt, "scan", ScanSpherical{in.ID}, u.Spherical},
		} {
			if due.at.After(now) {
				continue
			}
			if due.want {
				if err := tx.Enqueue(ctx, due.task, IfIdle()); err != nil {
					return err
				}
			}
			*due.at, changed = slot(in.ID, due.what, now), true
		}
		if !changed {
			return errUnchanged
		}
		return nil
	})
	return err
}

// Check diagnoses the saved connection and saves what was found: an admin's "Check now". Unlike
// Verify it takes nothing but what is saved; an outage is saved too, for it is what was asked for.
func (s *Integrations) Check(ctx context.Context, a Actor) (Integration, error) {
	if _, err := s.adminGate(ctx, a); err != nil {
		return Integration{}, err
	}
	in, err := s.saved(ctx, a.HubID)
	if err != nil {
		return Integration{}, err
	}
	d, err := s.examine(ctx, in)
	if err != nil {
		return Integration{}, err
	}
	if err := s.found(ctx, in, d); err != nil {
		return Integration{}, err
	}
	if err := s.Store.Tx(ctx, func(tx Tx) error { return audit(ctx, tx, a, "integration.check", in.ID, map[string]any{}) }); err != nil {
		return Integration{}, err
	}
	return s.saved(ctx, a.HubID)
}

// RunDiagnose is the daily full diagnosis (task DiagnoseIntegration). An outage is not written over
// what is known of the privileges: it is tried again in an hour.
func (s *Integrations) RunDiagnose(ctx context.Context, id string) error {
	in, err := s.Store.Integrations().Get(ctx, AnyHub, id)
	if CodeOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := s.gate(ctx, in.HubID, false); err != nil {
		return nil //nolint:nilerr // not in use
	}
	leave, err := s.Lanes.enter(QueuePlatform, in.HubID)
	if err != nil {
		return err
	}
	defer leave()
	d, err := s.examine(ctx, in)
	if IsReason(err, "app_token_unreadable") {
		return nil // only an admin helps, and health says so
	}
	if err != nil || !d.answered() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &Snooze{outageRetry}
	}
	return s.found(ctx, in, d)
}

// examine asks the platform what the saved credential can do.
func (s *Integrations) examine(ctx context.Context, in Integration) (Diagnosis, error) {
	o, err := s.open(in)
	if err != nil {
		return Diagnosis{}, err
	}
	prober, ok := o.Platform.(Prober)
	if !ok {
		return Diagnosis{}, notOffered()
	}
	ctx, cancel := context.WithTimeout(ctx, diagnoseTime)
	defer cancel()
	d, err := prober.Probe(ctx, in.Visibility)
	if err != nil {
		return Diagnosis{}, err
	}
	if d.At.IsZero() {
		d.At = s.Clock()
	}
	return Connection{HashType: in.HashType, MatchBy: in.MatchBy}.advise(d), nil
}

// found saves a diagnosis and tells, once, what was lost or came back since the last one.
func (s *Integrations) found(ctx context.Context, in Integration, d Diagnosis) error {
	if _, err := s.upkeep(ctx, in); err != nil {
		return err
	}
	replaced := false
	_, err := s.changeUpkeep(ctx, in.ID, func(tx Tx, u *Upkeep) error {
		now, err := tx.Integrations().Get(ctx, AnyHub, in.ID)
		if err != nil {
			return err
		}
		if replaced = now.AppTokenID != in.AppTokenID || now.HashType != in.HashType || now.Visibility != in.Visibility; replaced {
			return errUnchanged // what was found is about a credential that is no longer used
		}
		now = in
		now.Diagnosis = foresee(in, u, d)
		if err := tx.Integrations().SetDiagnosis(ctx, in.ID, now.Diagnosis); err != nil {
			return err
		}
		if err := s.compare(ctx, tx, now, u); err != nil {
			return err
		}
		_, err = s.warn(ctx, tx, now, u)
		return err
	})
	if err != nil || replaced {
		return err
	}
	h, text := healthOf(d, nil)
	return s.setHealth(ctx, in.ID, h, text)
}

// compare tells which privileges were lost and which are back. With another App Token nothing can
// have been lost: the admin chose it and saw what it can do.
func (s *Integrations) compare(ctx context.Context, tx Tx, in Integration, u *Upkeep) error {
	if u.TokenID != in.AppTokenID {
		u.TokenID, u.Held = in.AppTokenID, nil
	}
	may, mayNot := in.Diagnosis.privileges()
	for _, c := range in.Diagnosis.Checks {
		typ := ""
		switch {
		case slices.Contains(mayNot, c.ID) && slices.Contains(u.Held, c.ID):
			typ = "integration.privilege_lost"
			u.Held = dropped(u.Held, c.ID)
			u.Lost = append(u.Lost, c.ID)
		case slices.Contains(may, c.ID):
			if slices.Contains(u.Lost, c.ID) {
				typ = "integration.privilege_regained"
				u.Lost = dropped(u.Lost, c.ID)
			}
			if !slices.Contains(u.Held, c.ID) {
				u.Held = append(u.Held, c.ID)
			}
		}
		if typ == "" {
			continue
		}
		if err := s.Events.Append(ctx, tx, in.HubID, AudienceAdmins, typ, in.ID, map[string]any{
			"privilege": c.ID, "needed": c.Needed, "text": c.Text, "fix": c.Fix,
		}); err != nil {
			return err
		}
	}
	return nil
}

func dropped(list []CheckID, id CheckID) []CheckID {
	return slices.DeleteFunc(slices.Clone(list), func(c CheckID) bool { return c == id })
}
