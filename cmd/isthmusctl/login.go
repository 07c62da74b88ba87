package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// clientID is what the program is called at servers; each has it built in.
const clientID = "isthmusctl"

// scopes are all that the program ever needs.
var scopes = []string{"media:read", "media:import", "library:read", "uploads:write", "events:read", "transfers:read", "dropfolders:read", "dropfolders:write"}

type loginCommand struct {
	URL       string `arg:"" optional:"" help:"Address of the server, such as https://isthmus.example.org."`
	ClientID  string `help:"Client to sign in as, where an operator registered another than the built-in one." default:"isthmusctl" env:"ISTHMUS_LOGIN_CLIENT" name:"client-id"`
	AllowHTTP bool   `help:"Sign in without encryption at a server that is not this machine. Whoever is on the way can read what you send." name:"allow-http"`
}

// metadata is the part of RFC 8414 that is needed here.
type metadata struct {
	Issuer string   `json:"issuer"`
	Token  string   `json:"token_endpoint"`
	Device string   `json:"device_authorization_endpoint"`
	Revoke string   `json:"revocation_endpoint"`
	Scopes []string `json:"scopes_supported"`
}

// Run signs a person in by a code that they type into a browser on whatever device (RFC 8628).
func (c *loginCommand) Run(ctx context.Context, a *app) error {
	server := c.URL
	if server == "" {
		server = a.Server
	}
	if server == "" {
		all, err := a.vault.read()
		if err != nil {
			return err
		}
		if k := all.find("", a.Hub); k != nil {
			server = k.Server
		}
	}
	server, err := serverAddress(server, c.AllowHTTP)
	if err != nil {
		return err
	}
	k, err := a.signIn(ctx, server, c.ClientID, a.askPerson)
	if err != nil {
		return err
	}
	if a.JSON {
		a.emit(event{Event: "signed_in", Server: k.Server, Hub: k.HubID, Text: k.Name})
		return nil
	}
	fmt.Fprintf(a.out, "Signed in as %s in the hub %s.\n", k.who(), k.HubName)
	return nil
}

// signIn asks a person by ask to allow it, waits for that, and keeps the sign-in.
func (a *app) signIn(ctx context.Context, server, client string, ask func(*oauth2.DeviceAuthResponse)) (login, error) {
	var none login
	m, err := discover(ctx, server)
	if err != nil {
		return none, err
	}
	conf := oauth2.Config{
		ClientID: client, Scopes: slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(m.Scopes, s) }),
		Endpoint: oauth2.Endpoint{TokenURL: m.Token, DeviceAuthURL: m.Device, AuthStyle: oauth2.AuthStyleInParams},
	}
	code, err := conf.DeviceAuth(ctx)
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.ErrorCode == "invalid_scope" {
		// An operator allows the program less, or registered it before there were drop folders.
		conf.Scopes = slices.DeleteFunc(conf.Scopes, func(s string) bool { return strings.HasPrefix(s, "dropfolders:") })
		code, err = conf.DeviceAuth(ctx)
	}
	if err != nil {
		return none, unreachable(err)
	}
	ask(code)
	token, err := conf.DeviceAccessToken(ctx, code)
	var re *oauth2.RetrieveError
	switch {
	case errors.As(err, &re) && re.ErrorCode == "access_denied":
		return none, fail(exitSignIn, "The request was refused on the page.", "Run the command again to ask anew.")
	case errors.As(err, &re) && re.ErrorCode == "expired_token", errors.Is(err, context.DeadlineExceeded):
		return none, fail(exitSignIn, "Nobody entered the code in time.", "Run the command again for another code.")
	case err != nil:
		return none, unreachable(err)
	}
	s, err := a.newSession(server, oauth2.StaticTokenSource(token))
	if err != nil {
		return none, err
	}
	me, err := s.me(ctx)
	if err != nil {
		return none, err
	}
	if len(me.Hubs) == 0 {
		return none, fail(exitRefused, "The sign-in names no hub.", "Run the command again and choose a hub on the page.")
	}
	k := login{
		Server: server, HubID: me.Hubs[0].ID, HubName: me.Hubs[0].Name, Name: deref(me.Name), Email: deref(me.Email),
		ClientID: client, TokenURL: m.Token, RevokeURL: m.Revoke, Token: *token, At: time.Now().UTC(),
	}
	return k, a.vault.change(ctx, func(all *logins) (bool, error) {
		all.put(k)
		return true, nil
	})
}

// askPerson shows where to enter which code.
func (a *app) askPerson(ask *oauth2.DeviceAuthResponse) {
	if a.JSON {
		a.emit(event{Event: "enter_code", URL: ask.VerificationURI, Code: ask.UserCode, Text: ask.VerificationURIComplete})
		return
	}
	fmt.Fprintf(a.err, "Open this page in a browser, on this or any other device:\n\n  %s\n\nand enter the code %s\n\n", ask.VerificationURI, ask.UserCode)
	if ask.VerificationURIComplete != "" {
		fmt.Fprintf(a.err, "Or open it with the code filled in: %s\n\n", ask.VerificationURIComplete)
	}
	fmt.Fprintf(a.err, "Waiting until %s. Ctrl-C ends it.\n", ask.Expiry.Local().Format("15:04"))
}

