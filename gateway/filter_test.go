package gateway

import (
	"testing"

	"pgregory.net/rapid"
)

// Whatever a platform or a cache gives, filter lets through exactly what Decide allows.
func TestFilterAsksDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hubs, users := rapid.SampledFrom([]string{"hub_1", "hub_2"}), rapid.SampledFrom([]string{"", "ada", "Ada", "bob"})
		in := Integration{
			Row:        Row{HubID: hubs.Draw(t, "hub")},
			Visibility: rapid.SampledFrom([]Visibility{VisibilityShared, VisibilityOwn, "", "all"}).Draw(t, "visibility"),
		}
		a := Actor{
			HubID: hubs.Draw(t, "actor's hub"), PlatformUserID: users.Draw(t, "user"),
			ParticipantID: rapid.SampledFrom([]string{"", "par_1"}).Draw(t, "participant"),
			Role:          rapid.SampledFrom([]Role{RoleAdmin, RoleParticipant}).Draw(t, "role"),
		}
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Media {
			return Media{
				ID: rapid.StringMatching(`0_[a-z0-9]{8}`).Draw(t, "id"), OwnerID: users.Draw(t, "owner"),
				Tags: rapid.SliceOfN(rapid.SampledFrom([]string{"360", "my 360 tour", "x"}), 0, 2).Draw(t, "tags"),
			}
		}), 0, 12).Draw(t, "items")
		var q Query
		if rapid.Bool().Draw(t, "filtered") {
			want := rapid.Bool().Draw(t, "360")
			q.Only360 = &want
		}
		refused := 0
		c := &Catalog{Refused: func(Decision) { refused++ }}
		page := c.filter(view{Opened{Integration: in}, a}, q, Page{Items: items, Total: len(items)})
		var want []Media
		denied := 0
		for _, m := range items {
			if !Decide(a, in, m).Allowed {
				denied++
				continue
			}
			if q.Only360 == nil || *q.Only360 == m.Is360() {
				want = append(want, m)
			}
		}
		if refused != denied || len(page.Items) != len(want) || len(page.Decisions) != len(page.Items) {
			t.Fatalf("%d of %d given, %d wanted, %d refused", len(page.Items), len(items), len(want), refused)
		}
		for i, m := range page.Items {
			if m.ID != want[i].ID || !page.Decisions[i].Allowed {
				t.Fatalf("%s given for %s", m.ID, want[i].ID)
			}
		}
		if len(want) < len(items) && page.Total != -1 {
			t.Fatal("the total tells of what is hidden")
		}
	})
}

func TestLRU(t *testing.T) {
	c := lru[int]{max: 2}
	c.put("a", 1)
	c.put("b", 2)
	c.get("a")
	c.put("c", 3)
	if _, ok := c.get("b"); ok {
		t.Error("b was used longest ago")
	}
	c.put("a", 4)
	if v, ok := c.get("a"); !ok || v != 4 || len(c.byKey) != 2 || c.order.Len() != 2 {
		t.Error(v, ok, len(c.byKey))
	}
}
