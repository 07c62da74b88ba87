package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"isthmus/openapi"
)

type lsCommand struct {
	What  string `arg:"" optional:"" help:"library, media (in Kaltura) or uploads." enum:"library,media,uploads" default:"library"`
	Query string `help:"Only what these words are found in." short:"s" name:"search"`
	Limit int    `help:"At most so many." short:"n" default:"100"`
}

// row is a line of a list.
type row []string

// Run prints a list.
func (c *lsCommand) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	switch c.What {
	case "media":
		return list(a, c.Limit, row{"ENTRY", "TYPE", "STATE", "CREATED", "NAME"}, func(cursor *string, limit int) ([]openapi.Media, *string, error) {
			r, err := s.api.ListMediaWithResponse(ctx, s.hub, &openapi.ListMediaParams{Q: words(c.Query), Cursor: cursor, Limit: &limit})
			if err != nil {
				return nil, nil, unreachable(err)
			}
			p, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
			if err != nil {
				return nil, nil, err
			}
			if p.Stale {
				a.notice("Kaltura does not answer; this is from %s.", p.AsOf.Local().Format(time.DateTime))
			}
			return p.Items, p.Next, nil
		}, func(m openapi.Media) row {
			return row{m.ID, string(m.Type), string(m.Status), day(m.CreatedAt), m.Name}
		})
	case "uploads":
		return list(a, c.Limit, row{"UPLOAD", "STATE", "ARRIVED", "SIZE", "CREATED", "NAME"}, func(cursor *string, limit int) ([]openapi.Upload, *string, error) {
			r, err := s.api.ListUploadsWithResponse(ctx, s.hub, &openapi.ListUploadsParams{Cursor: cursor, Limit: &limit})
			if err != nil {
				return nil, nil, unreachable(err)
			}
			p, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
			if err != nil {
				return nil, nil, err
			}
			return p.Items, p.Next, nil
		}, func(u openapi.Upload) row {
			return row{u.ID, string(u.State), fmt.Sprintf("%d %%", u.Offset*100/max(u.Size, 1)), bytesText(u.Size), day(u.CreatedAt), u.Name}
		})
	}
	return list(a, c.Limit, row{"ITEM", "TYPE", "STATE", "ENTRY", "CREATED", "NAME"}, func(cursor *string, limit int) ([]openapi.LibraryItem, *string, error) {
		r, err := s.api.ListLibraryWithResponse(ctx, s.hub, &openapi.ListLibraryParams{Q: words(c.Query), Cursor: cursor, Limit: &limit})
		if err != nil {
			return nil, nil, unreachable(err)
		}
		p, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	}, func(i openapi.LibraryItem) row {
		return row{i.ID, string(i.Type), string(i.State), i.EntryID, day(i.CreatedAt), i.Name}
	})
}

func words(q string) *string {
	if q == "" {
		return nil
	}
	return &q
}

func day(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// listPage is how many rows one request asks for.
const listPage = 100

// list prints up to limit rows, page by page; with --json as the server gave them, one per line.
func list[T any](a *app, limit int, head row, page func(cursor *string, limit int) ([]T, *string, error), show func(T) row) error {
	out := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	if !a.JSON {
		fmt.Fprintln(out, strings.Join(head, "\t"))
	}
	var cursor *string
	for n := 0; n < limit; {
		items, next, err := page(cursor, min(listPage, limit-n))
		if err != nil {
			return err
		}
		for _, it := range items {
			if a.JSON {
				if err := a.printLine(it); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintln(out, strings.Join(clean(show(it)), "\t"))
		}
		if n += len(items); next == nil {
			break
		}
		if cursor = next; n >= limit {
			a.notice("There are more; -n shows as many as you like.")
		}
	}
	return out.Flush()
}

// clean tidies each text of a row.
func clean(r row) row {
	for i, text := range r {
		r[i] = tidy(text)
	}
	return r
}

// tidy takes out what would break a line, move a terminal's cursor or turn the order of letters around: names
// are other people's text.
func tidy(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return ' '
		}
		return c
	}, text)
}
