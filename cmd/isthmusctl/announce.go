package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"isthmus/openapi"
	"isthmus/transfer/rate"
)

// What one transfer takes: the API's limits on files and on a request's body, with some room.
const (
	batchFiles = 10_000
	batchBytes = 7 << 20
)

// wish is how files are to be sent.
type wish struct {
	policy string // empty: the hub's default
	target rate.BitRate
	tags   []string
	noFast bool
	resume bool
	folder string // id of the drop folder that they are sent to, if any
}

// candidate is a file on its way to an upload.
type candidate struct {
	localFile
	mark   string          // fingerprint; empty: it has none
	resume *openapi.Upload // goes on with it
}

// batches prepares files for transfers: their fingerprints, the uploads that they go on with, and how many
// go together. What arrived before is not sent again with resume; it comes back in done.
func (s *session) batches(ctx context.Context, files []localFile, w wish) (all [][]candidate, done []openapi.Upload, out []left, _ error) {
	marked := make([]candidate, len(files))
	errs := make([]error, len(files))
	var g errgroup.Group
	g.SetLimit(4)
	for i, f := range files {
		marked[i].localFile = f
		if f.open != nil && !f.lasting { // a pipe is never the same twice
			continue
		}
		g.Go(func() error {
			if ctx.Err() == nil {
				marked[i].mark, errs[i] = f.fingerprint()
			}
			return nil
		})
	}
	_ = g.Wait() // kept per file
	if ctx.Err() != nil {
		return nil, nil, nil, ctx.Err()
	}
	var known knownUploads
	if w.resume {
		var err error
		if known, err = s.known(ctx); err != nil {
			return nil, nil, nil, err
		}
	}
	var batch []candidate
	size := 0
	for i, c := range marked {
		if errs[i] != nil {
			out = append(out, left{c.path, reason(errs[i]), true})
			continue
		}
		if w.resume {
			u, over := known.take(c.mark)
			if over {
				done = append(done, *u)
				continue
			}
			c.resume = u
		}
		b, err := json.Marshal(c.input(w))
		if err != nil {
			return nil, nil, nil, err
		}
		if len(batch) == batchFiles || size+len(b) > batchBytes {
			all, batch, size = append(all, batch), nil, 0
		}
		batch, size = append(batch, c), size+len(b)+1
	}
	if len(batch) > 0 {
		all = append(all, batch)
	}
	return all, done, out, nil
}

func (c candidate) input(w wish) openapi.UploadInput {
	in := openapi.UploadInput{Name: c.name, Size: c.size, Title: ptr(c.title())}
	if c.mark != "" {
		in.Fingerprint = &c.mark
	}
	if len(w.tags) > 0 {
		in.Tags = &w.tags
	}
	if w.folder != "" {
		in.DropFolderID = &w.folder
	}
	return in
}

// knownUploads are the caller's uploads that files may go on with.
type knownUploads struct {
	open map[string][]openapi.Upload // unfinished, by what their fingerprints say of the bytes
	over map[string]openapi.Upload   // by fingerprint
}

// resumeDays is how long unfinished uploads are kept by the server.
const resumeDays = 30

// known lists the caller's unfinished uploads and those that arrived lately.
func (s *session) known(ctx context.Context) (knownUploads, error) {
	known := knownUploads{open: map[string][]openapi.Upload{}, over: map[string]openapi.Upload{}}
	states := []openapi.UploadState{ // failed: it arrived whole and is of no use, which another sending does not change
		openapi.UploadStateReceiving, openapi.UploadStateHeld, openapi.UploadStateIngesting, openapi.UploadStateProcessing, openapi.UploadStateReady, openapi.UploadStateFailed,
	}
	p := openapi.ListUploadsParams{State: &states, Limit: ptr(openapi.PageLimit(100))}
	for {
		r, err := s.api.ListUploadsWithResponse(ctx, s.hub, &p)
		if err != nil {
			return known, unreachable(err)
		}
		page, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return known, err
		}
		for _, u := range page.Items {
			switch {
			case !u.Mine:
			case u.State == openapi.UploadStateReceiving:
				if bytes := bytesOf(deref(u.Fingerprint)); bytes != "" {
					known.open[bytes] = append(known.open[bytes], u)
				}
			case time.Since(u.CreatedAt) > resumeDays*24*time.Hour:
				return known, nil // newest first
			case u.Fingerprint != nil:
				known.over[*u.Fingerprint] = u
			}
		}
		if page.Next == nil {
			return known, nil
		}
		p.Cursor = page.Next
	}
}

