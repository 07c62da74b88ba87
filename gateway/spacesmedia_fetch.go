package gateway

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"
)

// Fetched is an answer of a Fetcher.
type Fetched struct {
	Body io.ReadCloser
	Size int64  // of the whole file, whatever part is read; -1 = unknown
	Mark string // what the bytes are known by; empty = they cannot be continued later
}

// sourcePatience is how long an address may not answer before its registration fails.
const sourcePatience = 24 * time.Hour

func errSourceTooLarge(most int64) error {
	return E(TooLarge, "source_too_large", "The file at the address is larger than is taken.").Next("Register a file of at most %d bytes.", most)
}

// acquire brings the bytes of a registered item in, resuming where an earlier run was.
func (s *Library) acquire(ctx context.Context, it LibraryItem, job Job, assetID string, total *sizeBox) error {
	if it.UploadID != "" {
		return s.acquireUpload(ctx, it, assetID)
	}
	secret, err := s.Sealer.Open(it.SourceURL, it.Place())
	if err != nil {
		return err
	}
	url := secret.Reveal()
	mark := it.SourceMark
	open := func(start int64) (io.ReadCloser, error) {
		if mark == "" && start > 0 { // nobody could tell whether it is still the same file
			return nil, s.beginAgain(ctx, job.ID, nil)
		}
		f, err := s.Fetcher.Fetch(ctx, url, start, mark)
		if IsReason(err, "source_changed") {
			mark = ""
			return nil, s.beginAgain(ctx, job.ID, err)
		}
		if err != nil {
			return nil, err
		}
		if s.MaxSize > 0 && f.Size > s.MaxSize {
			return nil, errors.Join(errSourceTooLarge(s.MaxSize), f.Body.Close())
		}
		if f.Mark != mark { // before the first byte is kept
			if err = s.Store.Spaces().SetMark(ctx, it.ID, f.Mark); err != nil {
				return nil, errors.Join(err, f.Body.Close())
			}
			mark = f.Mark
		}
		return &source{f, start, cmp.Or(s.MaxSize, 1<<62)}, nil
	}
	size, err := s.download(ctx, job.ID, open, total)
	if err != nil {
		if CodeOf(err) == Unavailable && ctx.Err() == nil && s.Clock().Sub(job.CreatedAt) > sourcePatience {
			return E(Invalid, "source_unreachable", "The address has not answered for a day.").Next("Register the media again when its server works.").Because(err)
		}
		return err
	}
	if want := readMarks(it.ContentKey).sum; want != "" {
		have, err := s.Assets.Staging.Sum(ctx, job.ID, size)
		if err != nil {
			return err
		}
		if have != want {
			return E(Invalid, "digest_mismatch", "The file at the address has another SHA-256 than was registered.").
				Next("Check the file and its digest, then register it again.")
		}
	}
	if _, err = s.Assets.Adopt(ctx, job.ID, assetID); err != nil {
		return err
	}
	return s.adopted(ctx, it, assetID, size, registered{Registration: Registration{URL: url}}.fileName())
}

// beginAgain drops what was fetched; the next try starts at the first byte.
func (s *Library) beginAgain(ctx context.Context, staged string, cause error) error {
	if err := s.Assets.Staging.Remove(ctx, staged); err != nil {
		return err
	}
	return E(Unavailable, "source_changed", "The file at the address changed, or cannot be continued.").Next("It is fetched anew by itself.").Because(cause)
}

// acquireUpload takes the bytes of a finished upload over.
func (s *Library) acquireUpload(ctx context.Context, it LibraryItem, assetID string) error {
	u, err := s.Store.Uploads().Get(ctx, Scope(it.HubID), it.UploadID)
	if err != nil {
		return err
	}
	if u.Replica != s.Uploads.Replica { // the bytes lie with another process, which will draw this task too
		return &Snooze{time.Second}
	}
	_, err = s.Assets.Adopt(ctx, u.ID, assetID)
	if CodeOf(err) == NotFound {
		return E(NotFound, "bytes_gone", "The bytes of the upload are no longer here.").Next("Upload the file again and register it.")
	}
	if err != nil {
		return err
	}
	return s.adopted(ctx, it, assetID, u.Size, u.Name)
}

// source is a fetched body that knows its size and ends when it grows too large.
type source struct {
	f    Fetched
	at   int64
	most int64
}

func (r *source) Size() int64  { return r.f.Size }
func (r *source) Close() error { return r.f.Body.Close() }

func (r *source) Read(p []byte) (int, error) {
	n, err := r.f.Body.Read(p)
	if r.at += int64(n); r.at > r.most {
		return n, errSourceTooLarge(r.most)
	}
	return n, err
}
