package main

import (
	"context"
	"encoding/hex"
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
	g := transfer.Grant{Expires: adm.Expires, Close: adm.Close}
	for _, u := range adm.Uploads {
		g.Uploads = append(g.Uploads, transfer.Upload{ID: u.ID, Name: u.Name, Size: u.Size})
	}
	g.Share = func() transfer.Share {
		rate, priority := adm.Share()
		return transfer.Share{Rate: rate, Priority: priority}
	}
	if len(adm.Uploads) == 0 {
		return g, nil
	}
	first := adm.Uploads[0]
	a := &admitted{Admission: adm, hub: first.HubID}
	g.Start = func(ctx context.Context) error {
		if err := adm.Start(ctx); err != nil {
			return asTransfer(err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		a.at = time.Now()
		f.admitted[first.ID] = a
		return nil
	}
	g.Close = func() {
		f.observe() // what came since the last time, or at all
		f.mu.Lock()
		if f.admitted[first.ID] == a {
			delete(f.admitted, first.ID)
		}
		f.mu.Unlock()
		adm.Close()
	}
	return g, nil
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
	return f.lost(id, f.uploads.FastWrite(ctx, id, p, offset))
}

// Sync implements transfer.Files.
func (f *fastPath) Sync(ctx context.Context, id string) error {
	return f.lost(id, f.uploads.FastSync(ctx, id))
}

// lost lets a session go on with its other uploads when one is cancelled or somebody else's.
func (f *fastPath) lost(id string, err error) error {
	switch gateway.CodeOf(err) {
	case "":
		return nil
	case gateway.Conflict, gateway.NotFound, gateway.Forbidden:
		f.refuse(id, err)
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
	if err := f.uploads.FastCancel(ctx, id); err != nil {
		return asTransfer(err)
	}
	return nil
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
