package gateway

import (
	"context"
	"crypto/subtle"
	"net/url"
	"time"
	"unicode/utf8"
)

// Operators names the people who run this installation.
type Operators struct {
	Store Store
	Clock Clock
}

// NewSetupCode makes the code with which a signed-in person becomes the first operator; it voids the one
// before. Only a hash is kept. Conflict (setup_done) when there is an operator.
func (s *Operators) NewSetupCode(ctx context.Context) (code string, until time.Time, _ error) {
	code, until = newSetupCode(), s.Clock().Add(SetupCodeLife)
	err := retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			if err := noOperator(ctx, tx); err != nil {
				return err
			}
			return changeSetup(ctx, tx, func(row *Setup) {
				row.CodeHash, row.ExpiresAt, row.UsedAt = hashToken(plainCode(code)), until, nil
			})
		})
	})
	return code, until, err
}

// Begin makes the person of a session the first operator and uses the code up. Conflict with reason
// setup_done when there is an operator, setup_code_expired when the code is too old; Invalid with reason
// setup_code_wrong otherwise.
func (s *Operators) Begin(ctx context.Context, ses Session, code string) (Operator, error) {
	var op Operator
	err := retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			if err := noOperator(ctx, tx); err != nil {
				return err
			}
			row, err := tx.Setups().Get(ctx, AnyHub, setupID)
			if err != nil && CodeOf(err) != NotFound {
				return err
			}
			// Without a row the hash is empty and matches nothing.
			if subtle.ConstantTimeCompare([]byte(row.CodeHash), []byte(hashToken(plainCode(code)))) != 1 {
				return E(Invalid, "setup_code_wrong", "This is not the setup code.").At("/code").
					Next("Copy the code that \"isthmus setup\" printed last; each run voids the code before.")
			}
			now := s.Clock()
			if row.UsedAt != nil || !now.Before(row.ExpiresAt) {
				return E(Conflict, "setup_code_expired", "This setup code has expired or was used.").At("/code").
					Next("Run \"isthmus setup\" again and use the new code within 15 minutes.")
			}
			row.UsedAt = &now
			if err := tx.Setups().Update(ctx, &row); err != nil {
				return err
			}
			op = Operator{Row: Row{ID: NewID("opr")}, Issuer: ses.Issuer, Subject: ses.Subject, Name: ses.Name, AddedBy: "setup"}
			if err := tx.Operators().Insert(ctx, &op); err != nil {
				return err
			}
			return audit(ctx, tx, op.Actor(), "operator.setup", op.ID, operatorData(op))
		})
	})
	return op, err
}

// Ensure makes a person an operator unless there is one already: for the demo, whose people are made up.
func (s *Operators) Ensure(ctx context.Context, issuer, subject, name string) error {
	return retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			if err := noOperator(ctx, tx); IsReason(err, "setup_done") {
				return nil
			} else if err != nil {
				return err
			}
			op := Operator{Row: Row{ID: NewID("opr")}, Issuer: issuer, Subject: subject, Name: name, AddedBy: "setup"}
			if err := tx.Operators().Insert(ctx, &op); err != nil {
				return err
			}
			if err := changeSetup(ctx, tx, func(*Setup) {}); err != nil {
				return err
			}
			return audit(ctx, tx, op.Actor(), "operator.setup", op.ID, operatorData(op))
		})
	})
}

// Of gives the operator that a session's person is. Forbidden when they are none.
func (s *Operators) Of(ctx context.Context, ses Session) (Operator, error) {
	op, err := s.Store.Operators().ByPerson(ctx, ses.Issuer, ses.Subject)
	if CodeOf(err) == NotFound {
		return Operator{}, notOperator()
	}
	return op, err
}

// ActorIn makes the actor of an operator in a hub, who may do there only what is open to operators.
// NotFound when there is no such hub.
func (s *Operators) ActorIn(ctx context.Context, by Operator, hubID string) (Actor, error) {
	if by.ID == "" {
		return Actor{}, notOperator()
	}
	if _, err := s.Store.Hubs().Get(ctx, Scope(hubID), hubID); CodeOf(err) == NotFound {
		return Actor{}, hubNotFound()
	} else if err != nil {
		return Actor{}, err
	}
	a := by.Actor()
	a.HubID = hubID
	return a, nil
}

// List gives all operators, newest first.
func (s *Operators) List(ctx context.Context, by Operator) ([]Operator, error) {
	if by.ID == "" {
		return nil, notOperator()
	}
	return s.Store.Operators().All(ctx)
}

