package gateway

import (
	"testing"

	"pgregory.net/rapid"
)

// Whatever becomes durable in whatever order and whatever was sent before: the relay sends only
// durable bytes, never two overlapping blocks at once, sends the block that ends the file alone and
// last, and in the end everything.
func TestRelayPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 200).Draw(t, "size")
		chunk := rapid.Int64Range(1, 50).Draw(t, "chunk")
		parallel := rapid.IntRange(1, 4).Draw(t, "parallel")
		var durable, sent Ranges
		for _, cut := range rapid.SliceOfN(rapid.Int64Range(0, size), 0, 6).Draw(t, "sent before") {
			sent = sent.Add(cut, min(cut+chunk/2+1, size))
		}
		var busy []Range
		for steps := 0; !(sent.Covers(0, size) && len(busy) == 0); steps++ {
			if steps > 2000 {
				t.Fatalf("stuck: durable %v sent %v busy %v", durable, sent, busy)
			}
			whole := durable.Covers(0, size)
			if b, ok := nextBlock(size, chunk, durable, sent, busy, whole); ok && len(busy) < parallel {
				if !durable.Covers(b.Start, b.End) || b.End <= b.Start || b.End-b.Start > chunk {
					t.Fatalf("bad block %v of durable %v", b, durable)
				}
				if sent.Covers(b.Start, b.End) {
					t.Fatalf("%v was sent already: %v", b, sent)
				}
				for _, o := range busy {
					if b.overlaps(o) {
						t.Fatalf("%v overlaps %v under way", b, o)
					}
				}
				if b.End == size && (!whole || len(busy) > 0 || !sent.Covers(0, b.Start)) {
					t.Fatalf("last block %v too early: sent %v busy %v", b, sent, busy)
				}
				busy = append(busy, b)
				continue
			}
			if len(busy) > 0 && (whole || rapid.Bool().Draw(t, "done")) {
				b := busy[rapid.IntRange(0, len(busy)-1).Draw(t, "which")]
				busy = without(busy, b)
				if rapid.IntRange(0, 4).Draw(t, "fails") > 0 {
					sent = sent.Add(b.Start, b.End)
				}
				continue
			}
			if steps > 500 {
				durable = durable.Add(0, size)
				continue
			}
			at := rapid.Int64Range(0, size-1).Draw(t, "at")
			durable = durable.Add(at, min(size, at+rapid.Int64Range(1, 60).Draw(t, "len")))
		}
	})
}

func TestRangesAgainstASetOfBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 40
		var rs Ranges
		var set [size]bool
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			a, b := rapid.Int64Range(0, size).Draw(t, "a"), rapid.Int64Range(0, size).Draw(t, "b")
			rs = rs.Add(a, b)
			for i := a; i < b; i++ {
				set[i] = true
			}
		}
		var prefix, total int64
		for i, has := range set {
			if has {
				total++
			}
			if has && prefix == int64(i) {
				prefix++
			}
			if rs.Covers(int64(i), int64(i)+1) != has {
				t.Fatalf("byte %d: %v", i, rs)
			}
		}
		if rs.Prefix() != prefix || rs.Total() != total || rs.Missing(size).Total() != size-total {
			t.Fatalf("%v: prefix %d total %d missing %v", rs, rs.Prefix(), rs.Total(), rs.Missing(size))
		}
		for i := 1; i < len(rs); i++ {
			if rs[i].Start <= rs[i-1].End {
				t.Fatalf("not sorted, disjoint and apart: %v", rs)
			}
		}
	})
}
