package gateway

import (
	"context"
	"slices"
)

// dropReader lets pass who may see drop folders. only is the one folder that a credential is for; "" = all of the hub.
func (s *DropFolders) dropReader(ctx context.Context, a Actor) (only string, _ error) {
	if a.Machine() {
		if !slices.Contains(a.Scopes, ScopeDropFoldersRead) {
			return "", insufficient(ScopeDropFoldersRead)
		}
		f, err := s.Store.DropFolders().ByApp(ctx, a.ClientID)
		if CodeOf(err) != NotFound {
			return f.ID, err
		}
		active, err := activeClient(ctx, s.Store, a.ClientID)
		if err == nil && !active { // what is under way was perhaps begun with a folder's credential: it must not become all of the hub's
			err = E(Unauthenticated, "invalid_token", "The app was removed or disabled.").Next("Ask an administrator of the hub for a new credential.")
		}
		return "", err
	}
	return "", contentAdmin(a, ScopeDropFoldersRead)
}

// dropWriter lets pass who may change drop folders and what becomes of their files.
func dropWriter(a Actor) error {
	if a.Machine() {
		if !slices.Contains(a.Scopes, ScopeDropFoldersWrite) {
			return insufficient(ScopeDropFoldersWrite)
		}
		return nil
	}
	return contentAdmin(a, ScopeDropFoldersWrite)
}

// dropPlacer lets pass who may say which directories and buckets this server looks at.
func dropPlacer(a Actor) error {
	if a.Machine() && !slices.Contains(a.Scopes, ScopeHubAdmin) || !a.Machine() && !a.Admin() {
		return E(Forbidden, "not_admin", "Only an administrator of the hub may have this server look at directories and buckets.").
			Next("Ask an administrator of your hub, or make a folder of uploads.").At("/source")
	}
	return nil
}

func contentAdmin(a Actor, scope string) error {
	if a.Role != RoleAdmin && a.Role != RoleContentAdmin {
		return E(Forbidden, "not_content_admin", "Only content admins and administrators of the hub use drop folders.").Next("Ask an administrator of your hub.")
	}
	if !a.Has(scope) {
		return insufficient(scope)
	}
	return nil
}

func insufficient(scope string) error {
	return E(Forbidden, "insufficient_scope", "The token does not allow this.").Next("Ask for a token with the scope %s.", scope)
}

func noSuchFolder() *Error {
	return E(NotFound, "folder_not_found", "There is no such drop folder.").Next("Check the id, or look at the list of drop folders.")
}

// maker gives in whose name a folder acts. Forbidden with reason "maker_gone" when they may not any more.
func (s *DropFolders) maker(ctx context.Context, t Tables, f DropFolder) (Actor, error) {
	gone := E(Forbidden, "maker_gone", "Who made this folder is no longer in the hub, and it acts in their name.").
		Next("Save the folder's settings: then it acts in your name.")
	if f.ParticipantID == "" {
		active, err := activeClient(ctx, t, f.ClientID)
		if err == nil && !active {
			err = gone
		}
		return Actor{HubID: f.HubID, ClientID: f.ClientID, Role: RoleParticipant}, err
	}
	p, err := t.Participants().Get(ctx, Scope(f.HubID), f.ParticipantID)
	if CodeOf(err) == NotFound || err == nil && (p.SuspendedAt != nil || p.ErasedAt != nil) {
		err = gone
	}
	if err != nil {
		return Actor{}, err
	}
	a := p.actor()
	if a.Role != RoleAdmin && a.Role != RoleContentAdmin {
		return Actor{}, E(Forbidden, "maker_demoted", "Who made this folder is no longer a content admin, and it acts in their name.").
			Next("Save the folder's settings: then it acts in your name.")
	}
	return a, nil
}

// heir gives who a folder acts for once a saves it: its maker, or a when they may not any more.
func (s *DropFolders) heir(ctx context.Context, t Tables, a Actor, f DropFolder, in Integration) (Actor, error) {
	by, err := s.maker(ctx, t, f)
	if err == nil {
		err = by.handles(in)
	}
	if CodeOf(err) == Forbidden {
		return a, nil
	}
	return by, err
}

// ownUser refuses a folder whose entries would be of another than whoever it acts for, where each handles only their own.
func (s *DropFolders) ownUser(ctx context.Context, by Actor, o Opened, f DropFolder) error {
	if f.Origin.UserID == "" || o.Integration.Visibility != VisibilityOwn {
		return nil
	}
	by, err := s.Mappings.Resolve(ctx, by, o)
	if err != nil {
		return err
	}
	if err := (hand{Opened: o, actor: by}).allowed(f.Origin.UserID, "folder"); err != nil {
		return err.At("/origin/user_id")
	}
	return nil
}

// theirs refuses a folder that acts for somebody else to all but administrators, where each handles only their own media.
func (s *DropFolders) theirs(ctx context.Context, t Tables, a Actor, f DropFolder) error {
	if dropPlacer(a) == nil {
		return nil
	}
	in, err := t.Integrations().ByHub(ctx, f.HubID, PlatformKaltura)
	if err != nil || in.Visibility != VisibilityOwn {
		return ignoreNotFound(err)
	}
	by, err := s.heir(ctx, t, a, f, in)
	if err != nil {
		return err
	}
	return a.speaksFor(by, in)
}