// Add names a further operator. They need not have signed in yet. Conflict (operator_exists) for one who is.
func (s *Operators) Add(ctx context.Context, by Operator, issuer, subject, name string) (Operator, error) {
	if by.ID == "" {
		return Operator{}, notOperator()
	}
	if err := checkIssuer(issuer); err != nil {
		return Operator{}, err
	}
	if err := checkExternal(subject, "/subject", "the subject"); err != nil {
		return Operator{}, err
	}
	if name = cleanText(name); utf8.RuneCountInString(name) > maxLabel {
		return Operator{}, labelTooLong("/name")
	}
	op := Operator{Row: Row{ID: NewID("opr")}, Issuer: issuer, Subject: subject, Name: name, AddedBy: by.Actor().Subject()}
	err := s.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.Operators().Insert(ctx, &op); CodeOf(err) == Conflict {
			return E(Conflict, "operator_exists", "This person is an operator already.").Next("Look at the list of operators.")
		} else if err != nil {
			return err
		}
		return audit(ctx, tx, by.Actor(), "operator.add", op.ID, operatorData(op))
	})
	return op, err
}

// Remove ends somebody's being an operator, at once. Conflict (last_operator) for the only one.
func (s *Operators) Remove(ctx context.Context, by Operator, id string) error {
	if by.ID == "" {
		return notOperator()
	}
	return retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			op, err := tx.Operators().Get(ctx, AnyHub, id)
			if CodeOf(err) == NotFound {
				return E(NotFound, "operator_not_found", "There is no such operator.").Next("Look at the list of operators.")
			}
			if err != nil {
				return err
			}
			return removeOperator(ctx, tx, by.Actor(), op, operatorData(op))
		})
	})
}

// removeOperator ends somebody's being an operator, if there is another.
func removeOperator(ctx context.Context, tx Tx, by Actor, op Operator, facts map[string]any) error {
	// Two operators who remove each other would both count two. So the row that both change comes
	// first: the second waits for it, or has a version of it that is gone, and counts anew.
	if err := changeSetup(ctx, tx, func(*Setup) {}); err != nil {
		return err
	}
	all, err := tx.Operators().All(ctx)
	if err != nil {
		return err
	}
	if len(all) < 2 {
		return E(Conflict, "last_operator", "The only operator cannot be removed.").
			Next("Name another operator first; they can then remove you.")
	}
	if err := tx.Operators().Delete(ctx, AnyHub, op.ID); err != nil {
		return err
	}
	return audit(ctx, tx, by, "operator.remove", op.ID, facts)
}

func operatorData(op Operator) map[string]any {
	return map[string]any{"issuer": op.Issuer, "subject": op.Subject, "name": op.Name}
}

// changeSetup writes a new version of the one row, which is made when it is missing.
func changeSetup(ctx context.Context, tx Tx, change func(*Setup)) error {
	row, err := tx.Setups().Get(ctx, AnyHub, setupID)
	if CodeOf(err) == NotFound {
		row = Setup{Row: Row{ID: setupID}}
		change(&row)
		return tx.Setups().Insert(ctx, &row)
	}
	if err != nil {
		return err
	}
	change(&row)
	return tx.Setups().Update(ctx, &row)
}

func noOperator(ctx context.Context, t Tables) error {
	all, err := t.Operators().All(ctx)
	if err == nil && len(all) > 0 {
		err = E(Conflict, "setup_done", "This installation has an operator already.").
			Next("Ask an operator to name you as one.")
	}
	return err
}

func notOperator() *Error {
	return E(Forbidden, "not_operator", "Only an operator of this installation may do this.").
		Next("Ask an operator, or sign in as one; tokens of programs are never operators.")
}

// maxLabel is the longest name of a hub, client or person in characters, maxExternal the longest id
// that an identity provider gives to something.
const maxLabel, maxExternal = 200, 255

func labelTooLong(field string) *Error {
	return E(Invalid, "name_too_long", "The name is longer than 200 characters.").Next("Shorten the name.").At(field)
}

// checkExternal takes ids of identity providers, which are compared as they are.
func checkExternal(id, field, what string) error {
	if id == "" || len(id) > maxExternal || !utf8.ValidString(id) || cleanText(id) != id {
		return E(Invalid, "external_id", "This cannot be "+what+": it must have 1 to 255 characters, none of them invisible.").
			Next("Copy it from the identity provider as it is.").At(field)
	}
	return nil
}

// checkIssuer takes the issuer of an identity provider, which is compared as it is, too.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || len(issuer) > 2000 || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.String() != issuer ||
		(u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname()))) {
		return E(Invalid, "issuer", "The issuer is not the https address of an identity provider.").
			Next("Copy \"issuer\" from its /.well-known/openid-configuration as it is.").At("/issuer")
	}
	return nil
}
