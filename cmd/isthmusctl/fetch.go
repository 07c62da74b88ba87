package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"isthmus/openapi"
)

type fetchCommand struct {
	Item   string `arg:"" help:"Id of a library item (lib_…) or of an entry that the library has, the item's page, or a download address."`
	Output string `help:"Where to: a file, a folder, or - for standard output. Default: the item's name, here." short:"o" type:"path" placeholder:"FILE"`
	Force  bool   `help:"Replace a file that is there." short:"f"`
}

// Run fetches an original over HTTPS; one that broke off goes on where it was, also in a later run.
func (c *fetchCommand) Run(ctx context.Context, a *app) error {
	d := &download{app: a, force: c.Force}
	item := c.Item
	if u, err := url.Parse(item); err == nil && u.Host != "" {
		if strings.HasPrefix(u.Path, "/download/") {
			d.address = func(context.Context) (string, error) { return item, nil }
			return d.run(ctx, c.Output)
		}
		item = u.Path[strings.LastIndexByte(u.Path, '/')+1:]
	}
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(item, "lib_") {
		if item, err = s.itemOf(ctx, item); err != nil {
			return err
		}
	}
	d.address = func(ctx context.Context) (string, error) {
		r, err := s.api.GetLibraryAddressWithResponse(ctx, s.hub, item)
		if err != nil {
			return "", unreachable(err)
		}
		at, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return "", err
		}
		return at.URL, nil
	}
	return d.run(ctx, c.Output)
}

// itemOf finds the library item of an entry.
func (s *session) itemOf(ctx context.Context, entry string) (string, error) {
	p := openapi.ListLibraryParams{Limit: ptr(openapi.PageLimit(100))}
	for {
		r, err := s.api.ListLibraryWithResponse(ctx, s.hub, &p)
		if err != nil {
			return "", unreachable(err)
		}
		page, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return "", err
		}
		for _, it := range page.Items {
			if it.EntryID == entry && it.State == openapi.ItemStateReady {
				return it.ID, nil
			}
		}
		if page.Next == nil {
			return "", fail(exitRefused, "The library has no item "+entry+".", "Import the entry on the library page first; only what is in the library can be fetched.")
		}
		p.Cursor = page.Next
	}
}

// download is one file on its way here.
type download struct {
	*app
	address func(ctx context.Context) (string, error)
	force   bool

	name string // from the server
	etag string
	size int64 // -1: unknown
	want []byte
	sum  hash.Hash
	at   int64
}

const fetchTries = 8 // in a row that bring nothing

func (d *download) run(ctx context.Context, output string) error {
	d.sum = sha256.New()
	if output == "-" {
		to, own := d.out, *d.app
		own.out = d.err // the bytes have standard output for themselves, also with --json
		d.app = &own
		if err := d.all(ctx, to); err != nil {
			return d.stopped(ctx, err, "")
		}
		return d.told(output)
	}
	if err := d.begin(ctx); err != nil {
		return d.stopped(ctx, err, "")
	}
	target := output
	if st, err := os.Stat(output); output == "" || err == nil && st.IsDir() {
		target = filepath.Join(output, safeName(d.name))
	}
	if _, err := os.Lstat(target); err == nil && !d.force {
		return fail(exitUsage, target+" is there already.", "Choose another name with -o, or replace it with --force.")
	}
	return d.file(ctx, target)
}

