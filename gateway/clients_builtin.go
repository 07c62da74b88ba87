package gateway

import "context"

// ClientCommandLine is the id of the client that every installation has: the user's command line, which keeps no
// secret and whose people sign in by a device's code. Operators switch it off as any other.
const ClientCommandLine = "isthmusctl"

// EnsureBuiltIn registers the client when it is missing. What operators made of it stays as it is.
func (s *Clients) EnsureBuiltIn(ctx context.Context) error {
	_, err := s.Store.Clients().Get(ctx, AnyHub, ClientCommandLine)
	if CodeOf(err) != NotFound {
		return err
	}
	c := Client{
		Row: Row{ID: ClientCommandLine}, Type: ClientNative, AuthMethod: AuthNone, Name: "Isthmus command line (isthmusctl)",
		Scopes: []string{ScopeMediaRead, ScopeMediaImport, ScopeLibraryRead, ScopeUploadsWrite, ScopeEventsRead, ScopeTransfersRead, ScopeDropFoldersRead, ScopeDropFoldersWrite},
	}
	err = s.Store.Tx(ctx, func(tx Tx) error {
		if err := tx.Clients().Insert(ctx, &c); err != nil {
			return err
		}
		return audit(ctx, tx, SystemActor(""), "client.create", c.ID, clientData(c))
	})
	if CodeOf(err) == Conflict { // another replica has just done it
		return nil
	}
	return err
}
