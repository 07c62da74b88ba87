package platformtest

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/jpeg" // thumbnails
	_ "image/png"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
)

func (s *suite) unknown(t *testing.T) {
	for _, id := range []string{"0_doesnotexist", "", "../../etc/passwd", "0_a/../b", "0_\x00"} {
		_, err := s.p.Get(t.Context(), s.Alice, id)
		wantCode(t, err, gateway.NotFound)
		_, err = s.p.Open(t.Context(), s.Alice, id, gateway.RenditionOriginal, gateway.Range{End: -1})
		wantCode(t, err, gateway.NotFound)
	}
}

// ingest sends a file in pieces, in any order, several times, from two processes, and finishes it
// again and again: one entry with the right bytes comes of it.
func (s *suite) ingest(t *testing.T) {
	data := read(t, s.Video)
	m := s.describe("Shuffled — Ünïcode: \"quotes\" / 日本語", s.Video, len(data), gateway.Video, "lecture")
	first, err := s.p.Create(t.Context(), s.Alice, m)
	if err != nil {
		t.Fatal(err)
	}
	const pieces = 9
	step := (len(data) + pieces - 1) / pieces
	order := rand.Perm(pieces)
	if order[0] == 0 { // the beginning comes late, which is the harder case
		order[0], order[pieces-1] = order[pieces-1], order[0]
	}
	send := func(in gateway.Ingest, piece int) error {
		from := min(piece*step, len(data))
		to := min(from+step, len(data))
		return in.WriteAt(t.Context(), int64(from), int64(to-from), bytes.NewReader(data[from:to]))
	}
	for _, piece := range order[:4] {
		if err := send(first, piece); err != nil {
			t.Fatal(err)
		}
	}
	// The process dies. Another one knows the handle only, repeats a piece and sends the rest in parallel.
	m.Handle = first.Handle()
	second, err := s.Open().Create(t.Context(), s.Alice, m)
	if err != nil {
		t.Fatal(err)
	}
	if second.Handle() != m.Handle {
		t.Errorf("handle %q, resumed as %q", m.Handle, second.Handle())
	}
	var wg sync.WaitGroup
	for _, piece := range append(order[4:], order[0]) {
		wg.Go(func() {
			if err := send(second, piece); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if found := s.all(t, s.Alice, gateway.Query{Tags: []string{s.marker}}); len(found) != 0 {
		t.Errorf("%d entries before the finish", len(found))
	}
	ids := make([]string, 6)
	for i := range ids {
		wg.Go(func() {
			in := second
			if i >= 4 { // a third process after a lost answer, once the others are through
				return
			}
			got, err := in.Finish(t.Context(), m)
			if err != nil {
				t.Error(err)
			}
			ids[i] = got.ID
		})
	}
	wg.Wait()
	for i := 4; i < len(ids); i++ {
		again, err := s.Open().Create(t.Context(), s.Alice, m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := again.Finish(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = got.ID
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(ids)))); n != 1 || ids[0] == "" {
		t.Fatalf("%d entries: %v", n, ids)
	}
	if found := s.all(t, s.Alice, gateway.Query{Tags: []string{s.marker}}); len(found) != 1 {
		t.Errorf("%d entries are listed", len(found))
	}
	got := s.ready(t, s.Alice, ids[0])
	if got.Name != m.Name || got.OwnerID != s.Alice.PlatformUserID || got.ReferenceID != m.ReferenceID || got.Type != gateway.Video ||
		!slices.Contains(got.Tags, "lecture") || got.CreatedAt.IsZero() || got.DurationMS == 0 {
		t.Errorf("%+v", got)
	}
	s.ranges(t, got, data)
}

// ranges reads the original in pieces.
func (s *suite) ranges(t *testing.T, m gateway.Media, data []byte) {
	t.Helper()
	n := int64(len(data))
	original := slices.IndexFunc(m.Renditions, func(r gateway.Rendition) bool { return r.Original && r.Ready })
	if original < 0 {
		t.Fatalf("no original among %+v", m.Renditions)
	}
	for _, r := range []gateway.Range{{Start: 0, End: -1}, {Start: 0, End: 1}, {Start: n / 3, End: n / 2}, {Start: n - 1, End: -1}, {Start: n - 10, End: n}, {Start: 5, End: 5}} {
		for _, rendition := range []string{gateway.RenditionOriginal, m.Renditions[original].ID} {
			body, err := s.p.Open(t.Context(), s.Alice, m.ID, rendition, r)
			if err != nil {
				t.Fatalf("%v: %v", r, err)
			}
			got, err := io.ReadAll(body)
			_ = body.Close()
			end := r.End
			if end < 0 {
				end = n
			}
			if err != nil || !bytes.Equal(got, data[r.Start:end]) {
				t.Errorf("%v of %s: %d bytes, %v", r, rendition, len(got), err)
			}
		}
	}
	_, err := s.p.Open(t.Context(), s.Alice, m.ID, "0_norendition", gateway.Range{End: -1})
	wantCode(t, err, gateway.NotFound)
	// A reader that is given up midway does no harm.
	body, err := s.p.Open(t.Context(), s.Alice, m.ID, gateway.RenditionOriginal, gateway.Range{End: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = body.Read(make([]byte, 10))
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}

func (s *suite) ingestGone(t *testing.T) {
	data := read(t, s.Picture)
	m := s.describe("Abandoned", s.Picture, len(data), gateway.Image)
	in, err := s.p.Create(t.Context(), s.Alice, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.WriteAt(t.Context(), 0, 10, bytes.NewReader(data[:10])); err != nil {
		t.Fatal(err)
	}
	// Finishing what is not whole must not make an entry.
	if _, err := in.Finish(t.Context(), m); !gateway.IsReason(err, "ingest_gone") {
		t.Errorf("half a file was finished: %v", err)
	}
	for range 2 {
		if err := in.Abandon(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := in.WriteAt(t.Context(), 10, 10, bytes.NewReader(data[10:20])); !gateway.IsReason(err, "ingest_gone") {
		t.Errorf("write: %v", err)
	}
	if _, err := in.Finish(t.Context(), m); !gateway.IsReason(err, "ingest_gone") {
		t.Errorf("finish: %v", err)
	}
	m.Handle = in.Handle()
	if _, err := s.Open().Create(t.Context(), s.Alice, m); !gateway.IsReason(err, "ingest_gone") {
		t.Errorf("create: %v", err)
	}
	// Begun again, it becomes an entry after all.
	m.Handle = ""
	if got := s.put(t, s.Alice, m, data); got.ReferenceID != m.ReferenceID {
		t.Errorf("%+v", got)
	}
	if err := in.WriteAt(t.Context(), m.Size, 1, bytes.NewReader(data)); gateway.CodeOf(err) != gateway.Invalid {
		t.Errorf("beyond the end: %v", err)
	}
}

func (s *suite) video(t *testing.T) {
	player, ok := s.p.(gateway.Player)
	if !ok {
		t.Skip("no player")
	}
	data := read(t, s.Video)
	made := s.put(t, s.Alice, s.describe("Plays", s.Video, len(data), gateway.Video), data)
	m := s.ready(t, s.Alice, made.ID)
	play, err := player.Playback(t.Context(), s.Alice, m)
	if err != nil {
		t.Fatal(err)
	}
	if play.DASH == "" && play.HLS == "" && play.Progressive == "" || play.ExpiresAt.IsZero() {
		t.Errorf("%+v", play)
	}
	s.thumbnail(t, player, m)
}

func (s *suite) picture(t *testing.T) {
	data := read(t, s.Picture)
	made := s.put(t, s.Bob, s.describe("A picture", s.Picture, len(data), gateway.Image), data)
	m := s.ready(t, s.Bob, made.ID)
	if m.Type != gateway.Image || m.OwnerID != s.Bob.PlatformUserID {
		t.Errorf("%+v", m)
	}
	body, err := s.p.Open(t.Context(), s.Bob, m.ID, gateway.RenditionOriginal, gateway.Range{Start: 3, End: -1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	_ = body.Close()
	if err != nil || !bytes.Equal(got, data[3:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	player, ok := s.p.(gateway.Player)
	if !ok {
		return
	}
	play, err := player.Playback(t.Context(), s.Bob, m)
	if err != nil || play.Image == "" {
		t.Errorf("%+v, %v", play, err)
	}
	s.thumbnail(t, player, m)
}

func (s *suite) thumbnail(t *testing.T, player gateway.Player, m gateway.Media) {
	t.Helper()
	body, kind, err := player.Thumbnail(t.Context(), s.Alice, m, 120)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	cfg, format, err := image.DecodeConfig(body)
	if err != nil || kind != "image/"+format || cfg.Width > 120 || cfg.Width == 0 {
		t.Errorf("%s %s %dx%d, %v", kind, format, cfg.Width, cfg.Height, err)
	}
}

// all walks a query page by page.
func (s *suite) all(t *testing.T, a gateway.Actor, q gateway.Query) []gateway.Media {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 7
	}
	var out []gateway.Media
	seen := map[string]bool{}
	for range 10000 {
		page, err := s.p.Browse(t.Context(), a, q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > q.Limit || page.AsOf.IsZero() || page.Stale {
			t.Fatalf("a page of %d with %d entries, as of %s", q.Limit, len(page.Items), page.AsOf)
		}
		for _, m := range page.Items {
			if seen[m.ID] {
				t.Fatalf("%s came twice", m.ID)
			}
			seen[m.ID] = true
		}
		out = append(out, page.Items...)
		if q.Cursor = page.Next; q.Cursor == "" {
			return out
		}
	}
	t.Fatal("no end")
	return nil
}

// settled waits until the entries are ready and change no more: a walk in the order of changes is
// complete only while nothing changes.
func (s *suite) settled(t *testing.T, ids []string) {
	t.Helper()
	var before []time.Time
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		var now []time.Time
		for _, id := range ids {
			now = append(now, s.ready(t, s.Alice, id).UpdatedAt)
		}
		if slices.EqualFunc(before, now, time.Time.Equal) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the entries keep changing")
		}
		before = now
	}
}

func (s *suite) browse(t *testing.T) {
	data := read(t, s.Picture)
	old := s.marker
	s.marker += "-list"
	defer func() { s.marker = old }()
	var ids []string
	for i := range 23 {
		who, tags := s.Alice, []string{"plain"}
		if i%2 == 1 {
			who = s.Bob
		}
		switch i % 4 {
		case 0:
			tags = []string{gateway.Tag360}
		case 2:
			tags = []string{"my 360 tour", "360grad"} // no spherical media
		}
		ids = append(ids, s.put(t, who, s.describe(fmt.Sprintf("zebra number %02d", 50-i), s.Picture, len(data), gateway.Image, tags...), data).ID)
	}
	s.settled(t, ids)
	yes, no := true, false
	mine := []string{s.marker}
	for name, c := range map[string]struct {
		actor gateway.Actor
		q     gateway.Query
		want  int
	}{
		"everything":     {s.Alice, gateway.Query{Tags: mine}, 23},
		"one by one":     {s.Alice, gateway.Query{Tags: mine, Limit: 1}, 23},
		"oldest first":   {s.Alice, gateway.Query{Tags: mine, Sort: gateway.SortOldest}, 23},
		"changed last":   {s.Alice, gateway.Query{Tags: mine, Sort: gateway.SortUpdated}, 23},
		"by name":        {s.Alice, gateway.Query{Tags: mine, Sort: gateway.SortName}, 23},
		"by length":      {s.Alice, gateway.Query{Tags: mine, Sort: gateway.SortLongest}, 23},
		"alice's":        {s.Alice, gateway.Query{Tags: mine, OwnerID: s.Alice.PlatformUserID}, 12},
		"bob's":          {s.Bob, gateway.Query{Tags: mine, OwnerID: s.Bob.PlatformUserID}, 11},
		"bob's by alice": {s.Alice, gateway.Query{Tags: mine, OwnerID: s.Bob.PlatformUserID}, 11},
		"360":            {s.Alice, gateway.Query{Tags: mine, Only360: &yes}, 6},
		"not 360":        {s.Alice, gateway.Query{Tags: mine, Only360: &no}, 17},
		"a tag":          {s.Alice, gateway.Query{Tags: append([]string{"plain"}, mine...)}, 11},
		"text":           {s.Alice, gateway.Query{Text: "zebra 37", Tags: mine}, 1},
		"text beginning": {s.Alice, gateway.Query{Text: "ZEBR", Tags: mine}, 23},
		"no such text":   {s.Alice, gateway.Query{Text: "unicorn", Tags: mine}, 0},
		"images":         {s.Alice, gateway.Query{Tags: mine, Types: []gateway.MediaType{gateway.Image}}, 23},
		"videos":         {s.Alice, gateway.Query{Tags: mine, Types: []gateway.MediaType{gateway.Video, gateway.Audio}}, 0},
		"failed":         {s.Alice, gateway.Query{Tags: mine, Statuses: []gateway.MediaStatus{gateway.MediaFailed}}, 0},
	} {
		got := s.all(t, c.actor, c.q)
		if len(got) != c.want {
			t.Errorf("%s: %d entries, want %d", name, len(got), c.want)
		}
		if !slices.IsSortedFunc(got, orders[c.q.Sort]) {
			t.Errorf("%s: out of order", name)
		}
	}
	// A machine client has no user and sees what the account shows.
	if got := s.all(t, gateway.Actor{HubID: s.Alice.HubID, ClientID: "cli_1"}, gateway.Query{Tags: mine}); len(got) != len(ids) {
		t.Errorf("a client sees %d", len(got))
	}
	if _, err := s.p.Browse(t.Context(), s.Alice, gateway.Query{Cursor: "rubbish"}); gateway.CodeOf(err) != gateway.Invalid {
		t.Errorf("a foreign cursor: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.p.Browse(ctx, s.Alice, gateway.Query{}); err == nil {
		t.Error("a cancelled request was answered")
	}
}

var orders = map[gateway.Sort]func(a, b gateway.Media) int{
	"":                  func(a, b gateway.Media) int { return b.CreatedAt.Compare(a.CreatedAt) },
	gateway.SortOldest:  func(a, b gateway.Media) int { return a.CreatedAt.Compare(b.CreatedAt) },
	gateway.SortUpdated: func(a, b gateway.Media) int { return b.UpdatedAt.Compare(a.UpdatedAt) },
	gateway.SortName: func(a, b gateway.Media) int {
		return bytes.Compare([]byte(a.Name), []byte(b.Name))
	},
	gateway.SortLongest: func(a, b gateway.Media) int { return int(b.DurationMS - a.DurationMS) },
}
