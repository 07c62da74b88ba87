package spaces

import (
	"net/http"
	"net/url"
	"testing"
)

// A provider that keeps its ID tokens small names the hubs by userinfo only. When that fails, the
// sign-in fails: going on would take the person for one of whom nothing is known.
func TestHubsFromUserinfo(t *testing.T) {
	s, i := newSite(t), newIssuer(t)
	s.fix(i.url, "idp_small", nil)
	try := func(change map[string]any) int {
		t.Helper()
		b := s.browser()
		_, authorize := b.get(s.base + LoginPath + "?provider=idp_small")
		small := map[string]any{"nonce": param(t, authorize, "nonce"), "email": nil, "email_verified": nil, "name": nil, "isthmus_hubs": nil}
		for name, v := range change {
			small[name] = v
		}
		i.mu.Lock()
		i.idToken = i.token(small)
		i.mu.Unlock()
		status, _ := b.get(s.base + CallbackPath + "?code=c&state=" + url.QueryEscape(param(t, authorize, "state")))
		return status
	}
	i.userinfo = map[string]any{"sub": "s1", "email": "ada@example.org", "email_verified": true, "isthmus_hubs": []map[string]string{{"id": "h1", "role": "admin"}}}
	if status := try(nil); status != http.StatusSeeOther || len(s.signedIn) != 1 || s.signedIn[0].Email != "ada@example.org" || !s.signedIn[0].EmailVerified || len(s.signedIn[0].Memberships) != 1 {
		t.Fatal(status, s.signedIn)
	}
	// The address of the one and the word of the other do not make a verified address.
	if status := try(map[string]any{"email": "boss@example.org"}); status != http.StatusSeeOther || s.signedIn[1].Email != "boss@example.org" || s.signedIn[1].EmailVerified {
		t.Fatal(status, s.signedIn)
	}
	i.userinfo = map[string]any{"sub": "somebody else", "email": "eve@example.org", "email_verified": true, "isthmus_hubs": []any{}}
	if status := try(nil); status != http.StatusServiceUnavailable || len(s.signedIn) != 2 {
		t.Fatal(status, s.signedIn)
	}
	i.userinfo = nil
	if status := try(nil); status != http.StatusServiceUnavailable || len(s.signedIn) != 2 {
		t.Fatal(status, s.signedIn)
	}
}