// file fetches into a file, by way of one beside it.
func (d *download) file(ctx context.Context, target string) error {
	part := target + ".part"
	lock := flock.New(part + ".lock")
	if free, err := lock.TryLock(); err != nil {
		return fail(exitUsage, "The file cannot be written: "+err.Error()+".", "Choose another place with -o.")
	} else if !free {
		return fail(exitFailed, target+" is being fetched already, by another program.", "Wait until it is done.")
	}
	defer func() { _ = errors.Join(lock.Close(), os.Remove(lock.Path())) }() // empty
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return fail(exitUsage, "The file cannot be written: "+err.Error()+".", "Choose another place with -o.")
	}
	defer func() { _ = f.Close() }() // closed below when all went well
	if err := d.goOn(f, part); err != nil {
		return err
	}
	err = d.all(ctx, f)
	if errors.Is(err, errSpoilt) { // it would be as wrong the next time
		_ = errors.Join(f.Close(), os.Remove(part), os.Remove(part+".etag"))
		return err
	}
	if err != nil {
		return d.stopped(ctx, err, part)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fail(exitFailed, "The file cannot be written: "+err.Error()+".", "Free some room; the same command goes on.").because(err)
	}
	_ = os.Remove(part + ".etag")
	if err := os.Rename(part, target); err != nil {
		return fail(exitFailed, "The file cannot be put in place: "+err.Error()+".", "It is whole, in "+part+".").because(err)
	}
	return d.told(target)
}

// stopped explains an end before the end; part: what is kept.
func (d *download) stopped(ctx context.Context, err error, part string) error {
	switch {
	case ctx.Err() == nil:
		return err
	case part == "":
		return fail(exitPaused, "Stopped.", "Nothing was kept.")
	}
	return fail(exitPaused, "Stopped; "+bytesText(d.at)+" are kept in "+part+".", "The same command goes on.")
}

func (d *download) told(target string) error {
	sum := d.sum.Sum(nil)
	checked := map[bool]string{true: ", as the server says", false: ""}[d.want != nil]
	switch {
	case d.JSON:
		d.emit(event{Event: "fetched", File: target, Size: d.at, SHA256: fmt.Sprintf("%x", sum)})
	case target != "-":
		fmt.Fprintf(d.out, "Fetched %s, %s, SHA-256 %x%s\n", tidy(target), bytesText(d.at), sum, checked)
	}
	return nil
}

// begin asks what there is.
func (d *download) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.patience.stall)
	defer cancel()
	r, err := d.ask(ctx, http.MethodHead, 0)
	if err != nil {
		return err
	}
	return r.Body.Close()
}

// goOn takes up what an earlier run left, if it is of the same file: its mark lies beside it.
func (d *download) goOn(f *os.File, part string) error {
	mark, err := os.ReadFile(part + ".etag")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if d.etag == "" || string(mark) != d.etag {
		if err := f.Truncate(0); err != nil {
			return err
		}
		if d.etag == "" {
			return nil
		}
		return os.WriteFile(part+".etag", []byte(d.etag), 0o600)
	}
	d.at, err = io.Copy(d.sum, f)
	if err == nil && d.size >= 0 && d.at > d.size { // not what we left there
		d.at = 0
		d.sum.Reset()
		_, err = f.Seek(0, io.SeekStart)
		return errors.Join(err, f.Truncate(0))
	}
	if err == nil && d.at > 0 {
		d.notice("Going on after %s.", bytesText(d.at))
	}
	return err
}

// all reads to the end, over as many requests as it takes, and compares the digest.
func (d *download) all(ctx context.Context, to io.Writer) error {
	show := d.display(1)
	defer show.close()
	var m meter
	for tries := 0; ; {
		before := d.at
		err := d.part(ctx, to, func() {
			s := snapshot{Path: pathHTTPS, Files: 1, Done: d.at, Total: max(d.size, d.at), Rate: m.at(time.Now(), d.at)}
			if s.Rate > 0 && d.size > 0 {
				s.Left = ptr(float64(d.size-d.at) * 8 / float64(s.Rate))
			}
			show.update(s)
		})
		if d.at > before {
			tries = 0
		}
		switch {
		case err == nil:
			return d.check()
		case ctx.Err() != nil:
			return ctx.Err()
		case !lost(err) || tries >= fetchTries:
			return err
		}
		tries++
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(tries) * time.Second):
		}
	}
}

