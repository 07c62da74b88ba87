package gateway

import (
	"slices"
	"strings"
	"testing"
)

// Each bad input is refused with the field that is to blame and what to do.
func TestFolderSettingsNameWhatIsWrong(t *testing.T) {
	type draft = DropFolderDraft
	uploads := DropUploads
	dir := func(d draft) draft {
		source, path := DropDirectory, "in"
		d.Source = &source
		if d.Path == nil {
			d.Path = &path
		}
		return d
	}
	bucket := func(b DropBucketAddress, secret string) draft {
		source, s := DropBucket, Secret(secret)
		return draft{Source: &source, Bucket: &b, Secret: &s}
	}
	for _, c := range []struct {
		d             draft
		field, reason string
	}{
		{draft{Name: new("")}, "/name", "name_empty"},
		{draft{Name: new(" \u202e\n")}, "/name", "name_empty"},
		{draft{Name: new(strings.Repeat("ä", 201))}, "/name", ""},
		{draft{Description: new(strings.Repeat("x", 2001))}, "/description", "text_too_long"},
		{draft{Source: new(DropSourceKind("ftp"))}, "/source", "source_unknown"},
		{draft{Source: &uploads, Path: new("in")}, "/path", "path_unwanted"},
		{dir(draft{Path: new("../in")}), "/path", "path_invalid"},
		{dir(draft{Path: new("")}), "/path", "path_missing"},
		{draft{Bucket: &DropBucketAddress{Name: "abc"}}, "/bucket", "bucket_unwanted"},
		{draft{Secret: new(Secret("x"))}, "/bucket_secret", "bucket_unwanted"},
		{bucket(DropBucketAddress{}, ""), "/bucket/name", "bucket_name"},
		{bucket(DropBucketAddress{Name: "UP", Region: "eu"}, ""), "/bucket/name", "bucket_name"},
		{bucket(DropBucketAddress{Name: "a..b", Region: "eu"}, ""), "/bucket/name", "bucket_name"},
		{bucket(DropBucketAddress{Name: "abc"}, ""), "/bucket/region", "bucket_region"},
		{bucket(DropBucketAddress{Name: "abc", Endpoint: "ftp://x"}, ""), "/bucket/endpoint", "bucket_endpoint"},
		{bucket(DropBucketAddress{Name: "abc", Endpoint: "https://key:secret@x"}, ""), "/bucket/endpoint", "bucket_endpoint"},
		{bucket(DropBucketAddress{Name: "abc", Endpoint: "https://x?a=b"}, ""), "/bucket/endpoint", "bucket_endpoint"},
		{bucket(DropBucketAddress{Name: "abc", Region: "eu", KeyID: "k"}, ""), "/bucket_secret", "bucket_key"},
		{bucket(DropBucketAddress{Name: "abc", Region: "eu"}, "s"), "/bucket/key_id", "bucket_key"},
		{bucket(DropBucketAddress{Name: "abc", Region: "eu", KeyID: "a b"}, "s"), "/bucket/key_id", "bucket_key"},
		{bucket(DropBucketAddress{Name: "abc", Region: "eu", KeyID: "k"}, strings.Repeat("s", 1001)), "/bucket_secret", "bucket_secret"},
		{draft{Complete: &DropComplete{StableS: 5}}, "/complete", "complete_unwanted"},
		{dir(draft{Complete: &DropComplete{Marker: "x/y"}}), "/complete/marker", "marker_invalid"},
		{dir(draft{Complete: &DropComplete{Marker: "*.done"}}), "/complete/marker", "marker_invalid"},
		{dir(draft{Complete: &DropComplete{Rename: "["}}), "/complete/rename", "pattern_invalid"},
		{dir(draft{Complete: &DropComplete{Rename: "**/*"}}), "/complete/rename", "pattern_invalid"},
		{dir(draft{Complete: &DropComplete{StableS: -1}}), "/complete/stable_seconds", "stable_invalid"},
		{dir(draft{Complete: &DropComplete{StableS: 604801}}), "/complete/stable_seconds", "stable_invalid"},
		{draft{Handler: new(DropHandler("json"))}, "/handler", "handler_unknown"},
		{draft{Patterns: &[]string{"*.mp4", "[a"}}, "/patterns/1", "pattern_invalid"},
		{draft{Patterns: new(slices.Repeat([]string{"a"}, 51))}, "/patterns", "too_many_patterns"},
		{draft{Ignore: &[]string{""}}, "/ignore/0", "pattern_invalid"},
		{draft{Match: new(DropMatch("maybe"))}, "/match", "match_unknown"},
		{draft{Slug: new("/(?=a)/")}, "/slug", ""},
		{draft{WaitHours: new(int64(0))}, "/wait_hours", "wait_invalid"},
		{draft{WaitHours: new(int64(9000))}, "/wait_hours", "wait_invalid"},
		{draft{Delete: new(DropDelete("never"))}, "/delete", "delete_unknown"},
		{draft{Delete: new(DeleteWhenReady)}, "/delete", "delete_unwanted"},
		{dir(draft{Delete: new(DeleteAfterDays)}), "/delete_days", "days_invalid"},
		{dir(draft{Delete: new(DeleteAfterDays), DeleteDays: new(int64(4000))}), "/delete_days", "days_invalid"},
		{draft{Origin: &DropOrigin{UserID: strings.Repeat("u", 101)}}, "/origin/user_id", "user_too_long"},
		{draft{Origin: &DropOrigin{Tags: []string{strings.Repeat("t", 201)}}}, "/origin/tags", "tag_too_long"},
		{draft{Origin: &DropOrigin{Category: "a>>b"}}, "/origin/category", "category_invalid"},
		{draft{Origin: &DropOrigin{Category: "a,b"}}, "/origin/category", "category_invalid"},
		{draft{Origin: &DropOrigin{Category: "1>2>3>4>5>6>7>8>9"}}, "/origin/category", "category_too_deep"},
		{draft{Origin: &DropOrigin{ConversionProfileID: -1}}, "/origin/conversion_profile_id", "profile_invalid"},
		{draft{MaxFiles: new(int64(-1))}, "/max_files", "limit_invalid"},
		{draft{MaxBytes: new(int64(-1))}, "/max_bytes", "limit_invalid"},
		{draft{Policy: new(TransferPolicy("fast"))}, "/policy", "policy_invalid"},
		{draft{RateBPS: new(int64(1))}, "/rate_bps", "rate_invalid"},
		{draft{Policy: new(PolicyFixed)}, "/rate_bps", "rate_missing"},
	} {
		if c.d.Name == nil {
			c.d.Name = new("Folder")
		}
		f := newDropFolder()
		err := c.d.apply(&f, true)
		if CodeOf(err) != Invalid || AsError(err).Field != c.field || c.reason != "" && !IsReason(err, c.reason) || AsError(err).NextStep == "" {
			t.Errorf("%+v: %v at %s, want %s at %s", c.d, err, AsError(err).Field, c.reason, c.field)
		}
	}
}

