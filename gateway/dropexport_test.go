package gateway

import "context"

// RunManifest lets tests take a manifest further by hand.
func (s *DropFolders) RunManifest(ctx context.Context, f DropFile) error {
	return s.runManifest(ctx, f)
}

// Unnamed lets tests end the waiting of a file that no manifest names.
func (s *DropFolders) Unnamed(ctx context.Context, id string) error { return s.unnamed(ctx, id) }

// Arrived lets tests tell that a file has become whole.
func (s *DropFolders) Arrived(ctx context.Context, tx Tx, f DropFile) error {
	return s.arrived(ctx, tx, f)
}
