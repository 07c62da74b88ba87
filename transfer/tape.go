package transfer

import (
	"sort"

	"isthmus/transfer/wire"
)

// tape lays uploads end to end. Positions on it are what packets carry.
type tape struct {
	starts []int64 // of each upload
	end    int64
}

// add appends an upload; false: the tape would be too long.
func (t *tape) add(size int64) bool {
	if size < 0 || size > wire.MaxPosition-t.end {
		return false
	}
	t.starts = append(t.starts, t.end)
	t.end += size
	return true
}

func (t *tape) bounds(upload int) Range {
	if upload+1 < len(t.starts) {
		return Range{Start: t.starts[upload], End: t.starts[upload+1]}
	}
	return Range{Start: t.starts[upload], End: t.end}
}

// upload is the one that holds a position.
func (t *tape) upload(position int64) int {
	// Uploads of size 0 share their start with the next one, which holds the position.
	return sort.Search(len(t.starts), func(i int) bool { return t.starts[i] > position }) - 1
}

// split cuts [start, end) at the borders of uploads; offsets are within the upload. It stops at an error.
func (t *tape) split(start, end int64, f func(upload int, offset int64, n int) error) error {
	for start < end {
		u := t.upload(start)
		b := t.bounds(u)
		stop := min(end, b.End)
		if err := f(u, start-b.Start, int(stop-start)); err != nil {
			return err
		}
		start = stop
	}
	return nil
}