func TestFolderSettingsAreKept(t *testing.T) {
	source := DropBucket
	f := newDropFolder()
	d := DropFolderDraft{
		Name: new("  News\u202e  room "), Source: &source, Path: new("in/"), Secret: new(Secret("s")),
		Bucket:   &DropBucketAddress{Endpoint: "https://s3.example.org/", Name: "media-in", KeyID: "k"},
		Patterns: &[]string{"*.mp4", "*.mp4 "}, Delete: new(DeleteAfterDays), DeleteDays: new(int64(7)), Origin: &DropOrigin{Category: " News > Sport "},
	}
	if err := d.apply(&f, true); err != nil {
		t.Fatal(err)
	}
	if f.Name != "News room" || f.NameKey != "news room" || f.Path != "in" || f.Bucket.Endpoint != "https://s3.example.org" || len(f.Patterns) != 1 ||
		f.Origin.Category != "News>Sport" || f.WaitHours != dropWaitHours || f.Handler != HandleBoth || f.Match != MatchAdd {
		t.Errorf("%+v", f)
	}
	f.Secret = Sealed("x")
	later := func(d DropFolderDraft, reason string) {
		t.Helper()
		g := f
		err := d.apply(&g, false)
		if reason == "" && err != nil || reason != "" && !IsReason(err, reason) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	other := f.Bucket
	other.Endpoint = "https://evil.example.org"
	later(DropFolderDraft{Description: new("x")}, "")
	later(DropFolderDraft{Bucket: &f.Bucket}, "")
	later(DropFolderDraft{Bucket: &other}, "bucket_secret_again")
	later(DropFolderDraft{Bucket: &other, Secret: new(Secret("t"))}, "")
	later(DropFolderDraft{Source: new(DropUploads)}, "source_fixed")
	later(DropFolderDraft{Source: &source}, "")
	g := f
	if err := (DropFolderDraft{Delete: new(DeleteManually)}).apply(&g, false); err != nil || g.DeleteDays != 0 {
		t.Error(err, g.DeleteDays)
	}
}
