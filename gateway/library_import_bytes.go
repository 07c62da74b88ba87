package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"
)

// goesOn is the next step of an import that was interrupted.
const goesOn = "Nothing is lost; the import goes on by itself."

// download stages a rendition, going on after the durable bytes of earlier attempts, and gives its size.
func (s *Library) download(ctx context.Context, staged string, open func(start int64) (io.ReadCloser, error), total *sizeBox) (int64, error) {
	const tries = 5 // without any new byte
	for failed := 0; ; {
		before, err := s.durable(ctx, staged)
		if err != nil {
			return 0, err
		}
		size, err := s.fetch(ctx, staged, before, open, total)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err == nil {
			return size, nil
		}
		if c := CodeOf(err); c != Unavailable && c != Internal {
			return 0, err
		}
		if after, derr := s.durable(ctx, staged); derr == nil && after > before {
			failed = 0
		} else if failed++; failed >= tries {
			return 0, err
		}
		slog.InfoContext(ctx, "import goes on after a break", "job", staged, "error", err)
		pause := 100 * time.Millisecond << failed
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return 0, ctx.Err()
		}
	}
}

// durable gives the staged prefix, 0 when nothing is staged.
func (s *Library) durable(ctx context.Context, staged string) (int64, error) {
	d, err := s.Assets.Staging.Durable(ctx, staged)
	if CodeOf(err) == NotFound {
		return 0, nil
	}
	return d.Prefix(), err
}

// fetch reads once from start to the end.
func (s *Library) fetch(ctx context.Context, staged string, start int64, open func(int64) (io.ReadCloser, error), total *sizeBox) (int64, error) {
	// From one byte earlier: an earlier run may have died with all bytes staged, and a range that
	// begins at the end of a file is refused.
	r, err := open(max(start-1, 0))
	if err != nil {
		return 0, err
	}
	defer r.Close()
	if start > 0 {
		if _, err := io.CopyN(io.Discard, r, 1); err != nil {
			return 0, E(Unavailable, "short_body", "The media platform broke off.").Next(goesOn).Because(err)
		}
	}
	size := int64(-1)
	if sized, ok := r.(Sized); ok {
		size = sized.Size()
	}
	if size == 0 {
		return 0, E(Invalid, "empty_file", "The rendition is empty.").Next("Choose another rendition.")
	}
	total.set(size)
	err = s.Assets.Staging.Create(ctx, staged, size)
	if err == nil {
		_, err = s.Assets.Staging.WriteAt(ctx, staged, start, &stoppable{ctx, r})
	}
	if IsReason(err, "source_too_large") {
		return 0, err
	}
	if CodeOf(err) == Conflict || CodeOf(err) == TooLarge {
		// It is not the file that an earlier attempt began with: what is staged is worthless.
		if err := s.Assets.Staging.Remove(ctx, staged); err != nil {
			return 0, err
		}
		return 0, E(Unavailable, "rendition_changed", "The rendition changed while it was copied.").Next("It is copied anew by itself.").Because(err)
	}
	if err != nil {
		return 0, err
	}
	have, err := s.durable(ctx, staged)
	if err != nil {
		return 0, err
	}
	if size > 0 && have != size {
		return 0, E(Unavailable, "short_body", fmt.Sprintf("The media platform sent %d of %d bytes.", have, size)).Next(goesOn)
	}
	if have == 0 {
		return 0, E(Invalid, "empty_file", "The rendition is empty.").Next("Choose another rendition.")
	}
	return have, nil
}

// digest reads a published file once; the bytes on disk are what counts.
func (s *Library) digest(ctx context.Context, key string) (string, error) {
	r, _, err := s.Assets.Blobs.Open(ctx, key, Range{0, -1})
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err = io.Copy(h, &stoppable{ctx, r}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
