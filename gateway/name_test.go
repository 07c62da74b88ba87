package gateway

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestNamesAreKeptUnlessNoTextAtAll(t *testing.T) {
	for _, name := range []string{
		"a.mp4", "🎬 Урок №1 (финал).mp4", `a/b\c:d*e?f"g<h>i|j'k&.mov`, "..", "CON.mp4", " leading and trailing ",
		"\u202egnp.mp4", strings.Repeat("é", 512), strings.Repeat("e\u0301", 512), // decomposed: 1536 bytes, 1024 composed
	} {
		if err := checkName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, reason := range map[string]string{
		"": "name_empty", "a\x00b": "name_invalid", "a\xffb": "name_invalid", strings.Repeat("x", 1025): "name_too_long",
	} {
		if err := checkName(name); !IsReason(err, reason) {
			t.Errorf("%q: %v, want %s", name, err, reason)
		}
	}
}

func TestTitles(t *testing.T) {
	for _, c := range []struct{ title, name, want string }{
		{"", "holiday.mp4", "holiday"},
		{"", "no ending", "no ending"},
		{"", ".hidden", ".hidden"},
		{"", "v1.2 final cut.MOV", "v1.2 final cut"},
		{"", "Dr. Who is here", "Dr. Who is here"},
		{"", "evil\u202egnp.mp4", "evilgnp"},
		{"", "tab\tand\nline\x07.mp4", "tab and line"},
		{"", "\u202e\u200b.mp4", "Untitled"},
		{"  Given  title ", "x.mp4", "Given title"},
		{"", "e\u0301te\u0301.mp4", "\u00e9t\u00e9"},
		{"", "x.İİİ", "x.İİİ"}, // longer in lower case
		{"", "\x00.\x80", "."},
		{"", "👩\u200d🏫 lesson.mp4", "👩\u200d🏫 lesson"}, // the joiner holds the emoji together
	} {
		if got := titleOf(c.title, c.name); got != c.want {
			t.Errorf("titleOf(%q, %q) = %q, want %q", c.title, c.name, got, c.want)
		}
	}
}

func TestTitleOfAnythingIsOneCleanLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := titleOf(rapid.String().Draw(t, "title"), string(rapid.SliceOf(rapid.Byte()).Draw(t, "name")))
		if got == "" || !utf8.ValidString(got) || strings.ContainsFunc(got, unseen) || strings.ContainsAny(got, "\n\r\t") {
			t.Fatalf("%q", got)
		}
		if again := titleOf(got, "x.mp4"); again != got {
			t.Fatalf("cleaning %q again gives %q", got, again)
		}
	})
}

func TestTags(t *testing.T) {
	got, err := cleanTags([]string{" a ", "b,c", "a", "", "\u202e360"})
	if err != nil || strings.Join(got, "|") != "a|b|c|360" {
		t.Error(got, err)
	}
	if _, err := cleanTags([]string{strings.Repeat("x", 201)}); !IsReason(err, "tag_too_long") {
		t.Error(err)
	}
}

func TestEntryTagsHave360OnlyWithEvidence(t *testing.T) {
	for _, c := range []struct {
		tags []string
		in   Inspection
		want string
	}{
		{nil, Inspection{Suggest360: true}, ""},
		{nil, Inspection{Projection: Equirectangular}, "360"},
		{[]string{"a"}, Inspection{Projection: Cubemap}, "a,360"},
		{[]string{"360"}, Inspection{Projection: Equirectangular}, "360"},
		{[]string{"360", "b"}, Inspection{}, "360,b"}, // the person's own word
	} {
		if got := strings.Join(entryTags(Upload{Tags: c.tags, Inspection: c.in}), ","); got != c.want {
			t.Errorf("%v %+v: %q, want %q", c.tags, c.in, got, c.want)
		}
	}
}

func TestAcceptance(t *testing.T) {
	for _, c := range []struct {
		name, contentType string
		want              MediaType
	}{
		{"a.MP4", "", Video},
		{"a.jpg", "application/octet-stream", Image},
		{"a.opus", "", Audio},
		{"clip", "video/mp4", Video},
		{"clip", "image/png; x=y", Image},
		{"clip", "", Other},
		{"a.svg", "image/svg+xml", Other},
		{"a", "image/svg+xml", Other},
		{"list.m3u8", "video/mp4", Other},
		{"a", "audio/x-mpegurl", Other},
		{"notes.txt", "video/mp4", Other},
	} {
		got, err := Acceptance{}.check(c.name, c.contentType)
		if got != c.want || (err == nil) != (c.want != Other) {
			t.Errorf("%s %s: %s, %v", c.name, c.contentType, got, err)
		}
		if err != nil && !strings.Contains(AsError(err).NextStep, "mp4, ") {
			t.Errorf("the refusal does not list what is taken: %s", AsError(err).NextStep)
		}
	}
	only := Acceptance{Types: []MediaType{Video}, Endings: []string{"mp4"}}
	if _, err := only.check("a.mov", ""); err == nil || AsError(err).NextStep != "Send one of: mp4." {
		t.Error(err)
	}
	if _, err := only.check("a.mp4", ""); err != nil {
		t.Error(err)
	}
}
