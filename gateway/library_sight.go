package gateway

import "context"

// sight is what the people on whose items and uploads a batch of entries hangs may see of them. The
// platform and Decide are asked as each of them: what it hides from nobody in particular is not gone,
// and of what a person may no longer see they learn nothing new.
type sight struct {
	lib    *Library
	o      Opened
	known  map[string]Media // listed to nobody in particular
	asked  map[string]seen  // the entry's own answers, by platform user and entry
	unsure map[string]bool  // entries without a certain answer

	trouble error // the last answer that is worth another try
}

// seen is one answer. media is set when the verdict is there.
type seen struct {
	verdict verdict
	media   Media
}

// of tells how an entry looks to an importer or uploader; unknown also when they may not see it.
func (si *sight) of(ctx context.Context, participantID, clientID, entryID string) (seen, error) {
	a, may, err := si.actor(ctx, participantID, clientID)
	if err != nil {
		return seen{}, err
	}
	m, listed := si.known[entryID]
	got := seen{there, m}
	if !listed {
		got = si.ask(ctx, a, entryID)
	}
	if got.verdict == there && (!may || !Decide(a, si.o.Integration, got.media).Allowed) {
		return seen{}, nil
	}
	return got, nil
}

// actor gives a person with their mapping as it is; may is false for one who is not let in, who can
// then only be told that an entry is gone.
func (si *sight) actor(ctx context.Context, participantID, clientID string) (a Actor, may bool, err error) {
	in := si.o.Integration
	a, err = actorOf(ctx, si.lib.Store, in.HubID, participantID, clientID)
	if CodeOf(err) == NotFound { // has left the hub
		return Actor{HubID: in.HubID, ParticipantID: participantID}, false, nil
	}
	if err != nil || a.Machine() {
		return a, true, err
	}
	m, err := si.lib.Store.Mappings().ByParticipant(ctx, in.ID, participantID)
	if CodeOf(err) == NotFound { // reads a shared account as nobody in particular
		return a, true, nil
	}
	if err != nil || m.State != MappingActive {
		return a, false, err
	}
	a.PlatformUserID = m.PlatformUserID
	return a, true, nil
}

// ask gets the entry as the actor. Lists lag, are cut and leave things out; only the entry's own
// answer is certain.
func (si *sight) ask(ctx context.Context, a Actor, entryID string) seen {
	key := a.PlatformUserID + "\n" + entryID
	got, ok := si.asked[key]
	if ok {
		return got
	}
	m, err := si.o.Platform.Get(ctx, a, entryID)
	switch CodeOf(err) {
	case "":
		got = seen{there, m}
	case NotFound:
		got.verdict = gone
		if a.PlatformUserID == "" && si.o.Integration.Entitlement == EntitlementEnforce {
			got.verdict = unknown // hidden from nobody in particular, as all is that members alone may see
		}
	case Forbidden, Invalid:
		got.verdict = missing
	default:
		si.trouble = err
	}
	if got.verdict == unknown || got.verdict == missing {
		si.unsure[entryID] = true
	}
	si.asked[key] = got
	return got
}
