package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/kaltura/platform"
	"isthmus/integrations/spaces/demo"
)

// demoFile is DATA/demo.json: everything needed to try the demo. It is written once, with mode 0600.
type demoFile struct {
	BaseURL          string       `json:"base_url"`
	ClientID         string       `json:"client_id"`
	ClientSecret     string       `json:"client_secret"`
	HubID            string       `json:"hub_id"` // the connected hub
	UnconnectedHubID string       `json:"unconnected_hub_id"`
	People           []personFile `json:"people"`
	Kaltura          kalturaFile  `json:"kaltura"`
	DropFolder       dropFile     `json:"drop_folder"` // of the connected hub
}

type dropFile struct {
	ID   string `json:"id"`
	Path string `json:"path"` // on this machine
}

type personFile struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Role     string `json:"role"`
	Name     string `json:"name"`
}

type kalturaFile struct {
	ServiceURL     string      `json:"service_url"`
	PartnerID      int64       `json:"partner_id"`
	AdminEmail     string      `json:"admin_email"`
	AdminPassword  string      `json:"admin_password"` // for user.loginByLoginId
	AdminSecret    string      `json:"admin_secret"`
	UserSecret     string      `json:"user_secret"`
	OperatorSecret string      `json:"operator_secret"` // of partners -1 and -2, who act for the account on drop folders
	WidgetID       string      `json:"widget_id"`
	AppTokens      []tokenFile `json:"app_tokens"`
	DropFolderID   int64       `json:"drop_folder_id"`
	DropFolderPath string      `json:"drop_folder_path"` // on this machine
	DropRoot       string      `json:"drop_root"`        // below which the paths of drop folders lie
}

// newKaltura makes up the secrets of an embedded account; seedAccount fills in the rest.
func newKaltura(serviceURL string, partner int64, admin string) kalturaFile {
	return kalturaFile{
		ServiceURL: serviceURL, PartnerID: partner, WidgetID: fmt.Sprintf("_%d", partner),
		AdminEmail: admin, AdminPassword: "Aa1!" + gateway.NewToken()[:16], // Kaltura asks for every kind of character
		AdminSecret: gateway.NewToken()[:32], UserSecret: gateway.NewToken()[:32], OperatorSecret: gateway.NewToken()[:32],
	}
}

type tokenFile struct {
	ID         string `json:"id"`
	Token      string `json:"token"`
	HashType   string `json:"hash_type"`
	Visibility string `json:"visibility"`
}

// demoHubs are the hubs that the demo identity provider knows.
var demoHubs = []gateway.Membership{
	{HubExternalID: "lakeside", HubName: "Lakeside University", Plan: gateway.PlanUniversity},
	{HubExternalID: "harbour", HubName: "Harbour Studios", Plan: gateway.PlanEnterprise},
}

const demoPartner = 1001

// newDemo makes up the people and secrets of a demo; the rest of the file is filled in by seed.
func newDemo(baseURL string) demoFile {
	d := demoFile{BaseURL: baseURL, Kaltura: newKaltura(baseURL+"/kaltura", demoPartner, "admin@lakeside.example")}
	for _, p := range []personFile{
		{Email: "ada@lakeside.example", Name: "Ada Admin", Role: string(gateway.RoleAdmin)},
		{Email: "carl@lakeside.example", Name: "Carl Curator", Role: string(gateway.RoleContentAdmin)},
		{Email: "pia@lakeside.example", Name: "Pia Participant", Role: string(gateway.RoleParticipant)},
	} {
		p.Password = gateway.NewToken()[:12]
		d.People = append(d.People, p)
	}
	return d
}

// readDemo gives the demo of an earlier start; ok is false when there was none.
func readDemo(path string) (d demoFile, ok bool, _ error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return d, false, nil
	}
	if err != nil {
		return d, false, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, false, gateway.E(gateway.Invalid, "demo_file", path+" is damaged.").
			Next("Delete the data folder to begin the demo anew.").Because(err)
	}
	return d, true, nil
}

// draftDemo gives a demo whose secrets are already on disk, so that a first start that was killed
// midway goes on with the same ones.
func draftDemo(path, baseURL string) (demoFile, error) {
	d, known, err := readDemo(path)
	if err != nil || known {
		return d, err
	}
	d = newDemo(baseURL)
	return d, d.write(path)
}

