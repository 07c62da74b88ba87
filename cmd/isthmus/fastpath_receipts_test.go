package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"testing"
	"time"

	"isthmus/transfer"
	"isthmus/transfer/rate"
)

// memoryFile is a file of a sender that lies in memory.
type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error                 { return nil }
func (m memoryFile) Stat() (fs.FileInfo, error) { return m, nil }
func (m memoryFile) Name() string               { return "" }
func (m memoryFile) Mode() fs.FileMode          { return 0 }
func (m memoryFile) ModTime() time.Time         { return time.Time{} }
func (m memoryFile) IsDir() bool                { return false }
func (m memoryFile) Sys() any                   { return nil }

// everyReceipt sends many small files and is killed in the middle, client and server: whoever goes on hears of each upload.
func everyReceipt(t *testing.T, s *process, c *caller, hub string) {
	t.Helper()
	const n, size = 300, 3000
	var all []any
	for i := range n {
		all = append(all, map[string]any{"name": fmt.Sprintf("%d.mp4", i), "size": size})
	}
	f := &fastClient{t: t, c: c, hub: hub}
	if status, body := c.call(http.MethodPost, hub+"/transfers", map[string]any{"files": all}, &f.start); status != http.StatusCreated {
		t.Fatalf("POST transfers answered %d: %s", status, body)
	}
	content := bytes.Repeat([]byte("0123456789"), size/10)
	sender := func(done func(transfer.Result)) *transfer.Sender {
		return transfer.NewSender(transfer.SenderConfig{
			Ticket: f.start.Ticket.ticket(t), Renew: f.renew, Done: done,
			Open: func(transfer.Upload) (transfer.File, error) { return memoryFile{bytes.NewReader(content)}, nil },
			Rate: rate.Config{Policy: rate.Fair},
		})
	}
	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	receipts := 0
	_, _ = sender(func(transfer.Result) {
		if receipts++; receipts == n/3 { // others are on their way, or being finished
			cut()
		}
	}).Send(ctx)
	s.kill()
	s.start()
	for range 2 { // also when nothing is left to send
		sums := map[string]string{}
		results, err := sender(nil).Send(t.Context())
		must(t, err)
		for _, r := range results {
			must(t, r.Err)
			sums[r.ID] = hex.EncodeToString(r.SHA256)
		}
		want := sha256.Sum256(content)
		for _, u := range f.start.Uploads {
			if sums[u.ID] != hex.EncodeToString(want[:]) {
				t.Fatalf("receipt %q for %s, one of %d", sums[u.ID], u.ID, len(results))
			}
		}
	}
}
