package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"isthmus/gateway"
	"isthmus/media/mediatest"
)

// demoClips are real media made by ffmpeg; owners are users of the demo account.
var demoClips = []struct {
	ref, file, title, owner string
	kind                    gateway.MediaType
	tags                    []string
	make                    func(ctx context.Context, path string) error
}{
	{"demo-flat", "harbour.mp4", "Harbour at noon", "carl.curator", gateway.Video, []string{"harbour", "week 1"}, func(ctx context.Context, path string) error {
		return mediatest.Clip{Seconds: 8, Width: 1280, Height: 720}.Make(ctx, path)
	}},
	{"demo-360", "courtyard-360.mp4", "Courtyard in 360", "pia@lakeside.example", gateway.Video, []string{gateway.Tag360, "campus"}, func(ctx context.Context, path string) error {
		return mediatest.Sphere(ctx, path, 6, 1920)
	}},
	{"demo-photo-360", "reading-room-360.jpg", "Reading room in 360", "carl.curator", gateway.Image, []string{gateway.Tag360, "campus"}, func(ctx context.Context, path string) error {
		return mediatest.Photo360(ctx, path, 4096)
	}},
	{"demo-sound", "bell.m4a", "Bell", "carl.curator", gateway.Audio, []string{"sound"}, func(ctx context.Context, path string) error {
		return mediatest.Sound(ctx, path, 6)
	}},
}

// seedMedia puts the demo clips into the account through the same adapter that uploads use. It
// runs after the server is ready and does nothing that was done before, because each clip is
// found again by its reference id.
func (s *server) seedMedia(ctx context.Context, d demoFile) error {
	done := filepath.Join(s.cfg.Data, "demo-media.done")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	dir := filepath.Join(s.cfg.Data, "demo-media") // one name, so that a kill leaves no more than one behind
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	opened, err := s.integrations.OpenFor(ctx, d.HubID, true)
	if err != nil {
		return err
	}
	for _, clip := range demoClips {
		path := filepath.Join(dir, clip.file)
		if err := clip.make(ctx, path); err != nil {
			return fmt.Errorf("%s: %w", clip.file, err)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return err
		}
		actor := gateway.Actor{HubID: d.HubID, PlatformUserID: clip.owner}
		entry := gateway.NewMedia{ReferenceID: clip.ref, Name: clip.title, FileName: clip.file, Size: info.Size(), Type: clip.kind, Tags: clip.tags}
		ingest, err := opened.Platform.Create(ctx, actor, entry)
		if err == nil {
			if err = ingest.WriteAt(ctx, 0, info.Size(), f); err == nil {
				_, err = ingest.Finish(ctx, entry)
			}
		}
		_ = f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", clip.file, err)
		}
	}
	return os.WriteFile(done, nil, 0o600)
}
