package gateway

import (
	"strings"
	"testing"
)

func TestPlacesOverlap(t *testing.T) {
	dir := func(hub, path string) DropFolder {
		return DropFolder{Row: Row{ID: hub + path, HubID: hub}, Source: DropDirectory, Path: path}
	}
	bucket := func(endpoint, name, path string) DropFolder {
		return DropFolder{Row: Row{ID: endpoint + name + path, HubID: endpoint}, Source: DropBucket, Path: path, Bucket: DropBucketAddress{Endpoint: endpoint, Name: name}}
	}
	for _, c := range []struct {
		a, b DropFolder
		want bool
	}{
		{dir("h", "a"), dir("h", "a"), true},
		{dir("h", "a"), dir("h", "a/b"), true},
		{dir("h", "a/b/c"), dir("h", "a"), true},
		{dir("h", "a"), dir("h", "ab"), false},
		{dir("h", "a/b"), dir("h", "a/c"), false},
		{dir("h", "News"), dir("h", "news/x"), true},         // one directory on file systems that take both for the same
		{dir("h", "cafe\u0301"), dir("h", "café"), true},     // likewise
		{dir("h", "a"), dir("i", "a"), false},                // a hub's directories lie below its own
		{dir("h", "a"), bucket("", "a", ""), false},          //
		{bucket("", "b", ""), bucket("", "b", "x"), true},    // all of the bucket
		{bucket("", "b", "x"), bucket("", "b", "xy"), false}, // prefixes end with a slash
		{bucket("", "b", "x"), bucket("", "c", "x"), false},  //
		{bucket("https://s3.eu-central-1.amazonaws.com", "b", "x"), bucket("", "b", "x/y"), true},
		{bucket("https://b.s3.amazonaws.com", "b", "x"), bucket("", "b", "x"), true},
		{bucket("https://S3.example.org", "b", "x"), bucket("https://s3.example.org:443", "b", "x"), true},
		{bucket("https://b.s3.example.org", "b", "x"), bucket("https://s3.example.org", "b", "x"), true},
		{bucket("https://s3.example.org", "b", "x"), bucket("https://s3.example.net", "b", "x"), false},
		{bucket("https://s3.example.org:9000", "b", "x"), bucket("https://s3.example.org", "b", "x"), false},
		{DropFolder{Source: DropUploads}, DropFolder{Source: DropUploads}, false},
	} {
		if got := overlaps(c.a, c.b); got != c.want || overlaps(c.b, c.a) != got {
			t.Errorf("%s and %s: %v", c.a.place(), c.b.place(), got)
		}
	}
	mine, other := dir("h", "a"), dir("h", "a/b")
	other.Name = "Other"
	if err := apart(mine, []DropFolder{mine, other}); !IsReason(err, "place_taken") || !strings.Contains(AsError(err).Message, "Other") || AsError(err).Field != "/path" {
		t.Error(err)
	}
	foreign := bucket("https://s3.example.org", "b", "")
	foreign.Name = "Secret project"
	if err := apart(bucket("https://b.s3.example.org", "b", "x"), []DropFolder{foreign}); !IsReason(err, "place_taken") || strings.Contains(AsError(err).Message, "Secret") {
		t.Error("another hub's folder is named:", err)
	}
	if err := apart(mine, []DropFolder{mine}); err != nil {
		t.Error("a folder is in its own way:", err)
	}
}

func TestFolderPaths(t *testing.T) {
	for text, want := range map[string]string{"a": "a", "a/b/": "a/b", "": "", "/": "", "Beiträge/März": "Beiträge/März"} {
		if got, err := cleanDropPath(text); err != nil || got != want {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
	for _, bad := range []string{"/a", "a//b", "../a", "a/..", "a/../b", "./a", "a\\b", "a\x00", "a\nb", "\xff", "a /b", " a", ".ssh", "a/.git", "a\u202e", strings.Repeat("a", 300), strings.Repeat("a/", 600)} {
		if _, err := cleanDropPath(bad); CodeOf(err) != Invalid || AsError(err).Field != "/path" || AsError(err).NextStep == "" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
