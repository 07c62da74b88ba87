package gateway

import "context"

// The fast path's side of Uploads: bytes come in any order, from one session for many uploads.

// Receive makes the caller the writer of these uploads until release: a tus write under way ends with
// "upload_taken_over". A later tus write or another Receive takes an upload over in turn; Interrupt is told.
func (s *Uploads) Receive(ctx context.Context, ids []string) (release func(), err error) {
	return nil, errNoFastPath()
}

// FastDurable gives what an upload need not be sent again: all of it once it is finished.
func (s *Uploads) FastDurable(ctx context.Context, id string) (Ranges, error) {
	return nil, errNoFastPath()
}

// FastWrite takes bytes of an upload that was received; they are durable after FastSync.
func (s *Uploads) FastWrite(ctx context.Context, id string, p []byte, offset int64) error {
	return errNoFastPath()
}

// FastSync makes durable what FastWrite took before the call.
func (s *Uploads) FastSync(ctx context.Context, id string) error { return errNoFastPath() }

// FastFinish is Finish for the session that receives the upload.
func (s *Uploads) FastFinish(ctx context.Context, id string, size int64, sha256 string) (Upload, error) {
	return Upload{}, errNoFastPath()
}

// FastCancel is Cancel for the session that receives the upload.
func (s *Uploads) FastCancel(ctx context.Context, id string) error { return errNoFastPath() }

func errNoFastPath() *Error {
	return E(Unavailable, "no_fast_path", "This server has no fast path yet.").Next("Upload over HTTPS.")
}
