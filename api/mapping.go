package api

import (
	"context"
	"encoding/csv"
	"io"
	"net/http"
	"strings"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

func mappingOf(m gateway.Mapping) openapi.Mapping {
	return openapi.Mapping{
		ID: m.ID, Etag: etag(m.Version), ParticipantID: m.ParticipantID, PlatformUserID: m.PlatformUserID,
		How: openapi.MappingHow(m.How), State: openapi.MappingState(m.State), Candidates: list(m.Candidates),
		LinkedAt: m.LinkedAt, LastUsedAt: someTime(m.LastUsedAt), CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
}

func mappedOf(m gateway.MappedPerson) openapi.Mapping {
	out := mappingOf(m.Mapping)
	out.ParticipantName, out.ParticipantEmail = text(m.Person.Name), text(m.Person.Email)
	out.ParticipantSuspended = ptr(m.Person.SuspendedAt != nil)
	return out
}

func mappingAnswer(m gateway.Mapping) MappingJSONResponse {
	body := mappingOf(m)
	return MappingJSONResponse{Body: body, Headers: MappingResponseHeaders{ETag: &body.Etag}}
}

func platformUserOf(u gateway.PlatformUser) openapi.PlatformUser {
	return openapi.PlatformUser{ID: u.ID, Email: text(u.Email), Name: text(strings.TrimSpace(u.FirstName + " " + u.LastName)), Active: u.Active}
}

func mappingFilter(q *string, state *openapi.MappingState, how *openapi.MappingHow) gateway.MappingFilter {
	f := gateway.MappingFilter{Text: deref(q)}
	if state != nil {
		f.States = []gateway.MappingState{gateway.MappingState(*state)}
	}
	if how != nil {
		f.Hows = []gateway.MappingHow{gateway.MappingHow(*how)}
	}
	return f
}

// ListMappings shows who is who on Kaltura.
func (s *Server) ListMappings(ctx context.Context, r ListMappingsRequestObject) (ListMappingsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	rows, err := s.mappings.List(ctx, actorOf(ctx), mappingFilter(r.Params.Q, r.Params.State, r.Params.How), w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, gateway.MappedPerson.Cursor)
	return ListMappings200JSONResponse{
		Body:    openapi.MappingPage{Items: each(rows, mappedOf), Next: next},
		Headers: ListMappings200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// GetMapping shows one mapping with its candidates.
func (s *Server) GetMapping(ctx context.Context, r GetMappingRequestObject) (GetMappingResponseObject, error) {
	m, users, err := s.mappings.Get(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	body := openapi.MappingDetail{Mapping: mappedOf(m), CandidateUsers: each(users, platformUserOf)}
	return GetMapping200JSONResponse{Body: body, Headers: GetMapping200ResponseHeaders{ETag: &body.Mapping.Etag}}, nil
}

// LinkMapping sets a mapping by hand.
func (s *Server) LinkMapping(ctx context.Context, r LinkMappingRequestObject) (LinkMappingResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	m, err := s.mappings.Link(ctx, actorOf(ctx), r.ID, version, r.Body.PlatformUserID)
	if err != nil {
		return nil, stale(err)
	}
	return LinkMapping200JSONResponse{mappingAnswer(m)}, nil
}

// UnlinkMapping cuts a mapping.
func (s *Server) UnlinkMapping(ctx context.Context, r UnlinkMappingRequestObject) (UnlinkMappingResponseObject, error) {
	version, err := ifMatch(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	m, err := s.mappings.Unlink(ctx, actorOf(ctx), r.ID, version)
	if err != nil {
		return nil, stale(err)
	}
	return UnlinkMapping200JSONResponse{mappingAnswer(m)}, nil
}

// ExportMappings gives all mappings as CSV.
func (s *Server) ExportMappings(ctx context.Context, r ExportMappingsRequestObject) (ExportMappingsResponseObject, error) {
	rows, err := s.mappings.Export(ctx, actorOf(ctx), mappingFilter(r.Params.Q, r.Params.State, r.Params.How))
	if err != nil {
		return nil, err
	}
	return download{ctx: ctx, kind: "text/csv", name: "mappings.csv", write: func(ctx context.Context, w io.Writer) error {
		c := csv.NewWriter(w)
		if err := c.Write([]string{"name", "email", "suspended", "state", "how", "kaltura_user", "candidates", "linked_at", "last_used_at", "participant_id"}); err != nil {
			return err
		}
		err := rows(ctx, func(m gateway.MappedPerson) error {
			suspended := ""
			if m.Person.SuspendedAt != nil {
				suspended = "yes"
			}
			return c.Write(cells(m.Person.Name, m.Person.Email, suspended, string(m.State), string(m.How), m.PlatformUserID,
				strings.Join(m.Candidates, " "), csvTime(m.LinkedAt), csvTime(m.LastUsedAt), m.ParticipantID))
		})
		c.Flush()
		if err == nil {
			err = c.Error()
		}
		return err
	}}, nil
}

func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// cells makes texts harmless for spreadsheets: what begins like a formula gets an apostrophe before
// it, and so does what would after spaces are cut off.
func cells(texts ...string) []string {
	for i, t := range texts {
		if first := strings.TrimLeft(t, " \u00a0\u3000\ufeff"); first != "" && strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", []rune(first)[0]) {
			texts[i] = "'" + t
		}
	}
	return texts
}

// download streams a file whose length is not known. One that fails on the way ends with a broken
// connection, so that nobody takes the part for the whole.
type download struct {
	ctx        context.Context
	kind, name string
	write      func(context.Context, io.Writer) error
}

func (d download) send(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", d.kind)
	h.Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
	w.WriteHeader(http.StatusOK)
	if err := d.write(d.ctx, w); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// VisitExportMappingsResponse implements ExportMappingsResponseObject.
func (d download) VisitExportMappingsResponse(w http.ResponseWriter) error { return d.send(w) }
