package gateway

import (
	"context"
	"errors"
	"time"
)

// actorOf rebuilds who asked for something from its row, for work in the background. The person's
// role and e-mail are read anew, so that a change at the identity provider counts at once.
func actorOf(ctx context.Context, st Tables, hubID, participantID, clientID string) (Actor, error) {
	if participantID == "" {
		return Actor{HubID: hubID, ClientID: clientID, Role: RoleParticipant}, nil
	}
	p, err := st.Participants().Get(ctx, Scope(hubID), participantID)
	if err != nil {
		return Actor{}, err
	}
	return p.actor(), nil
}

// owns tells whether a thing made by a participant or client is the actor's to handle.
func owns(a Actor, participantID, clientID string) bool {
	if a.Admin() {
		return true
	}
	if a.Machine() {
		return a.ClientID != "" && a.ClientID == clientID
	}
	return a.ParticipantID == participantID
}

// grown is how long to wait before the next look at something that has been pending for age: often
// at first, seldom later, without anything to remember between the looks.
func grown(age, least, most time.Duration) time.Duration {
	return min(max(age/4, least), most)
}

// changeRow reads a row, lets f change it and writes it, all in one transaction. It begins again when somebody
// changed the row in between (possible on Postgres). f returns errUnchanged to leave all as it is.
func changeRow[T any](ctx context.Context, st Store, table func(Tables) Rows[T], s Scope, id string, f func(Tx, *T) error) (T, error) {
	var out T
	var err error
	for range 8 {
		err = st.Tx(ctx, func(tx Tx) error {
			row, err := table(tx).Get(ctx, s, id)
			if err != nil {
				return err
			}
			if err = f(tx, &row); err != nil {
				out = row
				return err
			}
			if err = table(tx).Update(ctx, &row); err != nil {
				return err
			}
			out = row
			return nil
		})
		if errors.Is(err, errUnchanged) {
			return out, nil
		}
		if !IsReason(err, "changed_meanwhile") {
			return out, err
		}
	}
	return out, err
}

// errUnchanged ends a changeRow without a change.
var errUnchanged = E(Internal, "unchanged", "Nothing to change.")

// every calls f each interval until it answers false or the returned stop is called; stop waits for
// the call under way.
func every(ctx context.Context, interval time.Duration, f func(context.Context) bool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if !f(ctx) {
					return
				}
			}
		}
	}()
	return func() { cancel(); <-done }
}
