package platformtest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"isthmus/gateway"
)

// Subject is an account to be tried.
type Subject struct {
	// Open gives the account as a process sees it that has just started: nothing is remembered from
	// an earlier call of Open.
	Open func() gateway.Platform
	// Alice and Bob are two people with users on the platform.
	Alice, Bob gateway.Actor
	// Scoped gives the same account limited to a category, as Open does; nil = there are no categories.
	Scoped func() gateway.Platform
	// ScopedName is the full name of that category; Root is put before the names of categories that are made.
	ScopedName, Root string
	// Custom makes a profile of custom metadata with the field Topic and gives what reads an entry's; nil = there are none.
	Custom func(t *testing.T, systemName string) (read func(id string) string)
	// Flavor is a rendition that can be replaced by itself; zero = there is none.
	Flavor gateway.ManifestRef
	// Restrict lets only chosen viewers play an entry; nil = the platform cannot.
	Restrict func(t *testing.T, id string)
	// Caption adds a text track as SRT; nil = there are none.
	Caption func(t *testing.T, id, language, srt string)
	// Video and Picture are files that the platform can play and show.
	Video, Picture string
}

// Run tries a platform. make is called once; abilities that the platform does not have are skipped.
func Run(t *testing.T, make func(t *testing.T) Subject) {
	s := &suite{Subject: make(t), marker: fmt.Sprintf("suite-%d", time.Now().UnixNano())}
	s.p = s.Open()
	t.Run("Probe", s.probe)
	t.Run("Unknown", s.unknown)
	t.Run("Ingest", s.ingest)
	t.Run("IngestGone", s.ingestGone)
	t.Run("Video", s.video)
	t.Run("Picture", s.picture)
	t.Run("Browse", s.browse)
	t.Run("Tags", s.tags)
	t.Run("Users", s.users)
	t.Run("Owners", s.owners)
	t.Run("Remove", s.remove)
	t.Run("Category", s.category)
	t.Run("Profiles", s.profiles)
	t.Run("Restricted", s.restricted)
	t.Run("Captions", s.captions)
	t.Run("Editing", s.editing)
	t.Run("Replacing", s.replacing)
	t.Run("Flavours", s.flavours)
	t.Run("Thumbnails", s.thumbnails)
	t.Run("EditingScoped", s.editingScoped)
}

type suite struct {
	Subject
	p      gateway.Platform
	marker string // tag of everything made here
	n      int
}

const patience = 90 * time.Second

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// describe makes a NewMedia with a fresh reference id.
func (s *suite) describe(name, file string, size int, kind gateway.MediaType, tags ...string) gateway.NewMedia {
	s.n++
	return gateway.NewMedia{
		ReferenceID: fmt.Sprintf("%s-%d", s.marker, s.n), Name: name, FileName: filepath.Base(file),
		Size: int64(size), Type: kind, Tags: append([]string{s.marker}, tags...),
	}
}

// put sends a file in one piece.
func (s *suite) put(t *testing.T, a gateway.Actor, m gateway.NewMedia, data []byte) gateway.Media {
	t.Helper()
	in, err := s.p.Create(t.Context(), a, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.WriteAt(t.Context(), 0, int64(len(data)), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	got, err := in.Finish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// ready waits until an entry plays.
func (s *suite) ready(t *testing.T, a gateway.Actor, id string) gateway.Media {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		m, err := s.p.Get(ctx, a, id)
		if err != nil {
			t.Fatal(err)
		}
		switch m.Status {
		case gateway.MediaReady:
			return m
		case gateway.MediaFailed:
			t.Fatalf("%s failed", id)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is still %s", id, m.Status)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func wantCode(t *testing.T, err error, code gateway.Code) {
	t.Helper()
	if gateway.CodeOf(err) != code {
		t.Errorf("err = %v, want %s", err, code)
	}
}
