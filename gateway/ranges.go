package gateway

import "slices"

// Ranges is a set of bytes as sorted, disjoint, non-adjacent half-open ranges.
type Ranges []Range

// Add gives the set with [start, end) in it.
func (rs Ranges) Add(start, end int64) Ranges {
	if end <= start {
		return rs
	}
	out := make(Ranges, 0, len(rs)+1)
	for _, r := range rs {
		if r.End < start || r.Start > end {
			out = append(out, r)
			continue
		}
		start, end = min(start, r.Start), max(end, r.End)
	}
	out = append(out, Range{start, end})
	slices.SortFunc(out, func(a, b Range) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	return out
}

// Prefix is how many bytes from 0 on are there without a gap: the tus offset.
func (rs Ranges) Prefix() int64 {
	if len(rs) == 0 || rs[0].Start > 0 {
		return 0
	}
	return rs[0].End
}

// Total counts the bytes in the set.
func (rs Ranges) Total() int64 {
	var n int64
	for _, r := range rs {
		n += r.End - r.Start
	}
	return n
}

// Missing gives what of [0, size) is not in the set.
func (rs Ranges) Missing(size int64) Ranges {
	var out Ranges
	at := int64(0)
	for _, r := range rs {
		if r.Start > at {
			out = append(out, Range{at, min(r.Start, size)})
		}
		if at = max(at, r.End); at >= size {
			return out
		}
	}
	if at < size {
		out = append(out, Range{at, size})
	}
	return out
}

// Covers tells whether all of [start, end) is in the set.
func (rs Ranges) Covers(start, end int64) bool {
	for _, r := range rs {
		if r.Start <= start && end <= r.End {
			return true
		}
	}
	return start >= end
}
