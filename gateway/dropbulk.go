package gateway

import "context"

const bulkFiles = 500 // of one call

// Bulk does one thing with many files, each by itself: up to 500 ids, or a part of what a filter gives.
func (s *DropFolders) Bulk(ctx context.Context, a Actor, b DropBulk) (DropBulkDone, error) {
	if err := dropWriter(a); err != nil {
		return DropBulkDone{}, err
	}
	switch {
	case (len(b.IDs) > 0) == (b.Filter != nil):
		return DropBulkDone{}, E(Invalid, "files_missing", "Either ids or a filter say which files are meant.").Next("Give one of them.").At("/ids")
	case len(b.IDs) > bulkFiles:
		return DropBulkDone{}, E(TooLarge, "too_many_files", "There are more than 500 ids.").Next("Send them in parts, or give a filter.").At("/ids")
	case b.Action == ActMatch && len(b.IDs) != 1:
		return DropBulkDone{}, E(Invalid, "match_one", "An entry has one content.").Next("Choose one file.").At("/ids")
	}
	if err := (DropFile{State: DropQuarantined}).may(b.Action); CodeOf(err) == Invalid {
		return DropBulkDone{}, err
	}
	var out DropBulkDone
	ids := b.IDs
	if b.Filter != nil {
		x := *b.Filter
		x.Order = DropNewest // stays what it is while files change
		p, err := s.Files(ctx, a, x, Slice{After: b.After, Limit: bulkFiles - 1})
		if err != nil {
			return out, err
		}
		for _, f := range p.Files {
			ids = append(ids, f.ID)
		}
		out.Next = p.Next
	}
	out.Results = make([]DropResult, 0, len(ids))
	for _, id := range ids {
		f, err := s.one(ctx, a, id, b)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		r := DropResult{FileID: id, File: f}
		if err != nil {
			r.Error = AsError(err)
		}
		out.Results = append(out.Results, r)
	}
	return out, nil
}

func (s *DropFolders) one(ctx context.Context, a Actor, id string, b DropBulk) (DropFile, error) {
	switch b.Action {
	case ActRetry:
		return s.Retry(ctx, a, id)
	case ActReprocess:
		return s.Reprocess(ctx, a, id, b.ProfileID)
	case ActMatch:
		return s.MatchTo(ctx, a, id, b.EntryID)
	case ActTake:
		return s.Take(ctx, a, id)
	case ActKeep:
		return s.Keep(ctx, a, id, b.Keep == nil || *b.Keep)
	case ActIgnore:
		return s.Ignore(ctx, a, id)
	case ActDelete:
		return s.DeleteFile(ctx, a, id, b.Entries)
	}
	return s.Undo(ctx, a, id)
}
