package openapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"golang.org/x/oauth2"

	"isthmus/openapi"
)

// tired answers the first requests with a refusal and notes what it was sent.
type tired struct {
	mu      sync.Mutex
	refuse  int
	status  int
	keys    []string
	bodies  []string
	bearers []string
	logins  int
	moved   string // where everything is, from now on
}

func (s *tired) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/oauth2/token" {
		s.logins++
		id, secret, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		if id != "cli_1" || secret != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
			return
		}
		token := r.PostFormValue("grant_type") + "|" + r.PostFormValue("scope") + "|" + r.PostFormValue("subject_token")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 600})
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	s.bodies = append(s.bodies, string(body))
	s.bearers = append(s.bearers, r.Header.Get("Authorization"))
	if s.moved != "" {
		http.Redirect(w, r, s.moved, http.StatusTemporaryRedirect)
		return
	}
	if len(s.keys) <= s.refuse {
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(s.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"kind":"client","hubs":[]}`)
}

func (s *tired) start(t *testing.T) (string, openapi.Credentials) {
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv.URL, openapi.Credentials{BaseURL: srv.URL, ClientID: "cli_1", ClientSecret: "secret", Scopes: []string{"media:read"}}
}

func TestRefusedRequestsAreRepeated(t *testing.T) {
	for _, c := range []struct{ status, refuse, sent, want int }{
		{http.StatusTooManyRequests, 2, 3, http.StatusOK},
		{http.StatusServiceUnavailable, 1, 2, http.StatusOK},
		{http.StatusServiceUnavailable, 99, 4, http.StatusServiceUnavailable},
		{http.StatusConflict, 99, 1, http.StatusConflict},
		{http.StatusInternalServerError, 99, 1, http.StatusInternalServerError},
	} {
		s := &tired{refuse: c.refuse, status: c.status}
		url, credentials := s.start(t)
		client, err := openapi.Connect(url, credentials.ClientCredentials(t.Context()), nil)
		if err != nil {
			t.Fatal(err)
		}
		me, err := client.GetMeWithResponse(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if me.StatusCode() != c.want || len(s.keys) != c.sent {
			t.Errorf("%d: answer %d after %d requests, want %d after %d", c.status, me.StatusCode(), len(s.keys), c.want, c.sent)
		}
		if s.bearers[0] != "Bearer client_credentials|media:read|" {
			t.Errorf("sent with %q", s.bearers[0])
		}
	}
}

// A POST that is repeated is the same to the server: one key, the whole body again.
func TestARepeatedPostIsTheSame(t *testing.T) {
	s := &tired{refuse: 2, status: http.StatusServiceUnavailable}
	url, credentials := s.start(t)
	client, err := openapi.Connect(url, credentials.ClientCredentials(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.ImportMediaWithResponse(t.Context(), "hub_1", nil, openapi.ImportMediaJSONRequestBody{EntryID: "0_a", Kind: openapi.ItemKindLink}); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.keys) != 4 || s.keys[0] == "" || s.keys[0] != s.keys[1] || s.keys[1] != s.keys[2] || s.keys[3] == s.keys[0] {
		t.Errorf("keys %q", s.keys)
	}
	for _, b := range s.bodies {
		if b != s.bodies[0] || b == "" {
			t.Errorf("bodies differ: %q", s.bodies)
		}
	}
}

// A token goes to nobody but the server that it is for.
func TestNoRedirect(t *testing.T) {
	other := &tired{}
	s := &tired{}
	s.moved, _ = other.start(t)
	url, credentials := s.start(t)
	client, err := openapi.Connect(url, credentials.ClientCredentials(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	me, err := client.GetMeWithResponse(t.Context())
	if err != nil || me.StatusCode() != http.StatusTemporaryRedirect || len(other.bearers) != 0 {
		t.Errorf("%v %v, the other server got %q", me, err, other.bearers)
	}
}

// Who gets no token is not asked again and again.
func TestNoTokenNoRepeat(t *testing.T) {
	s := &tired{}
	url, credentials := s.start(t)
	credentials.ClientSecret = "wrong"
	client, err := openapi.Connect(url, credentials.ClientCredentials(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetMeWithResponse(t.Context()); err == nil || s.logins != 1 {
		t.Errorf("%v after %d tries", err, s.logins)
	}
}

func TestExchange(t *testing.T) {
	_, credentials := (&tired{}).start(t)
	got, err := credentials.ExchangeToken(t.Context(), "their.id.token", openapi.TokenTypeID)
	if err != nil {
		t.Fatal(err)
	}
	if want := "urn:ietf:params:oauth:grant-type:token-exchange|media:read|their.id.token"; got.AccessToken != want {
		t.Errorf("token %q, want %q", got.AccessToken, want)
	}
	credentials.ClientSecret = "wrong"
	if _, err := credentials.ExchangeToken(t.Context(), "x", openapi.TokenTypeID); err == nil {
		t.Error("a wrong secret gets a token")
	}
}

func ExampleConnect() {
	ctx := context.Background()
	credentials := openapi.Credentials{BaseURL: "https://isthmus.example.org", ClientID: "cli_…", ClientSecret: "…"}

	// As one of your users: what the hub shows to them.
	list := func(idToken string) error {
		token, err := credentials.ExchangeToken(ctx, idToken, openapi.TokenTypeID)
		if err != nil {
			return err
		}
		client, err := openapi.Connect(credentials.BaseURL, oauth2.StaticTokenSource(token), nil)
		if err != nil {
			return err
		}
		media, err := client.ListMediaWithResponse(ctx, "hub_…", nil)
		if err != nil {
			return err
		}
		if media.JSON200 == nil {
			return fmt.Errorf("%s: %s", media.ApplicationProblemJSONDefault.Code, *media.ApplicationProblemJSONDefault.NextStep)
		}
		for _, m := range media.JSON200.Items {
			fmt.Println(m.ID, m.Name)
		}
		return nil
	}
	_ = list
}
