package gateway

import (
	"context"
	"slices"
	"strings"
)

// found is who somebody is on a platform; an empty userID means that it is not certain.
type found struct {
	userID     string
	how        MappingHow
	candidates []string
}

// findUser finds or makes the platform user of a person with a verified e-mail.
func findUser(ctx context.Context, o Opened, a Actor) (found, error) {
	email := strings.TrimSpace(a.Email)
	prov, can := o.Platform.(Provisioner)
	if o.Integration.MatchBy == MatchUserID {
		return findByID(ctx, prov, email)
	}
	if !can {
		return found{}, E(Internal, "no_provisioner", "This platform cannot look up users.").Next("Ask an administrator to match people by user id.")
	}
	users, err := prov.FindUsers(ctx, email)
	if err != nil {
		return found{}, err
	}
	if len(users) == 0 {
		return makeUser(ctx, prov, email, a.Name)
	}
	return choose(users), nil
}

// lookUser tells what findUser would find, and makes nobody.
func lookUser(ctx context.Context, prov Provisioner, by MatchBy, email string) (found, error) {
	email = strings.TrimSpace(email)
	if by == MatchUserID {
		return findByID(ctx, prov, email)
	}
	if prov == nil {
		return found{}, notOffered()
	}
	users, err := prov.FindUsers(ctx, email)
	if err != nil {
		return found{}, err
	}
	if len(users) > 0 {
		return choose(users), nil
	}
	u, err := prov.User(ctx, userIDFor(email))
	switch {
	case CodeOf(err) == NotFound:
		return found{userID: userIDFor(email), how: MappedProvisioned}, nil
	case err != nil:
		return found{}, err
	}
	return takeOver(u, email), nil
}

// choose takes the one user of an e-mail, or none of several.
func choose(users []PlatformUser) found {
	if len(users) == 1 {
		return found{userID: users[0].ID, how: MappedMatched}
	}
	f := found{how: MappedMatched}
	for _, u := range users {
		f.candidates = append(f.candidates, u.ID)
	}
	slices.Sort(f.candidates)
	return f
}

// takeOver judges a user whose id is the one that we would have given.
func takeOver(u PlatformUser, email string) found {
	if !u.Active || u.Email != "" && !strings.EqualFold(u.Email, email) {
		return found{how: MappedMatched, candidates: []string{u.ID}}
	}
	return found{userID: u.ID, how: MappedMatched}
}

// findByID takes the e-mail as the user id. Whether it exists can only be asked with a token that
// may look up users; else the platform makes the user with their first upload.
func findByID(ctx context.Context, prov Provisioner, email string) (found, error) {
	if prov != nil {
		users, err := prov.FindUsers(ctx, email)
		if c := CodeOf(err); c == Unavailable || c == RateLimited {
			return found{}, err
		}
		for _, u := range users {
			if strings.EqualFold(u.ID, email) {
				return found{userID: u.ID, how: MappedMatched}, nil
			}
		}
	}
	if !validUserID(email) {
		return found{how: MappedMatched}, nil // an administrator links them
	}
	return found{userID: strings.ToLower(email), how: MappedProvisioned}, nil
}

// makeUser makes a user. One with the same id may exist although the search by e-mail did not give
// it: without an e-mail, not indexed yet, blocked, or somebody else's.
func makeUser(ctx context.Context, prov Provisioner, email, name string) (found, error) {
	first, last := splitName(name, email)
	u, created, err := prov.CreateUser(ctx, PlatformUser{ID: userIDFor(email), Email: email, FirstName: first, LastName: last, Active: true})
	switch {
	case err != nil:
		return found{}, err
	case created:
		return found{userID: u.ID, how: MappedProvisioned}, nil
	}
	return takeOver(u, email), nil
}
