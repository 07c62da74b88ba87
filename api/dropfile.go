package api

import (
	"cmp"
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"strconv"
	"strings"

	"isthmus/gateway"
	"isthmus/openapi"
)

// dropFileOf shows a file; names are those of the folders by id, received the bytes that came by file id.
func dropFileOf(f gateway.DropFile, names map[string]string, received map[string]int64) openapi.DropFile {
	status, code := gateway.KalturaFile(f.State, f.Reason)
	out := openapi.DropFile{
		ID: f.ID, FolderID: f.FolderID, FolderName: names[f.FolderID], Name: f.Name, Size: f.Size, ModifiedAt: f.ModifiedAt,
		Type: openapi.DropFileTypeMedia, State: openapi.DropState(f.State), KalturaStatus: &status, KalturaCode: text(code),
		Superseded: f.Superseded, WholeAt: f.WholeAt, WaitingFor: list(f.WaitingFor), ManifestID: text(f.LeadID), ReferenceID: text(f.ReferenceID),
		Flavor: text(f.Flavor), UserID: text(f.UserID), ConversionProfileID: some(f.ProfileID), UploadID: text(f.UploadID), EntryID: text(f.EntryID),
		Sha256: text(f.SHA256), Reason: text(f.Reason), Text: text(f.Text), NextStep: text(f.NextStep), Kept: f.Kept, ReadyAt: f.ReadyAt,
		DeleteAt: f.DeleteAt, TryAt: f.TryAt, CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
		Actions: each(f.Actions(), func(a gateway.DropAction) openapi.DropFileAction { return openapi.DropFileAction(a) }),
	}
	if n, ok := received[f.ID]; ok {
		out.Received = &n
	}
	if f.State == gateway.DropDue && f.FormerState != "" { // by hand
		out.UndoUntil = f.DeleteAt
	}
	if f.Manifest {
		out.Type, out.Items = openapi.DropFileTypeManifest, &openapi.DropItemCounts{Total: f.Items, Done: f.ItemsDone, Failed: f.ItemsFailed}
	}
	return out
}

// dropFiles shows files with the names of their folders.
func (s *Server) dropFiles(ctx context.Context, files ...gateway.DropFile) ([]openapi.DropFile, error) {
	names, err := s.drops.FolderNames(ctx, actorOf(ctx), files)
	if err != nil {
		return nil, err
	}
	received, err := s.drops.Received(ctx, actorOf(ctx), files)
	if err != nil {
		return nil, err
	}
	return each(files, func(f gateway.DropFile) openapi.DropFile { return dropFileOf(f, names, received) }), nil
}

// dropFile is the answer of an action on one file.
func (s *Server) dropFile(ctx context.Context, f gateway.DropFile, err error) (out DropFileJSONResponse, _ error) {
	if err != nil {
		return out, err
	}
	shown, err := s.dropFiles(ctx, f)
	if err != nil {
		return out, err
	}
	return DropFileJSONResponse(shown[0]), nil
}

func dropFilterOf(p openapi.CountDropFilesParams) gateway.DropFileFilter {
	f := gateway.DropFileFilter{
		FolderID: deref(p.Folder), Text: deref(p.Q), States: strs[openapi.DropState, gateway.DropState](p.State), Reason: deref(p.Reason),
		Ending: strings.ToLower(strings.TrimPrefix(deref(p.Ending), ".")), LeadID: deref(p.Manifest), EntryID: deref(p.Entry),
		Superseded: deref(p.Superseded), From: deref(p.From), To: deref(p.To),
	}
	if p.Type != nil {
		f.Manifests = ptr(*p.Type == openapi.DropFileTypeManifest)
	}
	return f
}

func dropOrderOf(order string) gateway.DropOrder {
	if order == "newest" {
		return gateway.DropNewest
	}
	return gateway.DropOrder(order)
}

// dropNext is the cursor of a listing that has several orders: what the service gave, wrapped.
func dropNext(next string) *string {
	if next == "" {
		return nil
	}
	_, c := cut([]string{next, ""}, gateway.Slice{}, 1, func(s string) string { return s })
	return c
}

