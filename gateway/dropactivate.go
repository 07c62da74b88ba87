package gateway

import (
	"context"
	"slices"
)

// appScopes are what the credential of a folder may do; to which folder, ByApp says.
var appScopes = []string{ScopeUploadsWrite, ScopeDropFoldersRead}

// Activate gives a folder that is ready to be sent to: the one of that name or else a new one, and a machine client that may send
// into it and see its files; manifests that it sends may do what the folder's maker may. Repeating it makes nothing twice and changes no settings; the secret is given the
// first time only.
func (s *DropFolders) Activate(ctx context.Context, a Actor, d DropFolderDraft) (DropActivation, error) {
	fresh, err := s.activated(ctx, a, d)
	if err != nil {
		return DropActivation{}, err
	}
	var out DropActivation
	err = retryConflict(func() error {
		return s.Store.Tx(ctx, func(tx Tx) error {
			out = DropActivation{}
			f, err := tx.DropFolders().ByName(ctx, a.HubID, fresh.NameKey)
			switch {
			case err == nil:
			case CodeOf(err) != NotFound:
				return err
			case fresh.ID == "":
				// It was there before the transaction and is not any more.
				return E(Conflict, "changed_meanwhile", "The folder was removed just now.").Next("Repeat it.")
			default:
				f = fresh
				if err := s.insert(ctx, tx, a, &f); err != nil {
					return err
				}
				out.Created = true
			}
			if err := s.equip(ctx, tx, a, &f, &out); err != nil {
				return err
			}
			out.Folder = f
			return answered(ctx, tx, out)
		})
	})
	return out, err
}

// activated checks who asks and, when there is no folder of the name, the settings of a new one. Without an id: there is one.
func (s *DropFolders) activated(ctx context.Context, a Actor, d DropFolderDraft) (DropFolder, error) {
	if err := dropWriter(a); err != nil {
		return DropFolder{}, err
	}
	// The folder's credential must not be able to do what the token that asks for it cannot.
	if err := within(a, appScopes); err != nil {
		return DropFolder{}, err
	}
	named := newDropFolder()
	if err := d.applyNames(&named); err != nil {
		return DropFolder{}, err
	}
	f, err := s.Store.DropFolders().ByName(ctx, a.HubID, named.NameKey)
	if CodeOf(err) == NotFound {
		return s.draft(ctx, a, d)
	}
	if err != nil {
		return DropFolder{}, err
	}
	o, err := s.Uploads.admit(ctx, a)
	if err != nil {
		return DropFolder{}, err
	}
	maker, err := s.heir(ctx, s.Store, a, f, o.Integration)
	if err == nil {
		err = a.speaksFor(maker, o.Integration)
	}
	return DropFolder{NameKey: named.NameKey}, err
}

// equip gives a folder its credential unless it has one.
func (s *DropFolders) equip(ctx context.Context, tx Tx, a Actor, f *DropFolder, out *DropActivation) error {
	if f.AppID != "" {
		c, err := tx.Clients().Get(ctx, Scope(f.HubID), f.AppID)
		if err == nil && c.DisabledAt != nil {
			return E(Conflict, "app_disabled", "The folder's app was disabled.").Next("Enable it under Apps, or deactivate the folder and activate it again.")
		}
		if CodeOf(err) != NotFound {
			out.Client = c
			return err
		}
	}
	have, err := tx.Clients().List(ctx, Scope(f.HubID), Slice{Limit: maxClients})
	if err != nil {
		return err
	}
	if len(have) >= maxClients {
		return E(Conflict, "too_many_clients", "There are 200 apps already.").Next("Delete one that is no longer used.")
	}
	out.Secret = Secret(NewToken())
	out.Client = Client{
		Row: Row{ID: NewID("cli"), HubID: f.HubID}, Type: ClientMachine, AuthMethod: AuthSecret, SecretHash: sum(out.Secret.Reveal()),
		Name: cutRunes("Drop folder "+f.Name, maxLabel), Scopes: slices.Clone(appScopes), CreatedBy: a.Subject(),
	}
	f.AppID = out.Client.ID
	if err := tx.Clients().Insert(ctx, &out.Client); err != nil {
		return err
	}
	if err := tx.DropFolders().Update(ctx, f); err != nil {
		return err
	}
	return audit(ctx, tx, a, "drop_folder.activate", f.ID, map[string]any{"name": f.Name, "client": f.AppID})
}

// Deactivate is the reverse: the folder's credential stops working at once. The folder stays, and so does what was sent.
func (s *DropFolders) Deactivate(ctx context.Context, a Actor, id string) (DropFolder, error) {
	return s.changeFolder(ctx, a, id, func(tx Tx, f *DropFolder) error {
		if f.AppID == "" {
			return errUnchanged
		}
		if err := tx.Clients().Delete(ctx, Scope(f.HubID), f.AppID); err != nil {
			return err
		}
		f.AppID = ""
		return s.settle(ctx, tx, a, *f, "drop_folder.deactivate", "drop_folder.changed")
	})
}
