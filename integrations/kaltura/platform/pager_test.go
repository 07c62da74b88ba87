package platform_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"isthmus/integrations/kaltura/platform"
	"isthmus/store"
	"isthmus/store/storetest"
)

// TestPagerLimits replays the recorded table of pagers over 520 entries, on both databases.
func TestPagerLimits(t *testing.T) {
	raw, err := os.ReadFile(wire + "pager/limits.json")
	must(t, err)
	var file struct {
		Cases []struct {
			Case       string
			Pager      map[string]any
			TotalCount *float64
			Returned   int
			FirstName  *string
			LastName   *string
			Error      *string
		}
	}
	must(t, json.Unmarshal(raw, &file))
	if len(file.Cases) < 14 {
		t.Fatal("the recording has fewer rows than expected")
	}
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		must(t, db.KalturaTx(t.Context(), func(tx platform.Tx) error {
			for i := range 520 {
				e := platform.NewTaggedEntry(partnerID, fmt.Sprintf("0_%08d", i), fmt.Sprintf("Bulk %04d", i), "bulkset")
				if err := tx.Kaltura().Entries().Insert(t.Context(), &e); err != nil {
					return err
				}
			}
			return nil
		}))
		ks := w.session(adminUser, 2, "")
		for _, c := range file.Cases {
			params := map[string]any{"filter": map[string]any{"statusEqual": 7, "tagsLike": "bulkset", "orderBy": "+name"}}
			if c.Pager != nil {
				params["pager"] = c.Pager
			}
			out := w.api(ks, "media.list", params).(map[string]any)
			if c.Error != nil {
				if out["code"] != *c.Error {
					t.Errorf("%s: %v, recorded %s", c.Case, out, *c.Error)
				}
				continue
			}
			objects := out["objects"].([]any)
			if out["totalCount"] != *c.TotalCount || len(objects) != c.Returned {
				t.Errorf("%s: %v of %v, recorded %d of %v", c.Case, len(objects), out["totalCount"], c.Returned, *c.TotalCount)
				continue
			}
			if c.FirstName == nil {
				continue
			}
			first, last := objects[0].(map[string]any)["name"], objects[len(objects)-1].(map[string]any)["name"]
			if first != *c.FirstName || last != *c.LastName {
				t.Errorf("%s: %v to %v, recorded %s to %s", c.Case, first, last, *c.FirstName, *c.LastName)
			}
		}
	})
}
