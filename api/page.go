package api

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

// Listings of our own rows are windows after an id. The cursor is that id in a wrapping that keeps
// clients from making their own; what it can reach is decided by the query, not by the cursor.
const cursorMark = "a1:"

const defaultLimit, maxLimit = 100, 500

// window gives what to ask a service for, one row more than the page so that the last page is known.
func window(cursor *string, limit *int) (w gateway.Slice, size int, _ error) {
	size = defaultLimit
	if limit != nil {
		size = *limit
	}
	w.Limit = min(size+1, maxLimit)
	if cursor == nil || *cursor == "" {
		return w, size, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(*cursor)
	id, ok := strings.CutPrefix(string(raw), cursorMark)
	if err != nil || !ok || id == "" {
		return w, 0, gateway.E(gateway.Invalid, "bad_cursor", "The cursor is not one of ours.").At("cursor").
			Next("Use next of the page before, or begin without a cursor.")
	}
	w.After = id
	return w, size, nil
}

// cut splits a window's rows into the page and the cursor of the next one.
func cut[T any](rows []T, w gateway.Slice, size int, id func(T) string) ([]T, *string) {
	more := len(rows) > size || (w.Limit == size && len(rows) == size)
	if len(rows) > size {
		rows = rows[:size]
	}
	if !more || len(rows) == 0 {
		return rows, nil
	}
	next := base64.RawURLEncoding.EncodeToString([]byte(cursorMark + id(rows[len(rows)-1])))
	return rows, &next
}

// nextLink is the Link header of a page (RFC 8288).
func nextLink(ctx context.Context, next *string) *string {
	u := traceOf(ctx).url
	if next == nil || u == nil {
		return nil
	}
	q := u.Query()
	q.Set("cursor", *next)
	link := "<" + u.Path + "?" + q.Encode() + `>; rel="next"`
	return &link
}

// etag is the strong version of a row.
func etag(version int64) string { return `"v` + strconv.FormatInt(version, 10) + `"` }

// ifMatch reads the version that a change was made from. Absent, or "*", which names none: 428. Of several
// only the newest can still be the saved one. Weak tags never match (RFC 9110, 13.1.1).
func ifMatch(h *string) (int64, error) {
	field := strings.TrimSpace(deref(h))
	if field == "" || field == "*" {
		return 0, gateway.E(gateway.Precondition, reasonIfMatch, "This change must say which version it was made from.").
			Next("Read the resource and send its ETag as If-Match.")
	}
	newest := int64(0)
	for tag := range strings.SplitSeq(field, ",") {
		version, _, _ := strings.Cut(strings.Trim(strings.TrimSpace(tag), `"`), "-") // what follows is about the bytes that were read, see conditional
		if digits, ok := strings.CutPrefix(version, "v"); ok {
			v, err := strconv.ParseInt(digits, 10, 64)
			if err == nil {
				newest = max(newest, v)
			}
		}
	}
	if newest <= 0 {
		return 0, gateway.E(gateway.Precondition, reasonStale, "The version in If-Match is not the saved one.").
			Next("Read the resource again, look at what changed, and repeat with its ETag.")
	}
	return newest, nil
}

// stale makes one answer of what services and the store say when somebody else was first.
func stale(err error) error {
	if gateway.IsReason(err, "changed_meanwhile") || gateway.IsReason(err, reasonStale) {
		return gateway.E(gateway.Precondition, reasonStale, "It was changed since you read it.").
			Next("Read it again, look at what changed, and repeat with its ETag.").Because(err)
	}
	return err
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// some is nil for a zero value: absent fields are absent, not empty.
func some[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func ptr[T any](v T) *T { return &v }

func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}

// list turns nil into an empty list, so that clients always get an array.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

func each[A, B any](in []A, f func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = f(a)
	}
	return out
}

func strs[A ~string, B ~string](in *[]A) []B {
	if in == nil {
		return nil
	}
	return each(*in, func(a A) B { return B(a) })
}
