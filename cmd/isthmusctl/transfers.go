package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"isthmus/openapi"
)

type transfersCommand struct {
	List   transfersList   `cmd:"" default:"withargs" help:"List your transfers, newest first."`
	Watch  transfersWatch  `cmd:"" help:"Show what is being sent until Ctrl-C."`
	First  transfersFirst  `cmd:"" help:"Send a transfer before the others: before your own, or, as an admin, before the whole hub's."`
	Cancel transfersCancel `cmd:"" help:"Cancel a transfer's unfinished uploads and throw their bytes away."`
}

type transfersList struct {
	All   bool   `help:"Everybody's, for admins of the hub."`
	State string `help:"open, done or cancelled." enum:",open,done,cancelled" default:""`
	Limit int    `help:"At most so many." short:"n" default:"100"`
}

var transfersHead = row{"TRANSFER", "STATE", "FILES", "ARRIVED", "SIZE", "PATH", "RATE", "LIMIT", "FROM"}

func transferRow(t openapi.Transfer) row {
	from := deref(t.Device)
	if p := deref(t.Person); p != "" {
		from = strings.TrimSpace(p + " " + from)
	}
	path, rate, limit := "", "", ""
	switch {
	case t.State != openapi.TransferStateOpen:
	case t.Live.Paused:
		path = "paused"
	case t.Live.Path != openapi.TransferLivePathNone:
		path, rate, limit = string(t.Live.Path), rateText(t.Live.RateBps), string(deref(t.Live.LimitedBy))
	}
	id := t.ID
	if t.First {
		id += " (first)"
	}
	return row{
		id, string(t.State), fmt.Sprintf("%d/%d", t.FilesDone, t.Files), fmt.Sprintf("%d %%", t.Received*100/max(t.Size, 1)), bytesText(t.Size),
		path, rate, limit, from,
	}
}

func (c *transfersList) page(ctx context.Context, s *session) func(*string, int) ([]openapi.Transfer, *string, error) {
	return func(cursor *string, limit int) ([]openapi.Transfer, *string, error) {
		p := openapi.ListTransfersParams{Cursor: cursor, Limit: &limit}
		if c.All {
			p.All = &c.All
		}
		if c.State != "" {
			p.State = ptr(openapi.TransferState(c.State))
		}
		r, err := s.api.ListTransfersWithResponse(ctx, s.hub, &p)
		if err != nil {
			return nil, nil, unreachable(err)
		}
		page, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.Next, nil
	}
}

// Run prints the list.
func (c *transfersList) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	return list(a, c.Limit, transfersHead, c.page(ctx, s), transferRow)
}

type transfersWatch struct {
	All   bool          `help:"Everybody's, for admins of the hub."`
	Every time.Duration `help:"How often to look." default:"2s"`
}

// Run prints the list of open transfers again and again, each time one that says when it was.
func (c *transfersWatch) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	of := transfersList{All: c.All, State: string(openapi.TransferStateOpen), Limit: 1000}
	for {
		if !a.JSON {
			fmt.Fprintln(a.out, time.Now().Format(time.DateTime))
		}
		err := list(a, of.Limit, transfersHead, of.page(ctx, s), transferRow)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !lost(err) {
			return err
		}
		if err != nil {
			a.notice("%v", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(c.Every, time.Second)):
		}
	}
}

type oneTransfer struct {
	ID string `arg:"" help:"Id of the transfer, such as trf_…"`
}

func (o oneTransfer) told(a *app, t *openapi.Transfer, text string) error {
	if a.JSON {
		return a.printLine(t)
	}
	fmt.Fprintf(a.out, "%s %s\n", t.ID, text)
	return nil
}

type transfersFirst struct {
	oneTransfer
	Off bool `help:"Back into the row."`
}

// Run puts the transfer first.
func (c *transfersFirst) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	r, err := s.api.UpdateTransferWithApplicationMergePatchPlusJSONBodyWithResponse(ctx, s.hub, c.ID, openapi.TransferPatch{First: ptr(!c.Off)})
	if err != nil {
		return unreachable(err)
	}
	t, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
	if err != nil {
		return err
	}
	return c.told(a, t, map[bool]string{true: "is sent first.", false: "is sent like the others."}[t.First])
}

type transfersCancel struct{ oneTransfer }

// Run cancels the transfer.
func (c *transfersCancel) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	r, err := s.api.CancelTransferWithResponse(ctx, s.hub, c.ID)
	if err != nil {
		return unreachable(err)
	}
	t, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
	if err != nil {
		return err
	}
	return c.told(a, t, "is "+string(t.State)+".")
}
