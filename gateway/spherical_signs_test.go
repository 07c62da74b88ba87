package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/media/mediatest"
	"isthmus/store/storetest"
)

// The size and the name are signs; two of them, or what the file itself says, make it likely.
func TestSignsOfSpherical(t *testing.T) {
	l := newLive(t, storetest.SQLite(t))
	sp := &gateway.Spherical{Catalog: l.library.Catalog}
	for _, c := range []struct {
		name, tags    string
		width, height int64
		evidence      string // of the first sign; empty = not offered
		likely        bool
	}{
		{"beach", "", 2048, 1024, "exactly twice as wide as high (2048 × 1024)", false},
		{"beach 360", "", 1024, 512, "exactly twice as wide as high (1024 × 512)", true},
		{"beach", "holiday, equirectangular", 3840, 1920, "exactly twice as wide as high (3840 × 1920)", true},
		{"Beach in 360°", "", 1920, 1080, "“360°”", false},
		{"VR180 beach", "", 0, 0, "“VR180”", false},
		{"small", "", 1000, 500, "", false},
		{"almost", "", 2048, 1025, "", false},
		{"upright", "", 1024, 2048, "", false},
		{"lecture 360p", "1360, 3600", 640, 360, "", false},
		{"marked before", "360", 2048, 1024, "", false},
	} {
		id := l.readyEntry("admin@example.org", c.name, c.tags, c.width, c.height)
		defer func() {
			got, offered := l.found(sp)[id]
			if offered != (c.evidence != "") || offered && (!strings.Contains(got.Evidence[0], c.evidence) || got.Likely != c.likely) {
				t.Errorf("%+v: %+v", c, got)
			}
		}()
	}
}

// A photo or video that has one sign is opened: what its metadata say is the best evidence.
func TestSignsInFiles(t *testing.T) {
	t.Parallel()
	l := newLive(t, storetest.SQLite(t))
	sp := &gateway.Spherical{Catalog: l.library.Catalog}
	stop := l.work()
	ids := map[string]string{}
	for name, body := range map[string][]byte{
		"IMG 1.jpg": clip(t, "pano.jpg", func(ctx context.Context, file string) error { return mediatest.Photo360(ctx, file, 1024) }),
		"IMG 2.jpg": clip(t, "wide.jpg", func(ctx context.Context, file string) error { return mediatest.Photo(ctx, file, 1024, 512) }),
		"IMG 3.jpg": clip(t, "flat.jpg", func(ctx context.Context, file string) error { return mediatest.Photo(ctx, file, 800, 600) }),
		"MOV 4.mp4": clip(t, "wide-sphere.mp4", func(ctx context.Context, file string) error { return mediatest.Sphere(ctx, file, 1, 1024) }),
	} {
		u := l.upload(l.house.Admin, name, body)
		for deadline := time.Now().Add(2 * time.Minute); l.state(u.ID).State != gateway.UploadReady; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%+v", l.state(u.ID))
			}
		}
		ids[name] = l.state(u.ID).EntryID
	}
	stop()
	for _, id := range ids { // as if somebody had uploaded them in Kaltura: our uploads are tagged at once
		l.world.ask("media", "update", map[string]any{"entryId": id, "mediaEntry": map[string]any{"objectType": "KalturaMediaEntry", "tags": ""}}, new(any))
	}
	found := l.found(sp)
	for name, want := range map[string]struct {
		evidence string
		likely   bool
	}{
		"IMG 1.jpg": {"name a panorama projection", true},
		"IMG 2.jpg": {"twice as wide as high", false},
		"MOV 4.mp4": {"video", true},
	} {
		c, ok := found[ids[name]]
		if !ok || !strings.Contains(c.Evidence[0], want.evidence) || c.Likely != want.likely || (c.Type == gateway.Image) != strings.HasPrefix(name, "IMG") {
			t.Errorf("%s: %v %+v", name, ok, c)
		}
	}
	if len(found) != 3 {
		t.Errorf("%d found", len(found))
	}
}
