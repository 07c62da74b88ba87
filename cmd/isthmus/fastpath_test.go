package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"isthmus/media/mediatest"
	"isthmus/transfer"
	"isthmus/transfer/rate"
)

// What the API answers about transfers, as far as these tests look.
type (
	transferStart struct {
		Transfer struct{ ID string }
		Uploads  []upload
		Ticket   transferTicket
	}
	transferTicket struct {
		Token     string
		Addresses []string
		KeyHash   string `json:"key_hash"`
	}
)

func (k transferTicket) ticket(t *testing.T) transfer.Ticket {
	t.Helper()
	out := transfer.Ticket{Token: k.Token}
	if len(k.Addresses) == 0 {
		t.Fatal("the ticket names no address")
	}
	out.Address = k.Addresses[0]
	if n, err := hex.Decode(out.KeyHash[:], []byte(k.KeyHash)); err != nil || n != len(out.KeyHash) {
		t.Fatal(k.KeyHash, err)
	}
	return out
}

// fastClient sends one file of a transfer.
type fastClient struct {
	t     *testing.T
	c     *caller
	hub   string
	path  string
	start transferStart
}

func (f *fastClient) announce(name string) {
	f.t.Helper()
	st, err := os.Stat(f.path)
	must(f.t, err)
	in := map[string]any{"files": []any{map[string]any{"name": name, "size": st.Size()}}}
	if status, body := f.c.call(http.MethodPost, f.hub+"/transfers", in, &f.start); status != http.StatusCreated {
		f.t.Fatalf("POST transfers answered %d: %s", status, body)
	}
}

func (f *fastClient) renew(context.Context) (transfer.Ticket, error) {
	var k transferTicket
	status, body, err := f.c.try(http.MethodPost, f.hub+"/transfers/"+f.start.Transfer.ID+"/ticket", map[string]any{}, &k)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("ticket answered %d: %s", status, body)
	}
	if err != nil {
		return transfer.Ticket{}, err
	}
	return k.ticket(f.t), nil
}

func (f *fastClient) sender(most rate.BitRate) *transfer.Sender {
	return transfer.NewSender(transfer.SenderConfig{
		Ticket: f.start.Ticket.ticket(f.t), Renew: f.renew,
		Open: func(transfer.Upload) (transfer.File, error) { return os.Open(f.path) },
		Rate: rate.Config{Policy: rate.Fair, Target: most},
	})
}

// result is how the one upload ended.
type result struct {
	transfer.Result
	err error
}

func send1(ctx context.Context, s *transfer.Sender) <-chan result {
	out := make(chan result, 1)
	go func() {
		all, err := s.Send(ctx)
		r := result{err: err}
		if len(all) == 1 {
			r.Result = all[0]
		}
		out <- r
	}()
	return out
}

// arrived waits until so many bytes are at the server.
func arrived(t *testing.T, s *transfer.Sender, n int64) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); s.Progress().Done < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("stuck: %+v", s.Progress())
		}
	}
}

// heavy is a clip with a box of noise at its end, which players skip.
func heavy(t *testing.T, path string, size int) string {
	t.Helper()
	must(t, mediatest.Clip{Seconds: 1, Width: 320, Height: 180}.Make(t.Context(), path))
	clip, err := os.ReadFile(path)
	must(t, err)
	box := make([]byte, size-len(clip))
	_, _ = rand.Read(box) // never fails
	binary.BigEndian.PutUint32(box, uint32(len(box)))
	copy(box[4:], "free")
	clip = append(clip, box...)
	must(t, os.WriteFile(path, clip, 0o600))
	sum := sha256.Sum256(clip)
	return hex.EncodeToString(sum[:])
}

