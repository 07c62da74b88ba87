package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"isthmus/openapi"
)

// approve NAME ROLE: waits until a background program has shown its code in the file NAME, and allows it as
// the demo's person of a role.
func (s *server) approve(ts *testscript.TestScript, neg bool, args []string) {
	var code string
	until(ts, "a code", func() bool {
		m := regexp.MustCompile(`"code":"([A-Z-]+)"`).FindStringSubmatch(maybe(ts, args[0]))
		if m != nil {
			code = m[1]
		}
		return m != nil
	})
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser := &http.Client{Jar: jar}
	r, err := browser.Get(s.BaseURL + "/auth/login?next=/")
	ts.Check(err)
	page, err := io.ReadAll(r.Body)
	ts.Check(errors.Join(err, r.Body.Close()))
	form := url.Values{}
	for _, field := range regexp.MustCompile(`<input[^>]*>`).FindAllString(string(page), -1) {
		at := map[string]string{}
		for _, m := range regexp.MustCompile(`(name|value)="([^"]*)"`).FindAllStringSubmatch(field, -1) {
			at[m[1]] = m[2]
		}
		if at["name"] != "" {
			form.Set(at["name"], at["value"])
		}
	}
	for _, p := range s.People {
		if p.Role == args[1] {
			form.Set("email", p.Email)
			form.Set("password", p.Password)
		}
	}
	target := r.Request.URL
	if m := regexp.MustCompile(`<form[^>]*action="([^"]*)"`).FindStringSubmatch(string(page)); m != nil && m[1] != "" {
		target, err = target.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
		ts.Check(err)
	}
	post := func(to, kind, body string) int {
		req, err := http.NewRequest(http.MethodPost, to, strings.NewReader(body))
		ts.Check(err)
		req.Header.Set("Content-Type", kind)
		req.Header.Set("Origin", s.BaseURL)
		r, err := browser.Do(req)
		ts.Check(err)
		ts.Check(r.Body.Close())
		return r.StatusCode
	}
	post(target.String(), "application/x-www-form-urlencoded", form.Encode())
	decision := "allow"
	if neg {
		decision = "deny"
	}
	if status := post(s.BaseURL+"/v1/me/devices/"+code, "application/json", fmt.Sprintf(`{"decision":%q,"hub_id":%q}`, decision, s.HubID)); status != http.StatusNoContent {
		ts.Fatalf("the decision was answered %d", status)
	}
}

// client is the demo's app.
func (s *server) client(ts *testscript.TestScript) *openapi.ClientWithResponses {
	tokens := openapi.Credentials{BaseURL: s.BaseURL, ClientID: s.ClientID, ClientSecret: s.ClientSecret}
	c, err := openapi.Connect(s.BaseURL, tokens.ClientCredentials(context.Background()), nil)
	ts.Check(err)
	return c
}

// import EVENTS: copies the entry of the event "ready" into the library and sets $ITEM and $ENTRY.
func (s *server) importEntry(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(`"event":"ready".*"entry":"([^"]+)"`).FindStringSubmatch(ts.ReadFile(args[0]))
	if m == nil {
		ts.Fatalf("no entry is ready")
	}
	r, err := s.client(ts).ImportMediaWithResponse(context.Background(), s.HubID, &openapi.ImportMediaParams{Prefer: ptr("wait=50")},
		openapi.ImportInput{EntryID: m[1], Kind: openapi.ItemKindCopy})
	ts.Check(err)
	if r.JSON200 == nil || r.JSON200.Item.State != openapi.ItemStateReady { // it was waited for
		ts.Fatalf("the import answered %s: %s", r.Status(), r.Body)
	}
	ts.Setenv("ITEM", r.JSON200.Item.ID)
	ts.Setenv("ENTRY", m[1])
}

// half ITEM FILE: what a fetch of the item leaves that broke off in the middle.
func (s *server) half(ts *testscript.TestScript, _ bool, args []string) {
	r, err := s.client(ts).GetLibraryAddressWithResponse(context.Background(), s.HubID, args[0])
	ts.Check(err)
	body, err := http.Get(r.JSON200.URL)
	ts.Check(err)
	b, err := io.ReadAll(body.Body)
	ts.Check(errors.Join(err, body.Body.Close()))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".part"), b[:len(b)/2], 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".part.etag"), []byte(body.Header.Get("ETag")), 0o600))
}

// bytes FILE N [SEED]: a file of N bytes that differ.
func makeBytes(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	x := uint32(n)
	if len(args) > 2 {
		x += uint32(len(args[2])) * 7919
	}
	b := make([]byte, n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	copy(b[4:], "ftypisom") // an MP4, as far as its head tells
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// many DIR N SIZE: N small files in folders.
func makeMany(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for i := range n {
		makeBytes(ts, false, []string{fmt.Sprintf("%s/%02d/f%05d.mp4", args[0], i%10, i), args[2], strings.Repeat("x", i%97)})
	}
}

// code N: how the last program ended. (testscript itself knows only well or not.)
func wantCode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	have := 0
	if errors.As(err, &exit) {
		have = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if have != want {
		ts.Fatalf("it ended with %d, not %d", have, want)
	}
}

// waitfor FILE PATTERN: until a file has a line that fits.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, args[1]+" in "+args[0], func() bool { return regexp.MustCompile(args[1]).MatchString(maybe(ts, args[0])) })
}

// jsonis FILE EVENT N: how many lines tell of an event.
func jsonIs(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var e event
		ts.Check(json.Unmarshal([]byte(line), &e))
		if e.Time.IsZero() {
			ts.Fatalf("no time in %s", line)
		}
		if e.Event == args[1] {
			n++
		}
	}
	if want := args[2]; strconv.Itoa(n) != want {
		ts.Fatalf("%d times %s, not %s", n, args[1], want)
	}
}

func maybe(ts *testscript.TestScript, name string) string {
	b, _ := os.ReadFile(ts.MkAbs(name)) // not there yet
	return string(b)
}

func until(ts *testscript.TestScript, what string, ok func() bool) {
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}