// ListDropFiles lists the files of drop folders.
func (s *Server) ListDropFiles(ctx context.Context, r ListDropFilesRequestObject) (ListDropFilesResponseObject, error) {
	p := r.Params
	w, size, err := window(p.Cursor, p.Limit)
	if err != nil {
		return nil, err
	}
	w.Limit = size
	f := dropFilterOf(openapi.CountDropFilesParams{
		Q: p.Q, State: p.State, Folder: p.Folder, Type: p.Type, Reason: p.Reason, Manifest: p.Manifest, From: p.From, To: p.To, Ending: p.Ending, Entry: p.Entry, Superseded: p.Superseded,
	})
	f.Order = dropOrderOf(string(deref(p.Order)))
	page, err := s.drops.Files(ctx, actorOf(ctx), f, w)
	if err != nil {
		return nil, err
	}
	items, err := s.dropFiles(ctx, page.Files...)
	if err != nil {
		return nil, err
	}
	next := dropNext(page.Next)
	return ListDropFiles200JSONResponse{
		Body: openapi.DropFilePage{Items: items, Next: next}, Headers: ListDropFiles200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// CountDropFiles counts the files of a listing.
func (s *Server) CountDropFiles(ctx context.Context, r CountDropFilesRequestObject) (CountDropFilesResponseObject, error) {
	f := dropFilterOf(r.Params)
	states, err := s.drops.Counts(ctx, actorOf(ctx), f)
	if err != nil {
		return nil, err
	}
	reasons, err := s.drops.Reasons(ctx, actorOf(ctx), f)
	if err != nil {
		return nil, err
	}
	if reasons == nil {
		reasons = map[string]int64{}
	}
	return CountDropFiles200JSONResponse{States: dropCountsOf(states), Reasons: reasons}, nil
}

// ExportDropFiles gives the files of a listing as CSV.
func (s *Server) ExportDropFiles(ctx context.Context, r ExportDropFilesRequestObject) (ExportDropFilesResponseObject, error) {
	p, a := r.Params, actorOf(ctx)
	filter := dropFilterOf(openapi.CountDropFilesParams{
		Q: p.Q, State: p.State, Folder: p.Folder, Type: p.Type, Reason: p.Reason, Manifest: p.Manifest, From: p.From, To: p.To, Ending: p.Ending, Entry: p.Entry, Superseded: p.Superseded,
	})
	filter.Order = dropOrderOf(string(deref(p.Order)))
	page, err := s.drops.Files(ctx, a, filter, gateway.Slice{Limit: maxLimit})
	if err != nil {
		return nil, err
	}
	return download{ctx: ctx, kind: "text/csv", name: "drop-files.csv", write: func(ctx context.Context, w io.Writer) error {
		c := csv.NewWriter(w)
		if err := c.Write([]string{"folder", "name", "type", "size", "state", "kaltura_status", "reason", "text", "next_step", "waiting_for", "reference_id", "entry_id", "first_seen_at", "ready_at", "delete_at", "sha256", "id"}); err != nil {
			return err
		}
		for {
			items, err := s.dropFiles(ctx, page.Files...)
			if err != nil {
				return err
			}
			for _, f := range items {
				if err := c.Write(cells(f.FolderName, f.Name, string(f.Type), strconv.FormatInt(f.Size, 10), string(f.State), strconv.FormatInt(deref(f.KalturaStatus), 10),
					deref(f.Reason), deref(f.Text), deref(f.NextStep), strings.Join(f.WaitingFor, " "), deref(f.ReferenceID), deref(f.EntryID),
					csvTime(f.CreatedAt), csvTime(deref(f.ReadyAt)), csvTime(deref(f.DeleteAt)), deref(f.Sha256), f.ID)); err != nil {
					return err
				}
			}
			if page.Next == "" {
				break
			}
			if page, err = s.drops.Files(ctx, a, filter, gateway.Slice{After: page.Next, Limit: maxLimit}); err != nil {
				return err
			}
		}
		c.Flush()
		return c.Error()
	}}, nil
}

// VisitExportDropFilesResponse implements ExportDropFilesResponseObject.
func (d download) VisitExportDropFilesResponse(w http.ResponseWriter) error { return d.send(w) }

// GetDropFile shows a file, when the caller prefers to wait only once nothing more happens to it.
func (s *Server) GetDropFile(ctx context.Context, r GetDropFileRequestObject) (GetDropFileResponseObject, error) {
	a := actorOf(ctx)
	var f gateway.DropFile
	err := s.await(ctx, a, prefers(r.Params.Prefer), func(ctx context.Context) (over bool, err error) {
		f, err = s.drops.File(ctx, a, r.ID)
		return f.State.Over(), err
	})
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return GetDropFile200JSONResponse{out}, nil
}

// ListDropChanges shows a file's timeline.
func (s *Server) ListDropChanges(ctx context.Context, r ListDropChangesRequestObject) (ListDropChangesResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.drops.Timeline(ctx, actorOf(ctx), r.ID, w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(c gateway.DropChange) string { return c.ID })
	who, err := s.drops.Who(ctx, actorOf(ctx), rows)
	if err != nil {
		return nil, err
	}
	items := each(rows, func(c gateway.DropChange) openapi.DropChange {
		return openapi.DropChange{ID: c.ID, State: openapi.DropState(c.State), Cause: c.Cause, Text: c.Text, By: text(c.By), ByName: text(who[c.By].Name), At: c.At}
	})
	return ListDropChanges200JSONResponse{
		Body: openapi.DropChangePage{Items: items, Next: next}, Headers: ListDropChanges200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// RetryDropFile tries a file again.
func (s *Server) RetryDropFile(ctx context.Context, r RetryDropFileRequestObject) (RetryDropFileResponseObject, error) {
	f, err := s.drops.Retry(ctx, actorOf(ctx), r.ID)
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return RetryDropFile200JSONResponse{out}, nil
}

// ReprocessDropFile imports a file once more.
func (s *Server) ReprocessDropFile(ctx context.Context, r ReprocessDropFileRequestObject) (ReprocessDropFileResponseObject, error) {
	f, err := s.drops.Reprocess(ctx, actorOf(ctx), r.ID, deref(r.Body.ConversionProfileID))
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return ReprocessDropFile200JSONResponse{out}, nil
}

// MatchDropFile gives a file to an entry.
func (s *Server) MatchDropFile(ctx context.Context, r MatchDropFileRequestObject) (MatchDropFileResponseObject, error) {
	f, err := s.drops.MatchTo(ctx, actorOf(ctx), r.ID, r.Body.EntryID)
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return MatchDropFile200JSONResponse{out}, nil
}

// TakeDropFile takes a file as whole.
func (s *Server) TakeDropFile(ctx context.Context, r TakeDropFileRequestObject) (TakeDropFileResponseObject, error) {
	f, err := s.drops.Take(ctx, actorOf(ctx), r.ID)
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return TakeDropFile200JSONResponse{out}, nil
}

// KeepDropFile keeps a file from being deleted.
func (s *Server) KeepDropFile(ctx context.Context, r KeepDropFileRequestObject) (KeepDropFileResponseObject, error) {
	f, err := s.drops.Keep(ctx, actorOf(ctx), r.ID, r.Body.Keep == nil || *r.Body.Keep)
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return KeepDropFile200JSONResponse{out}, nil
}

// IgnoreDropFile leaves a file alone.
func (s *Server) IgnoreDropFile(ctx context.Context, r IgnoreDropFileRequestObject) (IgnoreDropFileResponseObject, error) {
	f, err := s.drops.Ignore(ctx, actorOf(ctx), r.ID)
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return IgnoreDropFile200JSONResponse{out}, nil
}

// PreviewDropDeletion says what deleting a file would take with it.
func (s *Server) PreviewDropDeletion(ctx context.Context, r PreviewDropDeletionRequestObject) (PreviewDropDeletionResponseObject, error) {
	p, err := s.drops.DeletePlan(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	shown, err := s.dropFiles(ctx, p.File)
	if err != nil {
		return nil, err
	}
	out := PreviewDropDeletion200JSONResponse{
		File: shown[0], InSource: p.Source, EntryID: text(p.Entry), EntryName: text(p.EntryTitle), Others: p.Others, Items: p.Items, Copies: p.Copies, UndoUntil: someTime(p.Until),
	}
	if p.Blocked != nil {
		out.Blocked = itemError(p.Blocked.Code, p.Blocked.Message, p.Blocked.NextStep)
	}
	return out, nil
}

// DeleteDropFile deletes a file.
func (s *Server) DeleteDropFile(ctx context.Context, r DeleteDropFileRequestObject) (DeleteDropFileResponseObject, error) {
	f, err := s.drops.DeleteFile(ctx, actorOf(ctx), r.ID, deref(r.Body.Entry))
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return DeleteDropFile200JSONResponse{out}, nil
}

// UndoDropDeletion takes a deletion back.
func (s *Server) UndoDropDeletion(ctx context.Context, r UndoDropDeletionRequestObject) (UndoDropDeletionResponseObject, error) {
	f, err := s.drops.Undo(ctx, actorOf(ctx), r.ID)
	out, err := s.dropFile(ctx, f, err)
	if err != nil {
		return nil, err
	}
	return UndoDropDeletion200JSONResponse{out}, nil
}

// ChangeDropFiles does the same with many files.
func (s *Server) ChangeDropFiles(ctx context.Context, r ChangeDropFilesRequestObject) (ChangeDropFilesResponseObject, error) {
	b := r.Body
	bulk := gateway.DropBulk{Action: gateway.DropAction(b.Action), IDs: deref(b.Ids), ProfileID: deref(b.ConversionProfileID), Entries: deref(b.Entry)}
	if (b.Filter == nil) == (len(bulk.IDs) == 0) {
		return nil, gateway.E(gateway.Invalid, reasonBody, "It must say which files: by ids, or by a filter.").At("/ids").Next("Give one of both.")
	}
	if f := b.Filter; f != nil {
		bulk.Filter = ptr(dropFilterOf(openapi.CountDropFilesParams{
			Q: f.Q, State: f.States, Folder: f.FolderID, Type: f.Type, Reason: f.Reason, Manifest: f.ManifestID, Ending: f.Ending, From: f.From, To: f.To,
		}))
	}
	bulk.Keep, bulk.After = b.Keep, deref(b.After)
	done, err := s.drops.Bulk(ctx, actorOf(ctx), bulk)
	if err != nil {
		return nil, err
	}
	out := ChangeDropFiles200JSONResponse{Next: text(done.Next), Results: each(done.Results, func(one gateway.DropResult) openapi.DropBulkOne {
		if e := one.Error; e != nil {
			return openapi.DropBulkOne{ID: one.FileID, Error: itemError(cmp.Or(e.Reason, string(e.Code)), e.Message, cmp.Or(e.NextStep, nextSteps[e.Code]))}
		}
		return openapi.DropBulkOne{ID: one.FileID, State: ptr(openapi.DropState(one.File.State))}
	})}
	for _, one := range done.Results {
		if one.Error == nil {
			out.Done++
		}
	}
	out.Failed = int64(len(done.Results)) - out.Done
	return out, nil
}
