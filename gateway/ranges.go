package gateway

import (
	"slices"
	"sort"
)

// Ranges is a set of bytes as sorted, disjoint, non-adjacent half-open ranges.
type Ranges []Range

// Add gives the set with [start, end) in it.
func (rs Ranges) Add(start, end int64) Ranges {
	out := make(Ranges, len(rs), len(rs)+1)
	copy(out, rs)
	out.Insert(start, end)
	return out
}

// Insert puts [start, end) into the set, in place.
func (rs *Ranges) Insert(start, end int64) {
	if end <= start {
		return
	}
	s := *rs
	i := len(s)
	if i == 0 || s[i-1].End >= start { // else the usual case: past everything
		i = sort.Search(len(s), func(i int) bool { return s[i].End >= start })
	}
	j := i
	for ; j < len(s) && s[j].Start <= end; j++ {
		start, end = min(start, s[j].Start), max(end, s[j].End)
	}
	*rs = slices.Replace(s, i, j, Range{start, end})
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
