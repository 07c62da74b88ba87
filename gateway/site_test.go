package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/integrations"
	"isthmus/media"
	"isthmus/outbound"
	"isthmus/secrets"
	"isthmus/store"
)

// site is a whole gateway on real parts, with one connected hub. Without a platform handler, the
// account does not answer.
type site struct {
	t       testing.TB
	db      *store.DB
	clock   *gatewaytest.Clock // nil = the real time
	house   gatewaytest.House
	keys    *secrets.Keyring
	disk    *media.Disk
	staging *media.Staging
	blobs   *media.Blobs
	events  *gateway.Events
	uploads *gateway.Uploads
	relay   *gateway.Relay
	library *gateway.Library
	assets  *gateway.Assets
	jobs    *gateway.Jobs
	ins     *gateway.Integrations
	in      gateway.Integration
	told    func(uploadID string, why *gateway.Error) // of sessions of the fast path
}

// replica gives what a second server on the same database has of its own: staged bytes, and who sends them.
func (s *site) replica(name string) *site {
	s.t.Helper()
	disk, err := media.OpenDisk(s.t.TempDir(), -1)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = disk.Close() })
	at, u := *s, s.uploads
	at.staging = media.NewStaging(disk)
	at.relay = &gateway.Relay{Store: s.db, Staging: at.staging, Integrations: s.ins, Mappings: s.relay.Mappings, Events: s.events, ChunkSize: 64 << 10}
	at.uploads = &gateway.Uploads{
		Store: s.db, Clock: u.Clock, Staging: at.staging, Pipeline: u.Pipeline, Integrations: s.ins, Mappings: s.relay.Mappings, Events: s.events,
		Relay: at.relay, Replica: name, Life: u.Life, MaxSize: u.MaxSize,
	}
	return &at
}

type siteOptions struct {
	Clock    *gatewaytest.Clock
	Plan     gateway.Plan
	Local    map[string]http.Handler // by service URL
	Account  gateway.Integration     // what is connected; zero = an account that does not answer
	Token    gateway.Secret
	Unmapped bool
	Dir      string
	Later    bool // the test connects the account itself
}