// part makes one request and reads what comes.
func (d *download) part(ctx context.Context, to io.Writer, tell func()) error {
	if d.size >= 0 && d.at == d.size && d.at > 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stall := time.AfterFunc(d.patience.stall, cancel)
	defer stall.Stop()
	r, err := d.ask(ctx, http.MethodGet, d.at)
	if err != nil {
		return d.broke(err)
	}
	defer func() { _ = r.Body.Close() }() // only read
	buf := make([]byte, 256<<10)
	last := time.Time{}
	for {
		stall.Reset(d.patience.stall)
		n, err := r.Body.Read(buf)
		stall.Stop() // who reads what we write may take their time
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return fail(exitFailed, "The file cannot be written: "+werr.Error()+".", "Free some room; the same command goes on.")
			}
			_, _ = d.sum.Write(buf[:n]) // never fails
			d.at += int64(n)
		}
		if time.Since(last) >= barsEvery {
			last = time.Now()
			tell()
		}
		switch {
		case err == io.EOF && (d.size < 0 || d.at == d.size):
			return nil
		case err == io.EOF:
			return fail(exitUnreachable, "The connection ended too early.", "The same command goes on.")
		case err != nil:
			return d.broke(err)
		}
	}
}

// broke is the end of a request that came from without, or because no byte came for long.
func (d *download) broke(err error) error {
	if f, told := errors.AsType[*failure](err); told {
		return f
	}
	return fail(exitUnreachable, "The connection broke: "+err.Error()+".", "The same command goes on.").because(err)
}

// ask makes a request for what comes from start on and notes what the answer says of the file.
func (d *download) ask(ctx context.Context, method string, start int64) (*http.Response, error) {
	at, err := d.address(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return nil, err
	}
	if start > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", start))
		if d.etag != "" {
			req.Header.Set("If-Range", d.etag)
		}
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, unreachable(err)
	}
	switch {
	case start > 0 && r.StatusCode == http.StatusOK, start > 0 && d.etag != "" && r.Header.Get("ETag") != d.etag && r.StatusCode < 300:
		_ = r.Body.Close()
		return nil, fail(exitFailed, "The file became another one there meanwhile.", "Remove the .part file and fetch it again.")
	case r.StatusCode >= 300:
		defer func() { _ = r.Body.Close() }() // only read
		return nil, problemOf(r)
	}
	d.etag = r.Header.Get("ETag")
	d.size = r.ContentLength
	if r.StatusCode == http.StatusPartialContent {
		d.size = -1
		if _, whole, ok := strings.Cut(r.Header.Get("Content-Range"), "/"); ok {
			if n, err := strconv.ParseInt(whole, 10, 64); err == nil {
				d.size = n
			}
		}
	}
	if _, p, err := mime.ParseMediaType(r.Header.Get("Content-Disposition")); err == nil && d.name == "" {
		d.name = p["filename"]
	}
	if digest, ok := strings.CutPrefix(r.Header.Get("Repr-Digest"), "sha-256=:"); ok { // RFC 9530
		if b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(digest, ":")); err == nil && len(b) == sha256.Size {
			d.want = b
		}
	}
	return r, nil
}

var errSpoilt = errors.New("another digest")

func (d *download) check() error {
	if have := d.sum.Sum(nil); d.want != nil && string(have) != string(d.want) {
		return fail(exitFailed, fmt.Sprintf("What arrived is not what is there: its SHA-256 is %x instead of %x.", have, d.want),
			"Nothing of it was kept. Fetch it again.").because(errSpoilt)
	}
	return nil
}

// safeName makes a server's file name one of this folder.
func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '_'
		}
		return r
	}, filepath.Base(filepath.ToSlash(name)))
	name = strings.TrimLeft(strings.TrimRight(name, ". "), ".")
	switch {
	case name == "":
		return "download"
	case !filepath.IsLocal(name): // a device, to Windows
		return "_" + name
	}
	return name
}