func (k login) who() string {
	switch {
	case k.Name != "" && k.Email != "":
		return k.Name + " (" + k.Email + ")"
	case k.Name != "":
		return k.Name
	}
	return k.Email
}

// serverAddress takes what a person typed as a server's address.
func serverAddress(typed string, allowHTTP bool) (string, error) {
	if typed == "" {
		return "", fail(exitUsage, "No server is named.", "Name it: isthmusctl login https://isthmus.example.org")
	}
	if !strings.Contains(typed, "://") {
		typed = "https://" + typed
	}
	u, err := url.Parse(typed)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" {
		return "", fail(exitUsage, typed+" is not the address of a server.", "Use the form https://isthmus.example.org, without a path.")
	}
	if u.Scheme == "http" && !thisMachine(u.Hostname()) && !allowHTTP {
		return "", fail(exitUsage, "This address has no encryption: whoever is on the way could read your files and act in your name.",
			"Use https, or --allow-http on a network that you trust.")
	}
	return u.Scheme + "://" + u.Host, nil
}

func thisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// discover reads the metadata of a server (RFC 8414).
func discover(ctx context.Context, server string) (metadata, error) {
	var m metadata
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/.well-known/oauth-authorization-server", nil)
	if err != nil {
		return m, err
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return m, unreachable(err)
	}
	defer func() { _ = r.Body.Close() }() // only read
	if r.StatusCode == http.StatusOK {
		err = json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&m)
	}
	switch {
	case r.StatusCode != http.StatusOK || err != nil || m.Token == "" || m.Device == "":
		return m, fail(exitRefused, "There is no Isthmus server at "+server+".", "Check the address.")
	case m.Issuer != server:
		return m, fail(exitRefused, "The server at "+server+" calls itself "+m.Issuer+".", "Sign in with: isthmusctl login "+m.Issuer)
	}
	return m, nil
}

type logoutCommand struct {
	All bool `help:"Sign out everywhere."`
}

// Run takes the tokens back at the server and forgets them here. They are forgotten also when the server
// cannot be told.
func (c *logoutCommand) Run(ctx context.Context, a *app) error {
	var gone []login
	err := a.vault.change(ctx, func(all *logins) (bool, error) {
		if c.All {
			gone, all.Logins = all.Logins, nil
			return true, nil
		}
		k := all.find(strings.TrimSuffix(a.Server, "/"), a.Hub)
		if k == nil {
			return false, fail(exitSignIn, "Nobody is signed in there.", `"isthmusctl whoami" shows where you are.`)
		}
		gone = []login{*k}
		all.drop(k.Server, k.HubID)
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, k := range gone {
		if err := k.revoke(ctx); err != nil {
			a.notice("The server could not be told that you signed out (%v); your sign-in there ends by itself. You can end it on its page, under Account.", err)
		}
		if !a.JSON {
			fmt.Fprintf(a.out, "Signed out of %s at %s.\n", k.HubName, k.Server)
		} else {
			a.emit(event{Event: "signed_out", Server: k.Server, Hub: k.HubID})
		}
	}
	return nil
}

// revoke ends all tokens that follow from the sign-in (RFC 7009).
func (k login) revoke(ctx context.Context) error {
	if k.RevokeURL == "" {
		return nil
	}
	form := url.Values{"client_id": {k.ClientID}, "token": {k.Token.RefreshToken}, "token_type_hint": {"refresh_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return unreachable(err)
	}
	if err := r.Body.Close(); err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return errors.New("it answered " + r.Status)
	}
	return nil
}

type whoamiCommand struct{}

// Run asks the server, so that what it says is true now.
func (c *whoamiCommand) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	me, err := s.me(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printLine(map[string]any{"server": s.server, "hub": s.hub, "me": me})
	}
	who := login{Name: deref(me.Name), Email: deref(me.Email)}.who()
	if who == "" {
		who = "the app " + deref(me.ClientID)
	}
	fmt.Fprintf(a.out, "%s, at %s\n", who, s.server)
	for _, h := range me.Hubs {
		role := ""
		if h.Role != nil {
			role = ", " + string(*h.Role)
		}
		fmt.Fprintf(a.out, "  hub %s (%s)%s\n", h.Name, h.ID, role)
	}
	if me.Scopes != nil {
		fmt.Fprintf(a.out, "  may: %s\n", strings.Join(*me.Scopes, ", "))
	}
	all, err := a.vault.read()
	if err != nil {
		return err
	}
	for _, k := range all.Logins {
		if k.Server != s.server || k.HubID != s.hub {
			fmt.Fprintf(a.out, "Also signed in: %s at %s (use --server, --hub)\n", k.HubName, k.Server)
		}
	}
	return nil
}

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

func ptr[T any](v T) *T { return &v }
