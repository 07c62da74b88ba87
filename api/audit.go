package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"isthmus/gateway"
	"isthmus/openapi"
)

func auditFilter(actor, action, subject *string, f gateway.AuditFilter) gateway.AuditFilter {
	f.Actor, f.Action, f.Subject = deref(actor), deref(action), deref(subject)
	return f
}

// ListAudit shows what was done in a hub.
func (s *Server) ListAudit(ctx context.Context, r ListAuditRequestObject) (ListAuditResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	a := actorOf(ctx)
	f := auditFilter(r.Params.Actor, r.Params.Action, r.Params.Subject, gateway.AuditFilter{From: deref(r.Params.From), To: deref(r.Params.To)})
	rows, err := s.audits.List(ctx, a, f, w)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(r gateway.AuditRecord) string { return strconv.FormatInt(r.Seq, 10) })
	names, err := s.audits.Names(ctx, a, rows)
	if err != nil {
		return nil, err
	}
	items := each(rows, func(r gateway.AuditRecord) openapi.AuditRecord {
		data := map[string]any{}
		d := json.NewDecoder(bytes.NewReader(r.Data))
		d.UseNumber()
		_ = d.Decode(&data) // whatever else it is, it is no object to show
		return openapi.AuditRecord{
			ID: r.ID, Seq: r.Seq, At: r.CreatedAt, Actor: actorInfo(r.Actor, names), ClientID: text(r.ClientID), Action: r.Action,
			Text: r.Text(), Subject: r.Subject, RequestID: text(r.RequestID), Data: data, Hash: r.Hash,
		}
	})
	return ListAudit200JSONResponse{
		Body:    openapi.AuditPage{Items: items, Next: next},
		Headers: ListAudit200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

var actorKinds = map[string]openapi.AuditActorInfoKind{
	"participant": openapi.AuditActorInfoKindPerson, "client": openapi.AuditActorInfoKindClient, "operator": openapi.AuditActorInfoKindOperator,
}

func actorInfo(actor string, names map[string]gateway.AuditName) openapi.AuditActorInfo {
	kind, id, _ := strings.Cut(actor, ":")
	out := openapi.AuditActorInfo{Kind: openapi.AuditActorInfoKindSystem}
	if k, known := actorKinds[kind]; known {
		n := names[actor]
		out.Kind, out.ID, out.Name, out.Email = k, text(id), text(n.Name), text(n.Email)
	}
	return out
}

// VerifyAudit checks that the log is as it was written.
func (s *Server) VerifyAudit(ctx context.Context, r VerifyAuditRequestObject) (VerifyAuditResponseObject, error) {
	var from *gateway.AuditMark
	if r.Params.Checkpoint != nil {
		m, err := gateway.ParseAuditMark(*r.Params.Checkpoint)
		if err != nil {
			return nil, err
		}
		from = &m
	}
	c, err := s.audits.Verify(ctx, actorOf(ctx), from)
	if err != nil {
		return nil, err
	}
	out := openapi.AuditCheck{
		At: c.At, Intact: c.Broken == nil, Complete: c.Complete, Records: c.Records, Checkpoint: c.To.String(),
		TrimmedTo: c.TrimmedTo, Sealed: c.Sealing == gateway.SealGood,
	}
	if b := c.Broken; b != nil {
		out.Broken = &openapi.AuditBreak{Kind: openapi.AuditBreakKind(b.Kind), Seq: b.Seq, ID: text(b.ID), Text: b.Text}
	}
	return VerifyAudit200JSONResponse(out), nil
}

// auditLine is a record as exports hold it: all that its hash is made of.
type auditLine struct {
	Hub       string `json:"hub"`
	Seq       int64  `json:"seq"`
	ID        string `json:"id"`
	At        string `json:"at"`
	Actor     string `json:"actor"`
	ClientID  string `json:"client_id"`
	Action    string `json:"action"`
	Subject   string `json:"subject"`
	RequestID string `json:"request_id"`
	Data      string `json:"data"` // as text, because its very bytes count
	Prev      string `json:"prev"`
	Hash      string `json:"hash"`
}

func lineOf(r gateway.AuditRecord) auditLine {
	return auditLine{
		r.HubID, r.Seq, r.ID, r.CreatedAt.UTC().Format(gateway.AuditTime), r.Actor, r.ClientID, r.Action, r.Subject, r.RequestID, string(r.Data), r.Prev, r.Hash,
	}
}

// ExportAudit streams the log.
func (s *Server) ExportAudit(ctx context.Context, r ExportAuditRequestObject) (ExportAuditResponseObject, error) {
	a, format := actorOf(ctx), "csv"
	if r.Params.Format != nil {
		format = string(*r.Params.Format)
	}
	f := auditFilter(r.Params.Actor, r.Params.Action, r.Params.Subject, gateway.AuditFilter{From: deref(r.Params.From), To: deref(r.Params.To)})
	records, err := s.audits.Export(ctx, a, f, format)
	if err != nil {
		return nil, err
	}
	if format == "jsonl" {
		return download{ctx: ctx, kind: "application/jsonl", name: "audit.jsonl", write: func(ctx context.Context, w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			end, err := records(ctx, func(r gateway.AuditRecord) error { return e.Encode(lineOf(r)) })
			if err != nil {
				return err
			}
			return e.Encode(map[string]string{"checkpoint": end.String()})
		}}, nil
	}
	return download{ctx: ctx, kind: "text/csv", name: "audit.csv", write: func(ctx context.Context, w io.Writer) error {
		c := csv.NewWriter(w)
		if err := c.Write([]string{"seq", "at", "actor", "name", "app", "action", "text", "subject", "request_id", "data", "hash"}); err != nil {
			return err
		}
		names := map[string]gateway.AuditName{}
		_, err := records(ctx, func(r gateway.AuditRecord) error {
			if _, known := names[r.Actor]; !known {
				found, err := s.audits.Names(ctx, a, []gateway.AuditRecord{r})
				if err != nil {
					return err
				}
				names[r.Actor] = found[r.Actor]
			}
			l := lineOf(r)
			return c.Write(cells(strconv.FormatInt(l.Seq, 10), l.At, l.Actor, names[r.Actor].Name, l.ClientID, l.Action, r.Text(), l.Subject, l.RequestID, l.Data, l.Hash))
		})
		c.Flush()
		if err == nil {
			err = c.Error()
		}
		return err
	}}, nil
}

// VisitExportAuditResponse implements ExportAuditResponseObject.
func (d download) VisitExportAuditResponse(w http.ResponseWriter) error { return d.send(w) }