func (d demoFile) write(path string) error { return writeFile(path, d) }

// writeFile puts a JSON file with secrets in place whole or not at all.
func writeFile(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// identity is what the demo identity provider will say of a person.
func (d demoFile) identity(issuer string, p personFile) gateway.Identity {
	id := gateway.Identity{Issuer: issuer, Subject: demo.Subject(p.Email), Email: p.Email, EmailVerified: true, Name: p.Name}
	for _, m := range demoHubs {
		m.Role = gateway.Role(p.Role)
		id.Memberships = append(id.Memberships, m)
	}
	return id
}

func (s *server) demoIssuer() string { return s.cfg.BaseURL + "/demo-idp" }

const (
	demoClientID = "isthmus"
	demoAppID    = "lakeside-spaces" // whose tokens can be exchanged for ours
)

// openDemo mounts the embedded platform and the demo identity provider, makes the demo's account,
// hubs and people at the first start, and lets people sign in there unless a real provider is named.
func (s *server) openDemo(ctx context.Context) error {
	path := filepath.Join(s.cfg.Data, "demo.json")
	d, known, err := readDemo(path)
	if err != nil {
		return err
	}
	if !known {
		if d, err = draftDemo(path+".draft", s.cfg.BaseURL); err != nil {
			return err
		}
	}
	if d.BaseURL != s.cfg.BaseURL {
		return gateway.E(gateway.Invalid, "demo_moved", "This demo was made for "+d.BaseURL+", not "+s.cfg.BaseURL+".").
			Next("Start it at its own address, or with another --data folder.")
	}
	provider := demo.Config{
		Issuer: s.demoIssuer(), ClientID: demoClientID, RedirectURI: s.cfg.BaseURL + "/auth/callback", AppID: demoAppID, Log: s.log,
		ClientSecret: gateway.Secret(gateway.NewToken()),
	}
	roles := map[string]map[string]gateway.Role{}
	for _, h := range demoHubs {
		provider.Hubs = append(provider.Hubs, demo.Hub{ID: h.HubExternalID, Name: h.HubName, Plan: h.Plan})
		for _, p := range d.People {
			if roles[p.Email] == nil {
				roles[p.Email] = map[string]gateway.Role{}
			}
			roles[p.Email][h.HubExternalID] = gateway.Role(p.Role)
		}
	}
	for _, p := range d.People {
		provider.People = append(provider.People, demo.Person{Email: p.Email, Password: p.Password, Name: p.Name, Roles: roles[p.Email]})
	}
	idp, err := demo.New(provider)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/kaltura/", http.StripPrefix("/kaltura", s.kaltura))
	mux.Handle("/demo-idp/", idp)
	s.api.Mount("/kaltura/", mux)
	s.api.Mount("/demo-idp/", mux)
	s.local = &http.Client{Transport: integrations.NewLocal(mux)}
	if s.cfg.OIDCIssuer == "" {
		s.verifier.Local[provider.Issuer] = s.local
		if err := s.providers.Fix(gateway.OpenedProvider{Secret: provider.ClientSecret, IdentityProvider: gateway.IdentityProvider{
			Row: gateway.Row{ID: gateway.ProviderIDDemo}, Issuer: provider.Issuer, ClientID: provider.ClientID,
			Name: "Demo spaces platform", Source: gateway.ProviderDemo, Audiences: []string{demoAppID},
		}}); err != nil {
			return err
		}
	}
	if !known {
		if err := s.beginDemo(ctx, &d, path); err != nil {
			return err
		}
	}
	if err := s.demoDrop(ctx, &d, path); err != nil { // the hub may be disconnected by now: no reason not to start
		s.log.Warn("demo drop folder", "error", err)
	}
	if !known {
		d.greet(os.Stdout, path)
	}
	s.demo = d
	return s.demoRights(ctx, d)
}

// demoRights gives an older data folder what a new one begins with: the client may ask for every scope,
// and the admin is the operator unless there is one.
func (s *server) demoRights(ctx context.Context, d demoFile) error {
	if s.cfg.DemoOperator {
		if err := s.operators.Ensure(ctx, s.demoIssuer(), demo.Subject(d.People[0].Email), d.People[0].Name); err != nil {
			return err
		}
	}
	c, err := s.db.Clients().Get(ctx, gateway.AnyHub, d.ClientID)
	if gateway.CodeOf(err) == gateway.NotFound || err == nil && slices.Equal(c.Scopes, gateway.AllScopes) {
		return nil
	}
	if err != nil {
		return err
	}
	clients := &gateway.Clients{Store: s.db, Clock: gateway.SystemClock}
	_, err = clients.Update(ctx, console(c.HubID), c.ID, c.Version, gateway.ClientDraft{Scopes: &gateway.AllScopes})
	return err
}

// beginDemo makes the embedded account and everything in demo.json.
func (s *server) beginDemo(ctx context.Context, d *demoFile, path string) error {
	if err := d.Kaltura.create(ctx, s.kaltura, platform.Account{Name: "Isthmus demo", AdminName: "Kim Kaltura"}); err != nil {
		return fmt.Errorf("demo account: %w", err)
	}
	if err := s.seedDemo(ctx, d); err != nil {
		return err
	}
	if err := d.write(path); err != nil {
		return err
	}
	return os.Remove(path + ".draft")
}

// seedDemo makes hubs, people, App Tokens, one connection and one API client. It runs once; a
// start that was killed midway runs it again, which every step bears.
func (s *server) seedDemo(ctx context.Context, d *demoFile) error {
	var admin gateway.Actor
	for i := len(d.People) - 1; i >= 0; i-- { // the admin last: she stays in the variables below
		belongings, err := s.hubs.SignIn(ctx, d.identity(s.demoIssuer(), d.People[i]))
		if err != nil {
			return err
		}
		for _, b := range belongings {
			switch b.Hub.ExternalID {
			case demoHubs[0].HubExternalID:
				d.HubID = b.Hub.ID
				admin = gateway.Actor{
					HubID: b.Hub.ID, ParticipantID: b.Participant.ID, Role: b.Participant.Role,
					Email: b.Participant.Email, EmailVerified: true, Name: b.Participant.Name,
				}
			case demoHubs[1].HubExternalID:
				d.UnconnectedHubID = b.Hub.ID
			}
		}
	}
	if err := s.seedKaltura(ctx, d); err != nil {
		return fmt.Errorf("demo account: %w", err)
	}
	tokens := d.Kaltura.AppTokens
	if _, err := s.integrations.Get(ctx, admin); gateway.CodeOf(err) == gateway.NotFound {
		if _, err := s.integrations.Save(ctx, admin, 0, gateway.Connection{
			ServiceURL: d.Kaltura.ServiceURL, PartnerID: d.Kaltura.PartnerID,
			AppTokenID: tokens[0].ID, AppToken: gateway.Secret(tokens[0].Token), HashType: tokens[0].HashType,
			Visibility: gateway.VisibilityShared, MappingMode: gateway.MappingOnFirstUse, MatchBy: gateway.MatchEmail,
		}); err != nil {
			return fmt.Errorf("demo connection: %w", err)
		}
	} else if err != nil {
		return err
	}
	client, secret, err := s.access.NewClient(ctx, d.HubID, "Demo client", gateway.AllScopes)
	if err != nil {
		return err
	}
	d.ClientID, d.ClientSecret = client.ID, secret.Reveal()
	return nil
}

// seedKaltura makes, as a Kaltura administrator would, what every embedded account has, and one
// user who can be matched by e-mail.
func (s *server) seedKaltura(ctx context.Context, d *demoFile) error {
	call, err := adminCalls(ctx, s.local, d.Kaltura, d.Kaltura.AdminEmail)
	if err != nil {
		return err
	}
	carl := d.People[1]
	first, last, _ := strings.Cut(carl.Name, " ")
	err = call("user", "add", map[string]any{"user": map[string]any{
		"objectType": "KalturaUser", "id": "carl.curator", "email": carl.Email, "firstName": first, "lastName": last,
	}}, nil)
	if err != nil && !strings.Contains(err.Error(), "DUPLICATE_USER_BY_ID") {
		return err
	}
	return s.seedAccount(call, &d.Kaltura, "Isthmus demo")
}

// adminCall makes one API call as an account's administrator.
type adminCall func(service, action string, params map[string]any, out any) error

func adminCalls(ctx context.Context, client *http.Client, k kalturaFile, admin string) (adminCall, error) {
	var ks string
	err := callKaltura(ctx, client, k.ServiceURL, "session", "start", map[string]any{
		"secret": k.AdminSecret, "userId": admin, "type": 2, "partnerId": k.PartnerID, "expiry": 3600,
	}, &ks)
	return func(service, action string, params map[string]any, out any) error {
		params["ks"] = ks
		return callKaltura(ctx, client, k.ServiceURL, service, action, params, out)
	}, err
}

// create makes the account with the file's secrets, a drop folder, and the operator beside it.
func (k kalturaFile) create(ctx context.Context, p *platform.Platform, a platform.Account) error {
	a.PartnerID, a.AdminSecret, a.UserSecret = k.PartnerID, gateway.Secret(k.AdminSecret), gateway.Secret(k.UserSecret)
	a.AdminEmail, a.AdminPassword, a.DropFolder = k.AdminEmail, gateway.Secret(k.AdminPassword), dropFolder
	if err := p.CreateOperator(ctx, gateway.Secret(k.OperatorSecret)); err != nil {
		return err
	}
	return p.CreateAccount(ctx, a)
}

// seedAccount makes an App Token for each visibility and notes them with the drop folder.
func (g *ground) seedAccount(call adminCall, k *kalturaFile, name string) error {
	var folders struct {
		Objects []struct {
			ID   int64
			Path string
		}
	}
	if err := call("dropfolder_dropfolder", "list", map[string]any{}, &folders); err != nil {
		return err
	}
	k.DropRoot = filepath.Join(g.data, dropRoot)
	if len(folders.Objects) > 0 {
		first := folders.Objects[0]
		k.DropFolderID, k.DropFolderPath = first.ID, filepath.Join(k.DropRoot, first.Path)
	}
	k.AppTokens = nil
	for _, v := range []struct{ visibility, privileges string }{
		{string(gateway.VisibilityShared), "list:*,sview:*"},
		{string(gateway.VisibilityOwn), "sview:*"},
	} {
		var made struct{ ID, Token string }
		if err := call("appToken", "add", map[string]any{"appToken": map[string]any{
			"objectType": "KalturaAppToken", "hashType": "SHA256", "sessionPrivileges": v.privileges,
			"description": name + ", " + v.visibility,
		}}, &made); err != nil {
			return err
		}
		k.AppTokens = append(k.AppTokens, tokenFile{ID: made.ID, Token: made.Token, HashType: "SHA256", Visibility: v.visibility})
	}
	return nil
}

// callKaltura makes one plain API call, for what a Kaltura administrator does and the gateway never does.
func callKaltura(ctx context.Context, client *http.Client, serviceURL, service, action string, params map[string]any, out any) error {
	params["format"] = 1
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		serviceURL+"/api_v3/service/"+service+"/action/"+action, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	var exception struct{ ObjectType, Code, Message string }
	if json.Unmarshal(answer, &exception) == nil && exception.ObjectType == "KalturaAPIException" {
		return fmt.Errorf("%s.%s: %s: %s", service, action, exception.Code, exception.Message)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// greet prints once what is needed to try the demo.
func (d demoFile) greet(w io.Writer, file string) {
	fmt.Fprintf(w, "\nIsthmus demo at %s\n\n", d.BaseURL)
	for _, p := range d.People {
		fmt.Fprintf(w, "  %-14s %-26s password %s\n", p.Role, p.Email, p.Password)
	}
	fmt.Fprintf(w, "\n  The first hub is connected to the embedded Kaltura account %d.\n", d.Kaltura.PartnerID)
	if d.DropFolder.Path != "" {
		fmt.Fprintf(w, "  What is copied into %s becomes an entry.\n", d.DropFolder.Path)
	}
	fmt.Fprintf(w, "  Connect the second one with an App Token from %s (also the API client and its secret).\n\n", filepath.Clean(file))
}
