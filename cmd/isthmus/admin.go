package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"path"
	"regexp"
	"strings"

	"isthmus/gateway"
	"isthmus/media"
)

// migrateCommand is `isthmus migrate`. Opening the database brings its schema up to date.
type migrateCommand struct{ dataFlags }

// Run migrates and says so.
func (c *migrateCommand) Run(ctx context.Context) error {
	db, _, err := openData(ctx, c.dataFlags, "", newLogger(slog.LevelWarn))
	if err != nil {
		return err
	}
	fmt.Println("The database schema is up to date.")
	return db.Close()
}

// checkCommand is `isthmus check`.
type checkCommand struct{ dataFlags }

// Run compares rows with files: every asset has its original and its package, every upload that is
// still arriving has its staged bytes. It changes nothing.
func (c *checkCommand) Run(ctx context.Context) error {
	db, _, err := openData(ctx, c.dataFlags, "", newLogger(slog.LevelWarn))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	disk, err := media.OpenDisk(c.Data, -1)
	if err != nil {
		return err
	}
	defer func() { _ = disk.Close() }()
	staging := media.NewStaging(disk)
	blobs := media.NewBlobs(disk, staging)

	var faults []string
	var assets, uploads int
	for w := (gateway.Slice{Limit: 500}); ; {
		page, err := db.Assets().All(ctx, w)
		if err != nil {
			return err
		}
		for _, a := range page {
			assets++
			faults = append(faults, checkAsset(ctx, blobs, a)...)
			w.After = a.ID
		}
		if len(page) < w.Limit {
			break
		}
	}
	arriving, err := db.Uploads().InReplica(ctx, db.Replica())
	if err != nil {
		return err
	}
	for _, u := range arriving {
		uploads++
		ranges, err := staging.Durable(ctx, u.ID)
		switch {
		case err != nil:
			faults = append(faults, fmt.Sprintf("upload %s is %s, but its staged bytes cannot be read: %v", u.ID, u.State, err))
		case u.State == gateway.UploadIngesting && ranges.Prefix() != u.Size:
			faults = append(faults, fmt.Sprintf("upload %s was finished with %d bytes, %d are there", u.ID, u.Size, ranges.Prefix()))
		}
	}
	fmt.Printf("%d assets, %d uploads in flight, %d faults\n", assets, uploads, len(faults))
	if len(faults) > 0 {
		return gateway.E(gateway.Internal, "inconsistent", "Rows and files differ:\n  "+strings.Join(faults, "\n  ")+"\n").
			Next("Restore the missing files from a backup, or delete the rows' owners through the API.")
	}
	return nil
}

// checkAsset looks for the files that an asset's row promises.
func checkAsset(ctx context.Context, blobs *media.Blobs, a gateway.Asset) []string {
	var faults []string
	info, err := blobs.Stat(ctx, a.Original)
	switch {
	case err != nil:
		faults = append(faults, fmt.Sprintf("asset %s: its original is missing", a.ID))
	case info.Size != a.Size:
		faults = append(faults, fmt.Sprintf("asset %s: its original has %d bytes, not %d", a.ID, info.Size, a.Size))
	}
	if !a.State.Plays() {
		return faults
	}
	keys := []string{a.Package.DASH, a.Package.HLS, a.Package.Image, a.Package.Waveform}
	for _, r := range a.Package.Renditions {
		keys = append(keys, r.Key)
	}
	for _, t := range a.Package.Thumbnails {
		keys = append(keys, t.Key)
	}
	// The segments have no rows; the playlists name them. DASH plays the very same files.
	segments, err := playlisted(ctx, blobs, a.Package.HLS)
	if err != nil {
		faults = append(faults, fmt.Sprintf("asset %s: its playlists cannot be read: %v", a.ID, err))
	}
	for _, key := range append(keys, segments...) {
		if key == "" {
			continue
		}
		if info, err := blobs.Stat(ctx, key); err != nil {
			faults = append(faults, fmt.Sprintf("asset %s: %s is missing", a.ID, key))
		} else if info.Size == 0 {
			faults = append(faults, fmt.Sprintf("asset %s: %s is empty", a.ID, key))
		}
	}
	return faults
}

var playlistURI = regexp.MustCompile(`URI="([^"]+)"`)

// playlisted gives the keys of all that an HLS playlist names, and of what the playlists among them name.
func playlisted(ctx context.Context, blobs *media.Blobs, playlist string) ([]string, error) {
	if playlist == "" {
		return nil, nil
	}
	r, _, err := blobs.Open(ctx, playlist, gateway.Range{Start: 0, End: -1})
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read
	var keys []string
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return keys, lines.Err()
		}
		name := strings.TrimSpace(lines.Text())
		if m := playlistURI.FindStringSubmatch(name); m != nil {
			name = m[1]
		}
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		key := path.Join(path.Dir(playlist), name)
		keys = append(keys, key)
		if path.Ext(key) == ".m3u8" && key != playlist {
			more, err := playlisted(ctx, blobs, key)
			if err != nil {
				return keys, err
			}
			keys = append(keys, more...)
		}
	}
}
