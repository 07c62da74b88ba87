package main

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"isthmus/gateway"
	"isthmus/transfer"
)

var (
	_ transfer.Tickets = (*fastPath)(nil)
	_ transfer.Files   = (*fastPath)(nil)
)

// Open implements transfer.Tickets.
func (f *fastPath) Open(ctx context.Context, token string) (transfer.Grant, error) {
	adm, err := f.transfers.Open(ctx, token)
	if err != nil {
		return transfer.Grant{}, asTransfer(err)
	}
	g := transfer.Grant{Expires: adm.Expires, Ended: map[string]transfer.End{}}
	for _, u := range adm.Ended {
		if g.Ended[u.ID], err = endOf(u); err != nil {
			adm.Close()
			return transfer.Grant{}, asTransfer(err)
		}
	}
	for _, u := range slices.Concat(adm.Ended, adm.Uploads) {
		g.Uploads = append(g.Uploads, transfer.Upload{ID: u.ID, Name: u.Name, Size: u.Size})
	}
	g.Share = func() transfer.Share {
		rate, priority := adm.Share()
		return transfer.Share{Rate: rate, Priority: priority}
	}
	a := &admitted{Admission: adm, hub: adm.HubID}
	g.Start = func(ctx context.Context, s *transfer.Session) error {
		a.session, a.at = s, time.Now()
		if err := adm.Start(ctx, a.refuse); err != nil {
			return asTransfer(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.admitted[a] = true
		return nil
	}
	g.Close = func() {
		f.leave(a)
		adm.Close()
	}
	return g, nil
}

// leave takes a session out of those that are looked at, with what came since the last time, or at all.
func (f *fastPath) leave(a *admitted) {
	f.looking.Lock()
	defer f.looking.Unlock()
	f.mu.Lock()
	known := f.admitted[a]
	delete(f.admitted, a)
	f.mu.Unlock()
	if known {
		f.look(a, time.Now())
	}
}

// endOf tells how an upload has ended.
func endOf(u gateway.Upload) (e transfer.End, err error) {
	if end := u.Ended(); end != nil {
		e.Err = asTransfer(end)
		return e, nil
	}
	e.SHA256, err = hex.DecodeString(u.SHA256)
	return e, err
}

// Durable implements transfer.Files.
func (f *fastPath) Durable(ctx context.Context, id string) ([]transfer.Range, error) {
	d, err := f.uploads.FastDurable(ctx, id)
	if err != nil {
		return nil, asTransfer(err)
	}
	out := make([]transfer.Range, len(d))
	for i, r := range d {
		out[i] = transfer.Range{Start: r.Start, End: r.End}
	}
	return out, nil
}

// WriteAt implements transfer.Files.
func (f *fastPath) WriteAt(ctx context.Context, id string, p []byte, offset int64) error {
	return failed(f.uploads.FastWrite(ctx, id, p, offset))
}

// Sync implements transfer.Files.
func (f *fastPath) Sync(ctx context.Context, id string) error {
	return failed(f.uploads.FastSync(ctx, id))
}

// failed is what a session learns of a write or sync: with its codes it goes on with its other uploads when one is
// cancelled or somebody else's.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return asTransfer(err)
}

// Finish implements transfer.Files.
func (f *fastPath) Finish(ctx context.Context, id string, size int64, sha256 []byte) ([]byte, error) {
	u, err := f.uploads.FastFinish(ctx, id, size, hex.EncodeToString(sha256))
	if err != nil {
		return nil, asTransfer(err)
	}
	return hex.DecodeString(u.SHA256)
}

// Cancel implements transfer.Files.
func (f *fastPath) Cancel(ctx context.Context, id string) error {
	return failed(f.uploads.FastCancel(ctx, id))
}

// transferCodes says in the fast path's words what reasons mean; where none is given, the kind of error does.
var transferCodes = map[string]transfer.Code{
	"upload_taken_over": transfer.CodeTakenOver,
	"upload_cancelled":  transfer.CodeCancelled,
	"upload_expired":    transfer.CodeCancelled,
	"digest_mismatch":   transfer.CodeDigest,
	"already_finished":  transfer.CodeDigest,
	"size_mismatch":     transfer.CodeChanged,
	"incomplete":        transfer.CodeStorage,
}

// asTransfer is what the other side learns of an error: never its cause.
func asTransfer(err error) *transfer.Error {
	e := gateway.AsError(err)
	code, known := transferCodes[e.Reason]
	if !known {
		switch e.Code {
		case gateway.Unauthenticated:
			code = transfer.CodeTicket
		case gateway.TooLarge:
			code = transfer.CodeTooLarge
		case gateway.RateLimited:
			code = transfer.CodeBusy
		case gateway.Unavailable:
			code = transfer.CodeStorage
		case gateway.Internal:
			code = transfer.CodeInternal
		default:
			code = transfer.CodeRefused
		}
	}
	text := e.Message
	if e.NextStep != "" {
		text += " " + e.NextStep
	}
	return &transfer.Error{Code: code, Text: text, Err: err}
}
