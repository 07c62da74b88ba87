package platform_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/integrations/kaltura/platform"
	"isthmus/media/mediatest"
	"isthmus/store"
	"isthmus/store/storetest"
)

// TestSecretsAtRest looks for secrets in the database file and in the log.
func TestSecretsAtRest(t *testing.T) {
	dir := t.TempDir()
	db := storetest.Open(t, store.Options{DataDir: dir})
	var log bytes.Buffer
	w := newWorld(t, db)
	w.cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.restart()
	must(t, w.p.CreateAccount(t.Context(), platform.Account{PartnerID: partnerID, AdminEmail: "other@partner.example", AdminSecret: "x", UserSecret: "y"}))
	ks := w.session(adminUser, 2, "")
	token := w.object(ks, "appToken.add", map[string]any{"appToken": map[string]any{"hashType": "SHA256"}})["token"].(string)
	if out := w.object(ks, "partner.getInfo", nil); out["adminSecret"] != adminSecret {
		t.Error("an existing account was changed:", out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // a folder
		}
		for _, secret := range []string{adminSecret, userSecret, token, ks} {
			if bytes.Contains(data, []byte(secret)) || bytes.Contains(log.Bytes(), []byte(secret)) {
				t.Errorf("a secret lies open in %s", filepath.Base(f))
			}
		}
	}
}

// TestOwnEntries lists as every kind of session, over entries of two owners.
func TestOwnEntries(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for i, owner := range []string{"alice", "alice", "alice", "bob", "bob"} {
			w.object(w.session(owner, 0, ""), "media.add", map[string]any{"entry": map[string]any{
				"objectType": "KalturaMediaEntry", "mediaType": 1, "name": fmt.Sprintf("Ünit %d", i), "tags": "my 360 tour,x360",
			}})
		}
		for _, c := range []struct {
			user, privileges string
			kind             int64
			filter           map[string]any
			want             float64
		}{
			{"alice", "", 0, nil, 3},
			{"bob", "", 0, nil, 2},
			{"carol", "", 0, nil, 0},
			{"carol", "list:*", 0, nil, 5},
			{"carol", "editplaylist:*", 0, nil, 0}, // the original's substring search opened this
			{"", "", 0, nil, 0},
			{adminUser, "", 2, nil, 5},
			{"alice", "", 0, map[string]any{"userIdEqual": "bob"}, 0},
			{"carol", "list:*", 0, map[string]any{"userIdEqual": "bob"}, 2},
			{"carol", "list:*", 0, map[string]any{"freeText": "unit"}, 5},
			{"carol", "list:*", 0, map[string]any{"freeText": "uni"}, 0},
			{"carol", "list:*", 0, map[string]any{"freeText": "uni*"}, 5},
			{"carol", "list:*", 0, map[string]any{"freeText": "unit 3"}, 1},
			{"carol", "list:*", 0, map[string]any{"freeText": "!unit"}, 0},
			{"carol", "list:*", 0, map[string]any{"freeText": `%'\`}, 5}, // no word in it: no restriction
			{"carol", "list:*", 0, map[string]any{"tagsLike": "360"}, 5},
			{"carol", "list:*", 0, map[string]any{"tagsLike": "36"}, 0},
			{"carol", "list:*", 0, map[string]any{"tagsMultiLikeOr": "360 tour"}, 5},
			{"carol", "list:*", 0, map[string]any{"tagsMultiLikeOr": "tour x360"}, 0}, // a phrase ends with its tag
			{"carol", "list:*", 0, map[string]any{"createdAtGreaterThanOrEqual": -60}, 5},
			{"carol", "list:*", 0, map[string]any{"createdAtLessThanOrEqual": -60}, 0},
			{"carol", "list:*", 0, map[string]any{"nameEqual": "x' OR '1'='1"}, 0},
		} {
			filter := map[string]any{"statusIn": "0,1,2,7"}
			for k, v := range c.filter {
				filter[k] = v
			}
			out := w.object(w.session(c.user, c.kind, c.privileges), "media.list", map[string]any{"filter": filter})
			if out["totalCount"] != c.want {
				t.Errorf("%q %q %v: %v, want %v", c.user, c.privileges, c.filter, out["totalCount"], c.want)
			}
		}
	})
}

// TestAssetChangedTwice settles the same asset again and again, also late and out of order.
func TestAssetChangedTwice(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.work()
		ctx := t.Context()
		photo := filepath.Join(t.TempDir(), "photo.jpg")
		must(t, mediatest.Photo(ctx, photo, 800, 600))
		clip := filepath.Join(t.TempDir(), "clip.mp4")
		must(t, mediatest.Clip{Seconds: 2, Width: 640, Height: 360}.Make(ctx, clip))
		ks := w.session("alice", 0, "")
		for file, kind := range map[string]float64{photo: 2, clip: 1} {
			id := w.upload(ks, file, map[string]any{"mediaType": 1, "name": "x"}) // the content decides
			w.wait(ks, id, 2, nil)
			row, err := db.Kaltura().Entries().Get(ctx, partnerID, id)
			must(t, err)
			as, err := w.assets.Get(ctx, row.AssetID)
			for err == nil && as.State != gateway.AssetReady {
				time.Sleep(50 * time.Millisecond)
				as, err = w.assets.Get(ctx, row.AssetID)
			}
			must(t, err)
			must(t, w.p.AssetChanged(ctx, as))
			once := snapshot(w, ks, id)
			must(t, w.p.AssetChanged(ctx, as))
			if again := snapshot(w, ks, id); again != once {
				t.Errorf("settling again changed the entry:\n%s\n%s", once, again)
			}
			if e := w.object(ks, "media.get", map[string]any{"entryId": id}); e["mediaType"] != kind {
				t.Error(e)
			}
		}
		must(t, w.p.AssetChanged(context.Background(), gateway.Asset{OwnerID: "0_gone0000"})) // harmless
	})
}

func snapshot(w *world, ks, id string) string {
	e := w.object(ks, "media.get", map[string]any{"entryId": id})
	delete(e, "updatedAt")
	flavors := w.api(ks, "flavorAsset.getByEntryId", map[string]any{"entryId": id}).([]any)
	for _, f := range flavors {
		delete(f.(map[string]any), "updatedAt")
	}
	out, err := json.Marshal([]any{e, flavors})
	must(w.t, err)
	return string(out)
}
