package rate_test

import (
	"slices"
	"testing"
	"time"

	"isthmus/transfer/rate"

	"pgregory.net/rapid"
)

func lossy(p float64) rate.State { return rate.State{Loss: p, BaseRTT: 200 * ms} }

func TestEndGame(t *testing.T) {
	const packets = 100_000
	fresh := rate.Block{Sent: time.Second, Copies: 1, Flying: 1}
	lost := rate.Block{Sent: 900 * ms, Copies: 1}
	many := slices.Repeat([]rate.Block{fresh}, 2000)
	for _, c := range []struct {
		name        string
		loss        float64
		room        int
		blocks      []rate.Block
		least, most int
	}{
		{"what is lost is sent", 0, 100, []rate.Block{lost, fresh, lost}, 2, 2},
		{"what has no room waits", 0.1, 1, []rate.Block{lost, lost}, 1, 1},
		{"no loss, no copies", 0, 5000, many, 0, 0},
		{"the newest are guarded, a whole window is not repeated", 0.02, 5000, many, 16, 16},
		{"a repair flies in several copies", 0.05, 100, []rate.Block{{Sent: time.Second, Copies: 2, Flying: 1}}, 1, 3},
		{"more copies with more loss", 0.3, 100, []rate.Block{{Sent: time.Second, Copies: 2, Flying: 1}}, 4, 8},
		{"an old repair is waited for", 0.3, 100, []rate.Block{{Sent: 800 * ms, Copies: 2, Flying: 1}}, 0, 0},
	} {
		e := rate.NewEndGame(packets*1500, 1500)
		got := e.Next(time.Second+10*ms, c.room, lossy(c.loss), c.blocks)
		if len(got) < c.least || len(got) > c.most {
			t.Errorf("%s: %d packets, want %d to %d", c.name, len(got), c.least, c.most)
		}
	}
}

// However the game goes, the copies beyond need stay below 1 % of the transfer (sixteen of a small one),
// lost blocks come first, and no more is named than there is room for.
func TestEndGameBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		packets := rapid.IntRange(1, 100_000).Draw(t, "packets")
		e := rate.NewEndGame(int64(packets)*1500, 1500)
		extra := 0
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			var blocks []rate.Block
			missing := 0
			for range rapid.IntRange(0, 60).Draw(t, "blocks") {
				b := rate.Block{Sent: time.Second, Copies: rapid.IntRange(1, 4).Draw(t, "copies")}
				if b.Flying = rapid.IntRange(0, b.Copies).Draw(t, "flying"); b.Flying == 0 {
					missing++
				}
				blocks = append(blocks, b)
			}
			room := rapid.IntRange(0, 80).Draw(t, "room")
			got := e.Next(time.Second, room, lossy(rapid.Float64Range(0, 0.5).Draw(t, "loss")), blocks)
			if len(got) > room {
				t.Fatalf("%d packets, room for %d", len(got), room)
			}
			needed := 0
			for _, i := range got {
				if blocks[i].Flying == 0 {
					needed++
				}
			}
			if needed != min(room, missing) {
				t.Fatalf("%d of %d lost blocks named, room for %d", needed, missing, room)
			}
			extra += len(got) - needed
		}
		if extra > max(16, packets/100) || extra != e.Spent() {
			t.Fatalf("%d copies for %d packets, %d accounted", extra, packets, e.Spent())
		}
	})
}
