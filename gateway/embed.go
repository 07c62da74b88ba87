package gateway

import "context"

// EmbedOrigins gives the origins of the sites that may show the picker for a client. Forbidden, with
// one answer, when the client is unknown or disabled.
func (s *Access) EmbedOrigins(ctx context.Context, clientID string) ([]string, error) {
	c, err := s.Store.Clients().Get(ctx, AnyHub, clientID)
	if err != nil && CodeOf(err) != NotFound {
		return nil, err
	}
	if err != nil || c.DisabledAt != nil {
		return nil, E(Forbidden, "client_unknown", "There is no such client, or it is disabled.").
			Next("Check the client id; an admin of the hub sees all clients in the settings.")
	}
	return c.Origins, nil
}