func newSite(t testing.TB, db *store.DB, o siteOptions) *site {
	t.Helper()
	now := gateway.SystemClock
	if o.Clock != nil {
		now = o.Clock.Now
	}
	if o.Plan == "" {
		o.Plan = gateway.PlanUniversity
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s := &site{t: t, db: db, clock: o.Clock}
	var err error
	if s.keys, err = secrets.OpenKeyring(o.Dir, true); err != nil {
		t.Fatal(err)
	}
	tickets, err := secrets.NewTickets(s.keys, "https://isthmus.example", now)
	if err != nil {
		t.Fatal(err)
	}
	disk, err := media.OpenDisk(o.Dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	s.disk = disk
	s.staging = media.NewStaging(disk)
	s.blobs = media.NewBlobs(disk, s.staging)
	s.events = &gateway.Events{Store: db, Clock: now}
	s.ins = &gateway.Integrations{
		Store: db, Clock: now, Sealer: s.keys, Events: s.events,
		Platforms: integrations.New(integrations.Options{Local: o.Local, Clock: now}),
	}
	maps := &gateway.Mappings{Store: db, Clock: now, Integrations: s.ins, Events: s.events}
	s.relay = &gateway.Relay{Store: db, Staging: s.staging, Integrations: s.ins, Mappings: maps, Events: s.events, ChunkSize: 64 << 10}
	s.uploads = &gateway.Uploads{
		Store: db, Clock: now, Staging: s.staging, Integrations: s.ins, Mappings: maps, Events: s.events,
		Relay: s.relay, Replica: db.Replica(), Life: 30 * 24 * time.Hour, MaxSize: 1 << 40,
	}
	s.assets = &gateway.Assets{Store: db, Clock: now, Staging: s.staging, Blobs: s.blobs, Events: s.events}
	s.library = &gateway.Library{
		Store: db, Clock: now, Tickets: tickets, Assets: s.assets, Events: s.events,
		Catalog: &gateway.Catalog{Integrations: s.ins, Mappings: maps, Clock: now},
	}
	s.library.Uploads, s.uploads.Blobs, s.library.Sealer = s.uploads, s.blobs, s.keys
	s.library.Fetcher = outbound.NewSource(outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s.library.BaseURL = "https://isthmus.example"
	s.assets.Settled = map[string]func(context.Context, gateway.Asset) error{gateway.OwnerLibraryItem: s.library.AssetChanged}
	s.jobs = &gateway.Jobs{Store: db, Clock: now, Events: s.events, Assets: s.assets}
	s.house = gatewaytest.NewHouse(t, db, now, "north", o.Plan)
	if !o.Later {
		s.connect(o)
	}
	return s
}

func (s *site) connect(o siteOptions) {
	s.t.Helper()
	ctx := s.t.Context()
	in := o.Account
	in.Row = gateway.Row{ID: gateway.NewID("int"), HubID: s.house.Hub.ID}
	if in.ServiceURL == "" {
		in.ServiceURL, in.PartnerID, in.AppTokenID, in.HashType = "https://kaltura.example", 101, "0_token", "SHA256"
		o.Token = "0123456789abcdef0123456789abcdef"
	}
	in.Platform = gateway.PlatformKaltura
	if in.Visibility == "" {
		in.Visibility = gateway.VisibilityShared
	}
	in.MappingMode, in.MatchBy, in.Health = gateway.MappingOnFirstUse, gateway.MatchEmail, gateway.HealthOK
	var err error
	if in.AppToken, err = s.keys.Seal(o.Token, in.Place()); err != nil {
		s.t.Fatal(err)
	}
	if err := s.db.Integrations().Insert(ctx, &in); err != nil {
		s.t.Fatal(err)
	}
	s.in = in
	if o.Unmapped {
		return
	}
	for _, a := range []gateway.Actor{s.house.Ada, s.house.Bob, s.house.Admin} {
		m := gateway.Mapping{
			Row: gateway.Row{ID: gateway.NewID("map"), HubID: a.HubID}, IntegrationID: in.ID, ParticipantID: a.ParticipantID,
			PlatformUserID: a.Email, How: gateway.MappedMatched, State: gateway.MappingActive, LastUsedAt: gateway.SystemClock(),
		}
		if err := s.db.Mappings().Insert(ctx, &m); err != nil {
			s.t.Fatal(err)
		}
	}
}

// create makes an upload of the bytes.
func (s *site) create(a gateway.Actor, name string, body []byte) gateway.Upload {
	s.t.Helper()
	u, err := s.uploads.Create(s.t.Context(), a, gateway.NewUpload{Name: name, Size: int64(len(body))})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// send writes the bytes in several pieces.
func (s *site) send(a gateway.Actor, id string, body []byte) {
	s.t.Helper()
	for at := 0; at < len(body); {
		n := min(len(body)-at, 1+rand.IntN(len(body)))
		if _, err := s.uploads.Write(s.t.Context(), a, id, int64(at), bytes.NewReader(body[at:at+n])); err != nil {
			s.t.Fatal(err)
		}
		at += n
	}
}

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// noise is n bytes that no run repeats.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// types lists the events about a subject, oldest first.
func (s *site) types(subject string) []string {
	s.t.Helper()
	list, err := s.db.Events().Since(s.t.Context(), s.house.Admin, 0, 500)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		if e.Subject == subject {
			if !json.Valid(e.Data) {
				s.t.Errorf("event %s has bad data", e.Type)
			}
			out = append(out, e.Type)
		}
	}
	return out
}

func count(list []string, s string) int {
	n := 0
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

// eventually waits for a condition, with a deadline so generous that only a hang reaches it.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
