package gateway

import "slices"

// nextBlock chooses the first block of the file that is wholly durable here, not wholly sent and not
// under way. Blocks begin at multiples of chunk, so that one sent twice covers the same bytes. The
// block that ends the file goes alone and only when all others are sent and all is set.
func nextBlock(size, chunk int64, durable, sent Ranges, busy []Range, all bool) (Range, bool) {
	taken := sent
	for _, b := range busy {
		taken = taken.Add(b.Start, b.End)
	}
	for _, m := range taken.Missing(size) {
		for start := m.Start / chunk * chunk; start < m.End; start += chunk {
			b := Range{start, min(start+chunk, size)}
			if b.End == size && (!all || len(busy) > 0 || !sent.Covers(0, b.Start)) {
				return Range{}, false
			}
			if durable.Covers(b.Start, b.End) && !slices.ContainsFunc(busy, b.overlaps) {
				return b, true
			}
		}
	}
	return Range{}, false
}

func (r Range) overlaps(o Range) bool { return r.Start < o.End && o.Start < r.End }

func without(rs []Range, r Range) []Range {
	return slices.DeleteFunc(slices.Clone(rs), func(o Range) bool { return o == r })
}
