package platformtest

import (
	"slices"
	"strings"
	"testing"

	"isthmus/gateway"
)

// category: a limited account lists what lies in its category and nothing else, says so of each
// entry, puts uploads there, and does not mistake an entry outside for one of its own.
func (s *suite) category(t *testing.T) {
	if s.Scoped == nil {
		t.Skip("no categories")
	}
	data := read(t, s.Picture)
	outside := s.put(t, s.Alice, s.describe("Outside", s.Picture, len(data), gateway.Image), data).ID
	plain := s.p
	s.p = s.Scoped()
	defer func() { s.p = plain }()
	inside := s.put(t, s.Bob, s.describe("Inside", s.Picture, len(data), gateway.Image), data).ID
	var listed []string
	for _, m := range s.all(t, s.Alice, gateway.Query{Tags: []string{s.marker}}) {
		listed = append(listed, m.ID)
		if m.CategoryID == 0 {
			t.Errorf("%s is listed without its category", m.Name)
		}
	}
	if !slices.Equal(listed, []string{inside}) {
		t.Errorf("listed: %v, inside is %s", listed, inside)
	}
	for id, in := range map[string]bool{inside: true, outside: false} {
		m, err := s.p.Get(t.Context(), s.Alice, id)
		if err == nil && (m.CategoryID != 0) != in || err != nil && in {
			t.Errorf("%s: category %d, %v; inside: %v", id, m.CategoryID, err, in)
		}
	}
}

func (s *suite) profiles(t *testing.T) {
	profiler, ok := s.p.(gateway.Profiler)
	if !ok {
		t.Skip("no profiler")
	}
	list, err := profiler.Profiles(t.Context())
	if err != nil || len(list) == 0 {
		t.Fatalf("%d profiles, %v", len(list), err)
	}
	for i, p := range list {
		if p.ID <= 0 || p.Name == "" || p.Default != (i == 0) {
			t.Errorf("%+v", p)
		}
	}
}

// restricted: what not everybody may play still plays for the one who asks, for minutes, and its
// picture and its file are there.
func (s *suite) restricted(t *testing.T) {
	player, ok := s.p.(gateway.Player)
	if !ok || s.Restrict == nil {
		t.Skip("nothing can be restricted")
	}
	data := read(t, s.Video)
	id := s.put(t, s.Alice, s.describe("Restricted", s.Video, len(data), gateway.Video), data).ID
	m := s.ready(t, s.Alice, id)
	open, err := player.Playback(t.Context(), s.Bob, m)
	if err != nil {
		t.Fatal(err)
	}
	s.Restrict(t, id)
	m = s.ready(t, s.Alice, id)
	closed, err := player.Playback(t.Context(), s.Bob, m)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := player.Playback(t.Context(), s.Alice, m)
	if err != nil {
		t.Fatal(err)
	}
	if closed.DASH == open.DASH || closed.DASH == theirs.DASH || closed.DASH == "" || !closed.ExpiresAt.Before(open.ExpiresAt) {
		t.Errorf("before: %+v, after: %+v", open, closed)
	}
	s.thumbnail(t, player, m)
	s.ranges(t, m, data)
}

func (s *suite) captions(t *testing.T) {
	captioner, ok := s.p.(gateway.Captioner)
	if !ok || s.Caption == nil {
		t.Skip("no captions")
	}
	data := read(t, s.Video)
	id := s.put(t, s.Alice, s.describe("Spoken", s.Video, len(data), gateway.Video), data).ID
	if m := s.ready(t, s.Alice, id); len(m.Captions) != 0 {
		t.Errorf("%+v", m.Captions)
	}
	s.Caption(t, id, "English", "1\n00:00:00,500 --> 00:00:01,500\nGood morning\n")
	s.Caption(t, id, "German", "1\n00:00:00,500 --> 00:00:01,500\nGrüß Gott\n")
	m := s.ready(t, s.Alice, id)
	if len(m.Captions) != 2 {
		t.Fatalf("%+v", m.Captions)
	}
	var said string
	for _, c := range m.Captions {
		vtt, err := captioner.Caption(t.Context(), s.Bob, c)
		if err != nil || !strings.HasPrefix(string(vtt), "WEBVTT") || c.Language == "" || c.Label == "" {
			t.Errorf("%+v: %q, %v", c, vtt, err)
		}
		said += string(vtt)
	}
	if !strings.Contains(said, "Good morning") || !strings.Contains(said, "Grüß Gott") || !strings.Contains(said, "00:00:00.500 --> 00:00:01.500") {
		t.Errorf("%s", said)
	}
	_, err := captioner.Caption(t.Context(), s.Bob, gateway.Caption{ID: "0_doesnotexist", Format: "srt"})
	wantCode(t, err, gateway.NotFound)
}
