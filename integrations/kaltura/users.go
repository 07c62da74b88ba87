package kaltura

import (
	"context"
	"regexp"
	"strings"

	"isthmus/gateway"
)

// userIDs are the ids that Kaltura accepts, and at most 64 bytes, because entries keep no more of
// their owner's id.
var userIDs = regexp.MustCompile("^[A-Za-z0-9,!#$%&'*+?^_`{|}~.@-]{1,64}$")

func (u user) platformUser() gateway.PlatformUser {
	return gateway.PlatformUser{
		ID: string(u.ID), Email: string(u.Email),
		FirstName: string(u.FirstName), LastName: string(u.LastName), Active: u.Status == userActive,
	}
}

// FindUsers implements gateway.Provisioner. Kaltura has no exact e-mail filter and ignores filters
// it does not know, so every candidate is compared here. A user whose id is the address counts when
// its own e-mail is the same or was never set (Kaltura makes such users by itself).
func (p *Platform) FindUsers(ctx context.Context, email string) ([]gateway.PlatformUser, error) {
	email = strings.TrimSpace(email)
	if len(email) < 3 || !strings.Contains(email, "@") {
		return nil, gateway.E(gateway.Invalid, "email_invalid", "This is not an e-mail address.")
	}
	admin := who{admin: true}
	var found []gateway.PlatformUser
	add := func(u user) {
		same := strings.EqualFold(string(u.Email), email) || u.Email == "" && strings.EqualFold(string(u.ID), email)
		if !same || u.Status != userActive {
			return
		}
		for _, f := range found {
			if f.ID == string(u.ID) {
				return
			}
		}
		found = append(found, u.platformUser())
	}
	if userIDs.MatchString(email) {
		var u user
		switch err := p.as(ctx, admin, "user.get", params{"userId": email}, &u); {
		case err == nil:
			add(u)
		case code(err) != codeUserMissing:
			return nil, public(err)
		}
	}
	var l list[user]
	err := p.as(ctx, admin, "user.list", params{
		"filter": params{"objectType": "KalturaUserFilter", "emailStartsWith": email, "statusEqual": userActive},
		"pager":  params{"pageSize": 500, "pageIndex": 1},
	}, &l)
	if err != nil {
		return nil, public(err)
	}
	for _, u := range l.Objects {
		add(u)
	}
	return found, nil
}

// User implements gateway.Provisioner.
func (p *Platform) User(ctx context.Context, id string) (gateway.PlatformUser, error) {
	missing := gateway.E(gateway.NotFound, "user_not_found", "There is no such user in the Kaltura account.")
	if !userIDs.MatchString(id) {
		return gateway.PlatformUser{}, missing
	}
	var u user
	err := p.as(ctx, who{admin: true}, "user.get", params{"userId": id}, &u)
	if code(err) == codeUserMissing {
		return gateway.PlatformUser{}, missing
	}
	return u.platformUser(), public(err)
}

// CreateUser implements gateway.Provisioner. An empty id becomes the e-mail. The user gets no
// password and is no console administrator, so nobody can log in with it.
func (p *Platform) CreateUser(ctx context.Context, u gateway.PlatformUser) (gateway.PlatformUser, bool, error) {
	id := u.ID
	if id == "" {
		id = u.Email
	}
	if !userIDs.MatchString(id) {
		return gateway.PlatformUser{}, false, gateway.E(gateway.Invalid, "user_id_not_allowed",
			"Kaltura does not accept this address as a user id.").
			Next("A hub admin can link the person to a Kaltura user by hand.")
	}
	admin := who{admin: true}
	fields := params{"objectType": "KalturaUser", "id": id, "email": u.Email, "screenName": screenName(u, id)}
	if u.FirstName != "" {
		fields["firstName"] = u.FirstName
	}
	if u.LastName != "" {
		fields["lastName"] = u.LastName
	}
	var made user
	// Repeating is safe: the id is ours to choose, a second add says that it exists.
	err := p.as(ctx, admin, "user.add", params{"user": fields}, &made)
	if err == nil {
		return made.platformUser(), true, nil
	}
	if code(err) != codeUserExists {
		return gateway.PlatformUser{}, false, public(err)
	}
	if err := p.as(ctx, admin, "user.get", params{"userId": id}, &made); err != nil {
		return gateway.PlatformUser{}, false, public(err)
	}
	return made.platformUser(), false, nil
}

func screenName(u gateway.PlatformUser, id string) string {
	if n := strings.TrimSpace(u.FirstName + " " + u.LastName); n != "" && !strings.Contains(n, "://") {
		return n
	}
	return id
}