// TestFastPath sends a file by QUIC, goes on by tus where that was cut, and by QUIC again while the server is
// killed; then it looks for the file on the platform. Beside that, two clients send one upload.
func TestFastPath(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills whole servers")
	}
	t.Parallel()
	s := newServer(t, "", withoutMedia)
	hub := "/v1/hubs/" + s.demo.HubID
	f := &fastClient{t: t, c: s.signIn("participant"), hub: hub, path: filepath.Join(t.TempDir(), "clip.mp4")}
	const size, slow = 12 << 20, 40 * rate.Mbit // slow enough to be stopped before the end
	digest := heavy(t, f.path, size)
	content, err := os.ReadFile(f.path)
	must(t, err)
	f.announce("über Land.mp4")
	up := f.start.Uploads[0]

	// By QUIC, cut off.
	ctx, cut := context.WithCancel(t.Context())
	first := f.sender(slow)
	ended := send1(ctx, first)
	arrived(t, first, size/4)
	cut()
	<-ended

	// By tus, over HTTP/3 and HTTP/1. What was acknowledged is there.
	var at int64
	s.eventually("the offset to be there", func() error {
		at, err = f.c.tryOffset(up.TusURL)
		if err == nil && at == 0 {
			err = fmt.Errorf("offset 0 of %d bytes that are there", first.Progress().Done)
		}
		return err
	})
	h3 := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer func() { must(t, h3.Close()) }()
	req, err := http.NewRequest(http.MethodPatch, "https://"+f.start.Ticket.Addresses[0]+"/files/"+up.ID, bytes.NewReader(content[at:at+1<<20]))
	must(t, err)
	for name, value := range map[string]string{
		"Tus-Resumable": "1.0.0", "Upload-Offset": strconv.FormatInt(at, 10), "Content-Type": "application/offset+octet-stream", "Origin": s.demo.BaseURL,
	} {
		req.Header.Set(name, value)
	}
	resp, err := (&http.Client{Transport: h3, Jar: f.c.http.Jar}).Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusNoContent || resp.ProtoMajor != 3 || resp.Header.Get("Alt-Svc") != "" {
		t.Fatalf("tus by HTTP/3: %s %s %v", resp.Proto, resp.Status, resp.Header)
	}
	if at, err = f.c.tryOffset(up.TusURL); err != nil {
		t.Fatal(err)
	}
	must(t, f.c.tryPatch(up.TusURL, at, content[at:at+1<<20]))
	at += 1 << 20
	if now, err := f.c.tryOffset(up.TusURL); err != nil || now < at {
		t.Fatal("after tus:", now, at, err)
	}

	// By QUIC again, while the server is killed and started.
	second := f.sender(slow)
	ended = send1(t.Context(), second)
	arrived(t, second, size/2)
	s.kill()
	s.start()
	second.SetRate(rate.Fair, 0, 0)
	r := <-ended
	must(t, r.err)
	must(t, r.Err)
	if got := hex.EncodeToString(r.SHA256); got != digest {
		t.Errorf("receipt for %s, sent %s", got, digest)
	}
	if p := second.Progress(); p.Tries < 2 || p.Sent > size {
		t.Errorf("sent %d bytes of %d in %d connections, though a quarter was there", p.Sent, size, p.Tries)
	}
	entry := awaitReady(t, f.c, hub, up.ID)
	if got := s.originalDigest(entry); got != digest {
		t.Errorf("the entry is not what was sent: %s", got)
	}

	// Two clients on one upload: the newer wins, the other is told. Then it is cancelled from elsewhere.
	f.announce("zwei.mp4")
	up = f.start.Uploads[0]
	older, newer := f.sender(slow/10), f.sender(slow/10)
	olderEnd := send1(t.Context(), older)
	arrived(t, older, 100_000)
	newerEnd := send1(t.Context(), newer)
	if r := <-olderEnd; transfer.CodeOf(r.err) != transfer.CodeTakenOver {
		t.Errorf("the older client was told %v, %v", r.err, r.Err)
	}
	arrived(t, newer, 200_000)
	// tus takes it over, too.
	newest := f.sender(slow / 10)
	s.eventually("tus to be the writer", func() error {
		at, err := f.c.tryOffset(up.TusURL)
		if err == nil {
			err = f.c.tryPatch(up.TusURL, at, content[at:at+1000])
		}
		return err
	})
	if r := <-newerEnd; transfer.CodeOf(r.Err) != transfer.CodeTakenOver {
		t.Errorf("the client of the fast path was told %v, %v", r.err, r.Err)
	}
	newestEnd := send1(t.Context(), newest)
	arrived(t, newest, 300_000)
	if status, body := f.c.call(http.MethodDelete, hub+"/uploads/"+up.ID, nil, nil); status >= 300 {
		t.Fatalf("DELETE answered %d: %s", status, body)
	}
	if r := <-newestEnd; transfer.CodeOf(r.Err) != transfer.CodeCancelled {
		t.Errorf("the client of the cancelled upload was told %v, %v", r.err, r.Err)
	}

	// A graceful stop keeps what came.
	f.announce("drei.mp4")
	up = f.start.Uploads[0]
	third := f.sender(slow)
	ctx, cut = context.WithCancel(t.Context())
	defer cut()
	ended = send1(ctx, third)
	arrived(t, third, 1<<20)
	came := third.Progress().Done
	must(t, s.cmd.Process.Signal(os.Interrupt))
	_ = s.cmd.Wait()
	cut()
	<-ended
	s.start()
	if at, err := f.c.tryOffset(up.TusURL); err != nil || at < came {
		t.Errorf("%d bytes were acknowledged before the stop, %d are there: %v", came, at, err)
	}

	everyReceipt(t, s, f.c, hub)
}
