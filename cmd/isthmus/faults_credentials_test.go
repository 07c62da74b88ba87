package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// credentials: sessions that end early and tokens that are taken away.
func (w *faultWorld) credentials(t *testing.T) {
	t.Run("sessions expire in the middle of an upload", w.expiredSessions)
	t.Run("App Token revoked", w.revokedToken)
}

// expiredSessions: whoever works when all sessions end notices nothing, and Kaltura sees one new
// session for the 100 people who look at the same time, not one for each of them.
func (w *faultWorld) expiredSessions(t *testing.T) {
	t.Parallel()
	h := w.crowded
	h.signIn(t)
	h.proxy = newFaultProxy(t, w.kaltura.ServiceURL, nil)
	h.connect(t, h.proxy.url(), w.kaltura.AppTokens[0])
	content := w.picture(2048, 2048) // more than a chunk
	up := h.begin(t, content, 9<<20)
	await(t, "the first chunk at Kaltura", func() error {
		if n := h.proxy.chunkBytes(); n < 8<<20 {
			return fmt.Errorf("%d bytes", n)
		}
		return nil
	})
	look := func(wg *sync.WaitGroup, query string) {
		for i, cookie := range h.people {
			wg.Go(func() {
				c := &caller{s: w.process, http: http.DefaultClient}
				path := fmt.Sprintf("/v1/hubs/%s/media?source=kaltura&limit=30&q=%s%d", h.id, query, i)
				if status, body, err := c.try(http.MethodGet, path, nil, nil, "Cookie", "__Host-isthmus="+cookie); err != nil || status != http.StatusOK {
					t.Errorf("a person was told %d %s %v", status, body, err)
				}
			})
		}
	}
	var wg sync.WaitGroup
	look(&wg, "first") // which finds or makes their users
	wg.Wait()
	started := h.proxy.count("apptoken.startsession")
	h.proxy.expire()
	look(&wg, "again")
	h.send(t, up, 9<<20, content[9<<20:])
	h.finish(t, up, content)
	wg.Wait()
	h.arrived(t, up.ID, content)
	// One for the pages and one for the user in whose name a machine uploads.
	if n := h.proxy.count("apptoken.startsession") - started; n > 2 {
		t.Errorf("%d sessions were started for two kinds of caller", n)
	}
	if n := h.proxy.count("session.startwidgetsession"); n > 6 {
		t.Errorf("%d widget sessions", n)
	}
	if n := h.proxy.chunkBytes(); n > int64(len(content))+8<<20 {
		t.Errorf("%d bytes were sent for a file of %d", n, len(content))
	}
	reportFault(faultRow{"M34", "all sessions expire in the middle of an upload while 100 people look", "nothing", "nothing; one new session for all who look, one for the upload", 0})
}

// revokedToken: the hub says so, once; what was under way waits and goes on with a new token
// without being sent again.
func (w *faultWorld) revokedToken(t *testing.T) {
	t.Parallel()
	h := w.take(t)
	h.proxy = newFaultProxy(t, w.kaltura.ServiceURL, nil)
	first, second := w.token(t), w.token(t)
	h.connect(t, h.proxy.url(), first)
	events := h.events(t)
	big := w.picture(2048, 2048)
	up := h.begin(t, big, 9<<20)
	await(t, "the first chunk at Kaltura", func() error {
		if n := h.proxy.chunkBytes(); n < 8<<20 {
			return fmt.Errorf("%d bytes", n)
		}
		return nil
	})
	h.page(t, "")
	w.admin(t, "appToken", "delete", map[string]any{"id": first.ID}, nil)
	h.proxy.expire()

	var why faultProblem
	await(t, "the reason", func() error {
		if _, why = h.page(t, "&q=unseen"); why.Code != "credentials_invalid" {
			return fmt.Errorf("%+v", why)
		}
		return nil
	})
	h.send(t, up, 9<<20, big[9<<20:])
	h.finish(t, up, big)
	small := make([]upload, 4)
	contents := make([][]byte, len(small))
	for i := range small {
		contents[i] = w.picture(96, 64)
		small[i] = h.begin(t, contents[i], len(contents[i]))
		h.finish(t, small[i], contents[i])
	}
	for _, u := range append(small, up) {
		await(t, "the upload to wait for a credential", func() error {
			if got := h.upload(t, u.ID); got.Error == nil || got.Error.Code != "credentials_invalid" {
				return fmt.Errorf("%s %+v", got.State, got.Error)
			}
			return nil
		})
	}
	tries := h.proxy.count("apptoken.startsession")
	for i := range 200 { // people go on clicking
		h.page(t, fmt.Sprintf("&q=again%d", i))
	}
	if n := h.proxy.count("apptoken.startsession") - tries; n > 20 {
		t.Errorf("200 clicks asked Kaltura %d times about a token that it has refused", n)
	}
	var saved struct {
		ETag   string `json:"etag"`
		Health string `json:"health"`
	}
	if h.do(t, http.MethodGet, "/integrations/kaltura", nil, &saved); saved.Health != "credentials_invalid" {
		t.Errorf("the settings say %q", saved.Health)
	}
	before := h.proxy.chunkBytes()
	began := time.Now()
	h.connect(t, h.proxy.url(), second, "If-Match", saved.ETag)
	for i, u := range small {
		h.arrived(t, u.ID, contents[i])
	}
	h.arrived(t, up.ID, big)
	recovery := time.Since(began)
	var rest int64 = int64(len(big)) - 8<<20
	for _, c := range contents {
		rest += int64(len(c))
	}
	// The connection test of the new token sends nothing; the relay sends what was not sent before.
	if n := h.proxy.chunkBytes() - before; n > rest {
		t.Errorf("%d bytes were sent, only %d were missing", n, rest)
	}
	if n := events("integration.degraded"); n != 1 {
		t.Errorf("the admin was told %d times", n)
	}
	reportFault(faultRow{"M35", "App Token revoked, 5 uploads under way", why.Code + ": “" + why.words() + "”; hub state credentials_invalid, told once", "nothing; no byte sent twice", recovery})
}

// token makes an App Token like the sandbox's first.
func (w *faultWorld) token(t testing.TB) tokenFile {
	t.Helper()
	var made struct{ ID, Token string }
	w.admin(t, "appToken", "add", map[string]any{"appToken": map[string]any{
		"objectType": "KalturaAppToken", "hashType": "SHA256", "sessionPrivileges": "list:*,sview:*",
	}}, &made)
	return tokenFile{ID: made.ID, Token: made.Token, HashType: "SHA256", Visibility: "shared"}
}

// events listens to the hub and gives a counter by type.
func (h *faultHub) events(t testing.TB) func(typ string) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.w.demo.BaseURL+"/v1/events?hub="+h.id, nil)
	req.Header.Set("Authorization", "Bearer "+h.bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("events answered %s", resp.Status)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	go func() {
		defer func() { _ = resp.Body.Close() }()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if typ, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				mu.Lock()
				seen[typ]++
				mu.Unlock()
			}
		}
	}()
	return func(typ string) int {
		mu.Lock()
		defer mu.Unlock()
		return seen[typ]
	}
}
