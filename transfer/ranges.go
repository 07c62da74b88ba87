package transfer

import (
	"slices"
	"sort"
)

// ranges is a set of positions: sorted, disjoint, not touching.
type ranges []Range

// at is the index of the first range that ends at or after p.
func (rs ranges) at(p int64) int {
	if n := len(rs); n > 0 && rs[n-1].End < p { // the usual case: past everything
		return n
	}
	return sort.Search(len(rs), func(i int) bool { return rs[i].End >= p })
}

func (rs *ranges) add(start, end int64) {
	if start >= end {
		return
	}
	s := *rs
	i := s.at(start)
	j := i
	for ; j < len(s) && s[j].Start <= end; j++ {
		start, end = min(start, s[j].Start), max(end, s[j].End)
	}
	if j == i+1 { // the usual case: one range grows
		s[i] = Range{Start: start, End: end}
		return
	}
	*rs = slices.Replace(s, i, j, Range{Start: start, End: end})
}

// missing calls f with each part of [start, end) that is not in the set, in order.
func (rs ranges) missing(start, end int64, f func(Range)) {
	for i := rs.at(start); start < end; i++ {
		if i == len(rs) || rs[i].Start >= end {
			f(Range{Start: start, End: end})
			return
		}
		if rs[i].Start > start {
			f(Range{Start: start, End: rs[i].Start})
		}
		start = max(start, rs[i].End)
	}
}

// grows tells whether add would make one range more.
func (rs ranges) grows(start, end int64) bool {
	i := rs.at(start)
	return start < end && (i == len(rs) || rs[i].Start > end)
}

func (rs ranges) total() int64 {
	var n int64
	for _, r := range rs {
		n += r.End - r.Start
	}
	return n
}
