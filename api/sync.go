package api

import (
	"cmp"
	"context"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

// ListLibraryChanges tells what changed since a cursor.
func (s *Server) ListLibraryChanges(ctx context.Context, r ListLibraryChangesRequestObject) (ListLibraryChangesResponseObject, error) {
	a, p := actorOf(ctx), r.Params
	page, err := s.library.Changes(ctx, a, deref(p.Cursor), deref(p.Limit), time.Duration(deref(p.Wait))*time.Second)
	if err != nil {
		return nil, err
	}
	out := openapi.LibraryChangePage{Changes: make([]openapi.LibraryChange, 0, len(page.Changes)), Cursor: page.Cursor, More: page.More}
	for _, ch := range page.Changes {
		c := openapi.LibraryChange{Op: openapi.LibraryChangeOpRemove, ID: ch.ItemID, ExternalID: text(ch.ExternalID), AcknowledgedAt: ch.Acked}
		if ch.Item != nil {
			item, err := s.itemOf(a, *ch.Item)
			if err != nil {
				return nil, err
			}
			c.Op, c.Item = openapi.LibraryChangeOpUpsert, &item
		}
		out.Changes = append(out.Changes, c)
	}
	return ListLibraryChanges200JSONResponse(out), nil
}

// PushLibraryChanges takes over what the spaces platform says about its media.
func (s *Server) PushLibraryChanges(ctx context.Context, r PushLibraryChangesRequestObject) (PushLibraryChangesResponseObject, error) {
	a := actorOf(ctx)
	pushes := make([]gateway.Push, len(r.Body.Changes))
	for i, c := range r.Body.Changes {
		p := gateway.Push{Remove: deref(c.Remove), Registration: gateway.Registration{ExternalID: c.ExternalID}}
		if c.Etag != nil {
			v, err := ifMatch(c.Etag)
			if err != nil {
				return nil, err
			}
			p.Version = v
		}
		if m := c.Media; m != nil {
			p.Name, p.URL, p.UploadID, p.SHA256 = m.Name, deref(m.URL), deref(m.UploadID), deref(m.Sha256)
			p.Tags, p.Is360, p.Shared = deref(m.Tags), deref(m.Is360), m.Shared
			if m.Owner != nil {
				p.Owner = &gateway.OwnerName{Issuer: m.Owner.Issuer, Subject: m.Owner.Subject}
			}
		}
		pushes[i] = p
	}
	done, err := s.library.Push(ctx, a, pushes)
	if err != nil {
		return nil, err
	}
	out := PushLibraryChanges200JSONResponse{Results: make([]openapi.LibraryPushed, len(done))}
	for i, d := range done {
		o := &out.Results[i]
		o.ExternalID, o.Result = pushes[i].ExternalID, openapi.LibraryPushedResult(d.Outcome)
		if d.Err != nil {
			e := gateway.AsError(d.Err)
			o.Error = itemError(cmp.Or(e.Reason, string(e.Code)), e.Message, e.NextStep)
		}
		if d.Item != nil {
			item, err := s.itemOf(a, *d.Item)
			if err != nil {
				return nil, err
			}
			o.Item = &item
		}
	}
	return out, nil
}
