package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/oauth2"

	"isthmus/openapi"
)

// session is a signed-in caller in one hub of one server. Safe for concurrent use.
type session struct {
	server  string
	hub     string // id
	hubName string
	api     *openapi.ClientWithResponses
	http    *http.Client // adds the token, repeats nothing and follows nowhere
	paths   pathMemory

	patience patience
}

// young is how much longer a token has to work to be used for a request.
const young = 30 * time.Second

// connect opens the session that the command line, the environment or the last sign-in names. Machines go
// before people: who sets ISTHMUS_CLIENT_ID means it.
func (a *app) connect(ctx context.Context) (*session, error) {
	server := strings.TrimSuffix(a.Server, "/")
	if key, err := a.machine(); err != nil || key != nil {
		if err != nil {
			return nil, err
		}
		if server == "" {
			server = strings.TrimSuffix(key.BaseURL, "/")
		}
		if server == "" {
			return nil, fail(exitUsage, "No server is named.", "Name it with --server or ISTHMUS_URL.")
		}
		source := openapi.Credentials{BaseURL: server, ClientID: key.ClientID, ClientSecret: key.ClientSecret}
		s, err := a.newSession(server, source.ClientCredentials(context.WithoutCancel(ctx)))
		if err != nil {
			return nil, err
		}
		return s, s.find(ctx, a.Hub)
	}
	all, err := a.vault.read()
	if err != nil {
		return nil, err
	}
	k := all.find(server, a.Hub)
	if k == nil {
		if len(all.Logins) == 0 {
			return nil, fail(exitSignIn, "Nobody is signed in.", `Sign in with "isthmusctl login URL".`)
		}
		return nil, fail(exitSignIn, "You are not signed in to that hub.", `Sign in to it with "isthmusctl login", or see "isthmusctl whoami".`)
	}
	return a.personal(k)
}

// personal opens the session of a kept sign-in.
func (a *app) personal(k *login) (*session, error) {
	s, err := a.newSession(k.Server, &keptTokens{vault: a.vault, server: k.Server, hub: k.HubID})
	if err != nil {
		return nil, err
	}
	s.hub, s.hubName = k.HubID, k.HubName
	return s, nil
}

func (a *app) newSession(server string, tokens oauth2.TokenSource) (*session, error) {
	s := &session{server: server, paths: pathMemory{a.vault}, patience: a.patience}
	s.http = &http.Client{
		Transport: &oauth2.Transport{Source: tokens},
		// The transport would add the token to whatever address follows.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var err error
	s.api, err = openapi.Connect(server, tokens, nil)
	return s, err
}

// find asks the server which hub the tokens are for.
func (s *session) find(ctx context.Context, hub string) error {
	me, err := s.me(ctx)
	if err != nil {
		return err
	}
	for _, h := range me.Hubs {
		if hub == "" || h.ID == hub || strings.EqualFold(h.Name, hub) {
			s.hub, s.hubName = h.ID, h.Name
			return nil
		}
	}
	return fail(exitRefused, "This app is not for that hub.", "Use the credentials of an app of the hub.")
}

func (s *session) me(ctx context.Context) (*openapi.Me, error) {
	r, err := s.api.GetMeWithResponse(ctx)
	if err != nil {
		return nil, unreachable(err)
	}
	return answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
}

// keyFile is an app's credentials; the demo's demo.json is one.
type keyFile struct {
	BaseURL      string `json:"base_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// machine gives an app's credentials, nil when there are none.
func (a *app) machine() (*keyFile, error) {
	if id := os.Getenv("ISTHMUS_CLIENT_ID"); id != "" {
		return &keyFile{ClientID: id, ClientSecret: os.Getenv("ISTHMUS_CLIENT_SECRET")}, nil
	}
	if a.KeyFile == "" {
		return nil, nil
	}
	var k keyFile
	b, err := os.ReadFile(kong.ExpandPath(a.KeyFile))
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err == nil && (k.ClientID == "" || k.ClientSecret == "") {
		err = errors.New("client_id or client_secret is missing")
	}
	if err != nil {
		return nil, fail(exitUsage, "The key file cannot be used: "+err.Error()+".", `It is JSON: {"client_id": "cli_…", "client_secret": "…"}.`).because(err)
	}
	return &k, nil
}

// keptTokens are a person's tokens. A refresh token works once, and using it twice ends the sign-in: so it
// is exchanged under the vault's lock, by whichever process comes first, and kept before it is used.
type keptTokens struct {
	vault       vault
	server, hub string

	mu  sync.Mutex
	now oauth2.Token
}

// renewing is held while a token is exchanged: before that is over, the program must not end by itself.
var renewing sync.RWMutex

// Token implements oauth2.TokenSource.
func (t *keptTokens) Token() (*oauth2.Token, error) {
	renewing.RLock()
	defer renewing.RUnlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if usable(t.now) {
		tok := t.now
		return &tok, nil
	}
	// Not cut off by Ctrl-C: an answer that nobody keeps would end the sign-in.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := t.vault.change(ctx, func(all *logins) (bool, error) {
		k := all.find(t.server, t.hub)
		if k == nil {
			return false, fail(exitSignIn, "You were signed out.", `Sign in with "isthmusctl login".`)
		}
		if usable(k.Token) { // another process refreshed it
			t.now = k.Token
			return false, nil
		}
		conf := oauth2.Config{ClientID: k.ClientID, Endpoint: oauth2.Endpoint{TokenURL: k.TokenURL, AuthStyle: oauth2.AuthStyleInParams}}
		fresh, err := conf.TokenSource(ctx, &oauth2.Token{RefreshToken: k.Token.RefreshToken}).Token()
		if err != nil {
			return false, unreachable(err)
		}
		k.Token, t.now = *fresh, *fresh
		return true, nil
	})
	if _, told := errors.AsType[*failure](err); err != nil && !told {
		err = fail(exitFailed, "The renewed sign-in cannot be kept: "+err.Error()+".", "Look after the folder "+t.vault.dir+".").because(err)
	}
	if err != nil {
		return nil, err
	}
	tok := t.now
	return &tok, nil
}

func usable(t oauth2.Token) bool {
	return t.AccessToken != "" && time.Until(t.Expiry) > young
}

// signInEnded explains a refusal of the token endpoint.
func signInEnded(err *oauth2.RetrieveError) error {
	switch {
	case err.ErrorCode == "invalid_grant":
		return fail(exitSignIn, "Your sign-in has ended.", `Sign in again with "isthmusctl login".`).because(err)
	case err.ErrorCode == "invalid_client" || err.ErrorCode == "unauthorized_client":
		return fail(exitSignIn, "The server does not accept this program's client: it is unknown there, switched off, or its secret is wrong.",
			"Ask whoever runs the server.").because(err)
	case err.Response != nil && err.Response.StatusCode >= 500:
		return fail(exitUnreachable, "The server gives no tokens at the moment.", "Try again in a moment.").because(err)
	}
	text := err.ErrorDescription
	if text == "" {
		text = err.ErrorCode
	}
	return fail(exitSignIn, "The server gives no token: "+text+".", "Sign in again, or ask whoever runs the server.").because(err)
}
