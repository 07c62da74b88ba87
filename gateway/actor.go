package gateway

import "slices"

// Role is what a participant may do in a hub.
type Role string

// The roles, from most to least.
const (
	RoleAdmin        Role = "admin"
	RoleContentAdmin Role = "content_admin"
	RoleParticipant  Role = "participant"
)

// Actor is who acts, in which hub. It is built from a verified token or session only, never from
// a path or a body. A machine client has a ClientID and no ParticipantID.
type Actor struct {
	HubID         string
	ParticipantID string
	ClientID      string
	OperatorID    string // an operator, who is nobody in the hub and may do only what is open to operators
	Role          Role
	Email         string
	EmailVerified bool
	Name          string
	Scopes        []string // of a bearer token; nil for a person with a session, who has all their role allows

	OwnRight       bool   // act on the platform with the person's own right only, never with the account's
	PlatformUserID string // the mapped user on the media platform; set by Catalog before it calls a Platform
}

// Machine tells whether the actor is a client acting for nobody.
func (a Actor) Machine() bool { return a.ParticipantID == "" }

// Admin tells whether the actor may change hub settings.
func (a Actor) Admin() bool { return a.Role == RoleAdmin }

// Has tells whether the actor's token carries the scope. Sessions carry no scopes and are limited by role alone.
func (a Actor) Has(scope string) bool { return a.Scopes == nil || slices.Contains(a.Scopes, scope) }

// self is the id of whoever acts: of the participant, else of the client.
func (a Actor) self() string {
	if a.Machine() {
		return a.ClientID
	}
	return a.ParticipantID
}

// Subject names the actor in the audit log.
func (a Actor) Subject() string {
	switch {
	case a.OperatorID != "":
		return "operator:" + a.OperatorID
	case a.Machine() && a.ClientID == "":
		return "system"
	case a.Machine():
		return "client:" + a.ClientID
	}
	return "participant:" + a.ParticipantID
}

// Scopes that a bearer token can carry.
const (
	ScopeMediaRead        = "media:read"
	ScopeMediaImport      = "media:import"
	ScopeLibraryRead      = "library:read"
	ScopeLibraryWrite     = "library:write"
	ScopeUploadsWrite     = "uploads:write"
	ScopeTransfersRead    = "transfers:read"
	ScopeTransfersAdmin   = "transfers:admin"
	ScopeDropFoldersRead  = "dropfolders:read"
	ScopeDropFoldersWrite = "dropfolders:write"
	ScopeMappingsAdmin    = "mappings:admin"
	ScopeConnectionsAdmin = "connections:admin"
	ScopeWebhooksAdmin    = "webhooks:admin"
	ScopeClientsAdmin     = "clients:admin"
	ScopeMembersAdmin     = "members:admin"
	ScopeAuditRead        = "audit:read"
	ScopeHubAdmin         = "hub:admin"
	ScopeEventsRead       = "events:read"
)

// ScopeInfo is a scope in plain words, as consent pages and documentation show it.
type ScopeInfo struct{ Name, Title string }

// Scopes are all that there are.
var Scopes = []ScopeInfo{
	{ScopeMediaRead, "See media in Kaltura"},
	{ScopeMediaImport, "Import media from Kaltura into the library"},
	{ScopeLibraryRead, "See and play the media library"},
	{ScopeLibraryWrite, "Add, share, rename and remove items of the media library"},
	{ScopeUploadsWrite, "Upload media"},
	{ScopeTransfersRead, "See running transfers and their speed"},
	{ScopeTransfersAdmin, "Change the hub's bandwidth and transfer policy"},
	{ScopeDropFoldersRead, "See drop folders and their files"},
	{ScopeDropFoldersWrite, "Set up drop folders and retry their files"},
	{ScopeMappingsAdmin, "Link the hub's people to Kaltura users"},
	{ScopeConnectionsAdmin, "Change the hub's connection to Kaltura"},
	{ScopeWebhooksAdmin, "Set up where the hub's events are sent"},
	{ScopeClientsAdmin, "Register apps of the hub"},
	{ScopeMembersAdmin, "Manage the people of the hub"},
	{ScopeAuditRead, "Read the hub's audit log"},
	{ScopeHubAdmin, "Change the hub's settings"},
	{ScopeEventsRead, "Follow what happens to your media"},
}

// AllScopes are the names of all scopes, in their usual order.
var AllScopes = func() []string {
	names := make([]string, len(Scopes))
	for i, s := range Scopes {
		names[i] = s.Name
	}
	return names
}()

// adminOnly lets pass who may administer the hub: a person who is an admin (and, when they came
// with a token, whose token carries the scope) or a machine client that was given the scope.
func adminOnly(a Actor, scope string) error {
	if a.Machine() {
		if slices.Contains(a.Scopes, scope) {
			return nil
		}
		return E(Forbidden, "insufficient_scope", "This client may not administer the hub.").
			Next("Ask for a client with the scope %s.", scope)
	}
	if !a.Admin() {
		return E(Forbidden, "not_admin", "Only an administrator of the hub may do this.").
			Next("Ask an administrator of your hub.")
	}
	if !a.Has(scope) {
		return E(Forbidden, "insufficient_scope", "Your token does not allow administering the hub.").
			Next("Ask for a token with the scope %s.", scope)
	}
	return nil
}
