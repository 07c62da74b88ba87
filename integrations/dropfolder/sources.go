package dropfolder

import (
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"time"

	"isthmus/gateway"
)

// Options are what the operator decides and cmd fills in.
type Options struct {
	// Root is what all directories lie below, a hub's in ROOT/HUB; "" = there are none.
	Root string
	// Client reaches buckets. It guards which networks may be called.
	Client *http.Client
	// CheckURL checks an endpoint that somebody typed in and gives its normal form.
	CheckURL func(string) (string, error)
	// Answer is how long a bucket's store may take for an answer that is no object; 0 = two minutes.
	Answer time.Duration
	// Listing is how many bytes the names and identities of a bucket's files may have together; 0 = 256 MiB.
	Listing int
	Log     *slog.Logger
}

// Sources opens the places of folders. It implements gateway.DropSources; safe for concurrent use.
type Sources struct{ o Options }

// New makes Sources.
func New(o Options) *Sources {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Sources{o}
}

// Open implements gateway.DropSources.
func (s *Sources) Open(_ context.Context, f gateway.DropFolder, secret gateway.Secret) (gateway.DropSource, error) {
	switch f.Source {
	case gateway.DropDirectory:
		d, err := s.directory(f)
		if err != nil {
			return nil, err
		}
		return d, d.there()
	case gateway.DropBucket:
		return s.bucket(f, secret)
	}
	return nil, gateway.E(gateway.Invalid, "source_unknown", "Nothing is looked at for this kind of folder.").
		Next("Choose a directory or a bucket.").At("/source")
}

// Make implements gateway.DropSources.
func (s *Sources) Make(_ context.Context, f gateway.DropFolder) error {
	if f.Source != gateway.DropDirectory {
		return nil
	}
	d, err := s.directory(f)
	if err != nil {
		return err
	}
	return d.make()
}

// Place implements gateway.DropSources.
func (s *Sources) Place(f gateway.DropFolder) string {
	switch f.Source {
	case gateway.DropDirectory:
		return filepath.Join(s.o.Root, f.HubID, filepath.FromSlash(f.Path))
	case gateway.DropBucket:
		return "s3://" + f.Bucket.Name + "/" + prefixOf(f.Path)
	}
	return ""
}

func (s *Sources) directory(f gateway.DropFolder) (*directory, error) {
	if s.o.Root == "" {
		return nil, gateway.E(gateway.Precondition, "directories_off", "This server looks at no directories.").
			Next("Ask the operator to set a drop root, or choose uploads or a bucket.").At("/source")
	}
	rel := path.Clean("./" + strings.Trim(f.Path, "/"))
	if strings.HasPrefix(f.Path, "/") || !fs.ValidPath(rel) || len(rel) > gateway.MaxDropName || strings.ContainsAny(f.Path, "\x00\\") || climbs(f.Path) {
		return nil, gateway.E(gateway.Invalid, "directory_path", "This is not a path below the hub's drop directory.").
			Next("Write it like incoming/video: no slash at the start, and no dots for a folder above.").At("/path")
	}
	if !fs.ValidPath(f.HubID) || f.HubID == "." || strings.Contains(f.HubID, "/") {
		return nil, gateway.E(gateway.Internal, "hub_missing", "The folder belongs to no hub.")
	}
	return &directory{root: s.o.Root, below: path.Join(f.HubID, rel), shown: strings.TrimPrefix(rel, "./"), log: s.o.Log}, nil
}

// climbs tells whether a path has a step upwards, also one that would cancel out.
func climbs(p string) bool {
	for step := range strings.SplitSeq(p, "/") {
		if step == ".." {
			return true
		}
	}
	return false
}