// take gives the upload that a file goes on with, each once, or the one by which it was sent already: that
// must be of the same name and time, too.
func (k *knownUploads) take(mark string) (u *openapi.Upload, over bool) {
	bytes := bytesOf(mark)
	if same := k.open[bytes]; len(same) > 0 {
		best := max(0, slices.IndexFunc(same, func(u openapi.Upload) bool { return *u.Fingerprint == mark }))
		found := same[best]
		k.open[bytes] = slices.Delete(same, best, best+1)
		return &found, false
	}
	if found, ok := k.over[mark]; ok {
		return &found, true
	}
	return nil, false
}

// begin announces a batch as one transfer. Files that the server does not take are left out and told.
func (s *session) begin(ctx context.Context, batch []candidate, w wish) (*sending, []left, error) {
	var out []left
	for len(batch) > 0 {
		g, err := s.announce(ctx, batch, w)
		if err == nil {
			return g, out, nil
		}
		f, ok := err.(*refusal)
		if !ok {
			return nil, out, err
		}
		kinds := map[string]bool{}
		for i := range f.files {
			// Its kind is what is wrong: the rest of the kind fares alike.
			if f.slug == "type_not_accepted" {
				kinds[strings.ToLower(path.Ext(batch[i].name))] = true
			}
		}
		var rest []candidate
		for i, c := range batch {
			why, bad := f.files[i]
			if !bad && c.resume == nil && kinds[strings.ToLower(path.Ext(c.name))] {
				why, bad = f.text, true
			}
			if bad {
				out = append(out, left{c.path, why, true})
				continue
			}
			rest = append(rest, c)
		}
		batch = rest
	}
	return nil, out, nil
}

// refusal is a failure that some files of a batch caused.
type refusal struct {
	*failure
	files map[int]string // why, by place in the batch
}

func (s *session) announce(ctx context.Context, batch []candidate, w wish) (*sending, error) {
	policy := rate.Fair
	in := openapi.TransferInput{}
	if w.policy != "" {
		var err error
		if policy, err = rate.ParsePolicy(w.policy); err != nil {
			return nil, fail(exitUsage, err.Error()+".", "Use fixed, high, fair or low.")
		}
		in.Policy = ptr(openapi.TransferPolicy(w.policy))
	}
	if w.target > 0 {
		in.RateBps = ptr(int64(w.target))
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		in.Device = &host
	}
	var files []openapi.UploadInput
	var ids []string
	var order, resumed []candidate // as the answer has them: new ones, then those that go on
	var from []int                 // of order, in the batch
	for i, c := range batch {
		if c.resume != nil {
			ids, resumed = append(ids, c.resume.ID), append(resumed, c)
			continue
		}
		files, order, from = append(files, c.input(w)), append(order, c), append(from, i)
	}
	order = append(order, resumed...)
	if files != nil {
		in.Files = &files
	}
	if ids != nil {
		in.UploadIds = &ids
	}
	r, err := s.api.CreateTransferWithResponse(ctx, s.hub, nil, in)
	if err != nil {
		return nil, unreachable(err)
	}
	start, err := answer(r.JSON201, r.ApplicationProblemJSONDefault, r.HTTPResponse)
	if err != nil {
		return nil, blame(err, r.ApplicationProblemJSONDefault, from)
	}
	if len(start.Uploads) != len(order) {
		return nil, fail(exitFailed, fmt.Sprintf("The server made %d uploads of %d files.", len(start.Uploads), len(order)), "Update the server.")
	}
	t, err := ticketOf(start.Ticket)
	if err != nil && !w.noFast {
		return nil, err
	}
	var all []*outgoing
	for i, u := range start.Uploads {
		all = append(all, &outgoing{localFile: order[i].localFile, id: u.ID, tusURL: u.TusURL, done: u.Offset})
	}
	if p, perr := rate.ParsePolicy(string(start.Transfer.Policy)); perr == nil {
		policy = p
	}
	g := newSending(s, start.Transfer.ID, all, t, policy, rate.BitRate(deref(start.Transfer.RateBps)))
	g.noFast = w.noFast
	return g, nil
}

// blame finds the files that a problem is about, by its pointers: /files/N/…. What is wrong with who asks holds for all
// files, and is not told of one after the other.
func blame(err error, p *openapi.Problem, from []int) error {
	f, ok := err.(*failure)
	if !ok || p == nil || p.Errors == nil || p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden {
		return err
	}
	bad := map[int]string{}
	for _, e := range *p.Errors {
		rest, found := strings.CutPrefix(e.Pointer, "/files/")
		number, _, _ := strings.Cut(rest, "/")
		if n, aerr := strconv.Atoi(number); found && aerr == nil && n >= 0 && n < len(from) && bad[from[n]] == "" {
			bad[from[n]] = cmp.Or(e.Detail, f.text)
		}
	}
	if len(bad) == 0 {
		return err
	}
	return &refusal{f, bad}
}
