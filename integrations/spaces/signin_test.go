package spaces

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestLocalPath(t *testing.T) {
	for next, want := range map[string]string{
		"/library?tab=kaltura#x": "/library?tab=kaltura#x", "": "/", "library": "/", "//evil.example": "/", `/\evil.example`: "/",
		"https://evil.example/": "/", "/auth/login": "/", "/a\r\nSet-Cookie: x": "/", "javascript:alert(1)": "/", "/%zz": "/",
		"/%5Cevil.example": "/", "/%2Fevil.example": "/", "/%2f%2fevil.example": "/", "///evil.example": "/", "/\x01/evil.example": "/", "/\x00": "/",
		"/.//evil.example": "/.//evil.example", "/a/..//evil.example": "/a/..//evil.example", "/@evil.example": "/@evil.example", "/:80": "/:80", // of this host, however they are read
		"/./auth/login": "/", "/a/../auth/login": "/", "/auth": "/", "/auth%2Flogin": "/", "/%61uth/login": "/", "/authors": "/authors", "http:///x": "/", " /x": "/", "?x": "/", "%2F/evil.example": "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestCallback(t *testing.T) {
	p := newSite(t)
	b := p.browser()
	status, to := b.get(b.begin())
	if status != http.StatusSeeOther || to != "/" || len(p.signedIn) != 1 || !p.signedIn[0].EmailVerified || p.signedIn[0].Memberships[0].HubExternalID != "h1" {
		t.Fatalf("%d %q %+v", status, to, p.signedIn)
	}

	p.signedIn = nil
	attacker := p.browser()
	for name, spoil := range map[string]func(own, stolen string) string{ // each with fresh sign-ins under way
		"another browser's callback":       func(_, stolen string) string { return stolen },
		"another sign-in's code":           func(own, stolen string) string { return change(t, own, "code", param(t, stolen, "code")) },
		"another issuer":                   func(own, _ string) string { return change(t, own, "iss", "https://evil.example") },
		"no state":                         func(own, _ string) string { return change(t, own, "state", "") },
		"a refusal by the provider":        func(own, _ string) string { return change(t, own, "error", "access_denied") },
		"a callback that nobody asked for": func(string, string) string { return p.base + CallbackPath + "?code=x&state=y" },
		"a state that begins the same":     func(own, _ string) string { return change(t, own, "state", param(t, own, "state")[:8]+"other") },
	} {
		if status, _ := attacker.get(spoil(attacker.begin(), p.browser().begin())); status < 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if len(p.signedIn) != 0 {
		t.Errorf("signed in: %+v", p.signedIn)
	}

	p.refuse = errors.New("database down")
	b = p.browser()
	if status, _ := b.get(b.begin()); status != http.StatusInternalServerError {
		t.Errorf("a failed session: %d", status)
	}
}

// TestProviderWantsPKCE asks the demo's provider as a careless client would.
func TestProviderWantsPKCE(t *testing.T) {
	p := newSite(t)
	b := p.browser()
	_, authorize := b.get(p.base + LoginPath)
	if param(t, authorize, "code_challenge_method") != "S256" || param(t, authorize, "nonce") == "" || param(t, authorize, "state") == "" {
		t.Fatalf("our own request: %s", authorize)
	}
	for name, address := range map[string]string{
		"no challenge":   change(t, authorize, "code_challenge", ""),
		"plain":          change(t, authorize, "code_challenge_method", "plain"),
		"other client":   change(t, authorize, "client_id", "evil"),
		"other redirect": change(t, authorize, "redirect_uri", "https://evil.example/"),
		"implicit":       change(t, authorize, "response_type", "id_token"),
	} {
		if status, to := b.get(address); status < 400 {
			t.Errorf("%s: %d %s", name, status, to)
		}
	}
	callback := b.begin()
	code := param(t, callback, "code")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.base + CallbackPath}, "code_verifier": {strings.Repeat("x", 43)}, "client_id": {"isthmus"}, "client_secret": {"secret"}}
	for range 2 { // wrong verifier; then the code is used up
		resp, err := b.PostForm(p.base+"/demo-idp/token", form)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("token: %d", resp.StatusCode)
		}
	}
	if status, _ := b.get(callback); status < 400 {
		t.Error("a used code signed somebody in")
	}
}
