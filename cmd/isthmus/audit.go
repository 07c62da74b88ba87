package main

import (
	"context"
	"fmt"

	"isthmus/gateway"
	"isthmus/store"
)

// auditCommand is `isthmus audit`.
type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Check that the audit log is as it was written; the server may run."`
}

// auditVerifyCommand is `isthmus audit verify [HUB]`.
type auditVerifyCommand struct {
	dataFlags
	Hub        string `arg:"" optional:"" help:"Id of a hub. Default: all hubs and the log of the operators."`
	Checkpoint string `help:"A record that the hub's log must still hold, as an earlier verification printed it (number:hash)."`
}

// Run prints one line per chain and fails when one is broken.
func (c *auditVerifyCommand) Run(ctx context.Context) error {
	if c.Checkpoint != "" && c.Hub == "" {
		return gateway.E(gateway.Invalid, "no_hub", "A checkpoint belongs to one hub.").Next("Name the hub.")
	}
	db, err := openBeside(ctx, c.dataFlags)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	hubs := []string{c.Hub}
	if c.Hub == "" {
		if hubs, err = chains(ctx, db); err != nil {
			return err
		}
	}
	audits, broken := &gateway.Audits{Store: db, Clock: gateway.SystemClock}, 0
	for _, hub := range hubs {
		var from *gateway.AuditMark
		if c.Checkpoint != "" {
			m, err := gateway.ParseAuditMark(c.Checkpoint)
			if err != nil {
				return err
			}
			from = &m
		}
		bad, err := verifyChain(ctx, audits, hub, from)
		if err != nil {
			return err
		}
		if bad {
			broken++
		}
	}
	if broken > 0 {
		return gateway.E(gateway.Internal, "audit_broken", fmt.Sprintf("%d of %d audit logs are not as they were written.", broken, len(hubs))).
			Next("Keep the database as it is, compare it with a backup and with exports, and find out who had access.")
	}
	return nil
}

// chains gives the hubs that have an audit log or should have one.
func chains(ctx context.Context, db *store.DB) ([]string, error) {
	seen, out := map[string]bool{}, []string{}
	for after := ""; ; {
		heads, err := db.Audit().Heads(ctx, after, 500)
		if err != nil {
			return nil, err
		}
		for _, h := range heads {
			after = h.HubID
			seen[h.HubID], out = true, append(out, h.HubID)
		}
		if len(heads) < 500 {
			break
		}
	}
	for w := (gateway.Slice{Limit: 500}); ; {
		hubs, err := db.Hubs().List(ctx, "", w)
		if err != nil {
			return nil, err
		}
		for _, h := range hubs {
			w.After = h.ID
			if !seen[h.ID] {
				out = append(out, h.ID) // somebody deleted the head
			}
		}
		if len(hubs) < w.Limit {
			return out, nil
		}
	}
}

func verifyChain(ctx context.Context, audits *gateway.Audits, hub string, from *gateway.AuditMark) (broken bool, _ error) {
	name := hub
	if name == "" {
		name = "(operators)"
	}
	var records int64
	for {
		c, err := audits.VerifyHub(ctx, hub, from)
		if err != nil {
			return false, err
		}
		records += c.Records
		switch {
		case c.Broken != nil:
			fmt.Printf("%s  BROKEN  %s %s\n", name, c.Broken.Text, c.Broken.ID)
			return true, nil
		case c.Complete:
			trimmed := ""
			if c.TrimmedTo > 0 {
				trimmed = fmt.Sprintf(", begins after record %d (retention)", c.TrimmedTo)
			}
			fmt.Printf("%s  intact  %d records%s, checkpoint %s\n", name, records, trimmed, c.To)
			return false, nil
		}
		from = &c.To
	}
}
