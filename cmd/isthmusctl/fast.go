package main

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"isthmus/openapi"
	"isthmus/transfer"
	"isthmus/transfer/rate"
)

// runFast keeps trying the fast path until all has ended.
func (g *sending) runFast(ctx context.Context) {
	log := slog.New(slog.DiscardHandler)
	for try, bare := 0, 0; ; try++ {
		for g.isHeld() && ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(lookEvery):
			}
		}
		history := g.session.paths.recall(g.session.server)
		g.mu.Lock()
		t := g.ticket
		cfg := transfer.SenderConfig{
			Ticket: t.at(try), Open: g.openUpload, Done: g.fastEnded, Tries: 2, Silence: g.session.patience.silence, Log: log,
			Renew: func(ctx context.Context) (transfer.Ticket, error) {
				if err := g.renew(ctx); err != nil {
					return transfer.Ticket{}, err
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				return g.ticket.at(try), nil
			},
			Rate: rate.Config{Policy: g.policy, Target: g.target, History: history},
		}
		g.sender = transfer.NewSender(cfg)
		if g.paused {
			g.sender.Pause()
		}
		sender := g.sender
		once, cut := context.WithCancel(ctx)
		g.cutFast = cut
		g.mu.Unlock()
		_, err := sender.Send(once)
		cut()
		p := sender.Progress()
		g.session.paths.remember(g.session.server, p.History)
		g.mu.Lock()
		g.sender, g.cutFast = nil, nil
		ours := time.Since(g.wrote) < 15*time.Second
		over := g.open == 0
		g.mu.Unlock()
		if ctx.Err() != nil || over {
			return
		}
		if g.isHeld() {
			continue
		}
		if bare++; p.Sent > 0 {
			bare = 0
		}
		code := transfer.CodeOf(err)
		switch {
		case err == nil: // what is left the server does not take this way
			g.because("the server takes the rest over HTTPS only")
		case code == transfer.CodeTakenOver && !ours:
			g.stop(errTakenOver())
			return
		case code == transfer.CodeTakenOver: // an own request was overtaken on the way
		case code == transfer.CodeRetry && p.Sent > 0:
			g.because("the connection over UDP broke")
		default:
			g.because(whyNotFast(err))
		}
		if err == nil || code == transfer.CodeTicket {
			err = g.renew(ctx)
		}
		if f, refused := errors.AsType[*failure](err); refused && f.slug == "transfer_ended" {
			g.settle(ctx)
		} else if refused && !lost(err) && ctx.Err() == nil {
			g.because(strings.TrimSuffix(f.text, "."))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(fastAgain(bare, g.session.patience.again)):
		}
	}
}

// fastAgain is how long to wait until the fast path is tried again, after so many tries that brought nothing.
func fastAgain(bare int, first time.Duration) time.Duration {
	if bare == 0 {
		return min(first, time.Second)
	}
	return min(first<<min(bare-1, 10), 5*time.Minute)
}

func errTakenOver() error {
	f := fail(exitRefused, "Another client is sending these files now, so this one stopped.", `"isthmusctl transfers" shows where.`)
	f.slug = takenOver
	return f
}

const takenOver = "taken_over"

func isTakenOver(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.slug == takenOver
}

// whyNotFast says in words why the fast path does not work.
func whyNotFast(err error) string {
	var te *transfer.Error
	switch transfer.CodeOf(err) {
	case transfer.CodeBlocked:
		return "this network or the server's does not let UDP through"
	case transfer.CodeBusy:
		return "the server's fast path is busy"
	case transfer.CodeSlow:
		return "UDP is too slow on this network"
	}
	if errors.As(err, &te) && te.Text != "" {
		return strings.TrimSuffix(te.Text, ".")
	}
	var f *failure
	if errors.As(err, &f) {
		return strings.TrimSuffix(f.text, ".")
	}
	return "the connection over UDP broke"
}

func (g *sending) because(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = why
}

func (g *sending) stop(err error) {
	g.change(func() {
		if g.fatal == nil {
			g.fatal = err
		}
	})
}

func (t ticket) at(try int) transfer.Ticket {
	out := transfer.Ticket{Token: t.token, KeyHash: t.key}
	if len(t.addresses) > 0 {
		out.Address = t.addresses[try%len(t.addresses)]
	}
	return out
}

func (g *sending) openUpload(u transfer.Upload) (transfer.File, error) {
	f := g.byID[u.ID]
	if f == nil {
		return nil, &transfer.Error{Code: transfer.CodeRefused, Text: "this file is not here"}
	}
	return f.reader()
}

// fastEnded takes the end of an upload by the fast path.
func (g *sending) fastEnded(r transfer.Result) {
	if r.Err == nil {
		g.onPath(true, false, false) // small files are through before Run looks
		g.end(r.ID, nil, hex.EncodeToString(r.SHA256))
		return
	}
	code := transfer.CodeOf(r.Err)
	var te *transfer.Error
	switch {
	case !errors.As(r.Err, &te): // our own file
		g.end(r.ID, fail(exitSome, "It cannot be read: "+reason(r.Err)+".", ""), "")
	case code == transfer.CodeTakenOver && g.wroteLately(), code.Again():
		// Goes on: over HTTPS, or with the next connection.
	case code == transfer.CodeTakenOver:
		g.end(r.ID, errTakenOver(), "")
	case code == transfer.CodeCancelled:
		g.end(r.ID, fail(exitSome, "It was cancelled elsewhere.", ""), "")
	case code == transfer.CodeChanged:
		g.spoilt(r.ID, te.Text)
	case code == transfer.CodeDigest:
		g.spoilt(r.ID, "what arrived is not what was sent")
	case g.refusedBefore(r.ID):
		g.end(r.ID, fail(exitSome, sentence(te.Text, "The server refused it"), ""), "")
	default:
		// It may have been meant for another session, whose uploads these were. The next one tells, or HTTPS.
	}
}

// refusedBefore notes that the fast path refused an upload and tells whether it did before.
func (g *sending) refusedBefore(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.byID[id]
	if f == nil {
		return true
	}
	before := f.refused
	f.refused = true
	return before
}

func (g *sending) wroteLately() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Since(g.wrote) < 15*time.Second
}

// ticketOf reads the API's form of a ticket.
func ticketOf(t openapi.TransferTicket) (ticket, error) {
	out := ticket{token: t.Token, addresses: t.Addresses}
	if len(t.Addresses) == 0 {
		return out, nil
	}
	b, err := hex.DecodeString(strings.TrimSpace(t.KeyHash))
	if err != nil || len(b) != len(out.key) {
		return out, fail(exitFailed, "The server's ticket has no key to check it by.", "Update the server, or send with --no-fast.")
	}
	copy(out.key[:], b)
	return out, nil
}

// renew gets another ticket for what is unfinished.
func (g *sending) renew(ctx context.Context) error {
	r, err := g.session.api.RenewTransferTicketWithResponse(ctx, g.session.hub, g.id, nil)
	if err != nil {
		return unreachable(err)
	}
	body, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
	if err != nil {
		return err
	}
	t, err := ticketOf(*body)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ticket = t
	return nil
}
