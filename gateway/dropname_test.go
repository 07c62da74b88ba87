package gateway

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDropPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*.mp4", "clip.mp4", true},
		{"*.mp4", "deep/er/CLIP.MP4", true},
		{"*.mp4", "clip.mp4.part", false},
		{"clip-?.mov", "clip-1.mov", true},
		{"[ab]*.wav", "cello.wav", false},
		{"news/*.mp4", "news/a.mp4", true},
		{"news/*.mp4", "news/x/a.mp4", false},
		{"news/*.mp4", "old/news/a.mp4", false},
		{"/a.mp4", "a.mp4", true},
		{"/a.mp4", "x/a.mp4", false},
		{"news/**/*.mp4", "news/a.mp4", true},
		{"news/**/*.mp4", "news/x/y/a.mp4", true},
		{"**/raw/**", "a/raw/b/c.mp4", true},
		{"**/raw/**", "a/rawer/c.mp4", false},
		{"cafe\u0301*", "café.mp4", true},
	} {
		p, why := parsePattern(c.pattern)
		if why != "" {
			t.Errorf("%s %s", c.pattern, why)
			continue
		}
		if got := p.fits(foldName(c.name)); got != c.want {
			t.Errorf("%s of %s: %v", c.pattern, c.name, got)
		}
	}
	for _, bad := range []string{"", "[a", "a//b", strings.Repeat("a", 201), "a\x00b", "\xff", "a\\"} {
		if _, why := parsePattern(bad); why == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Whoever may write a pattern or an expression cannot hold a server up with it. The bound ends a hang and is no measure.
func TestHostilePatternsEnd(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		name := strings.Repeat("a", 400) + "/" + strings.Repeat("a/", 31) + strings.Repeat("a", 250)
		p, _ := parsePattern(strings.Repeat("*a", 99) + "b")
		deep, _ := parsePattern(strings.Repeat("**/*a*a*a*/", 17) + "b")
		for range 50 {
			if p.fits(foldName(name)) || deep.fits(foldName(name)) {
				t.Error("fits")
			}
		}
		re, err := parseSlug(`/^((?P<referenceId>(a+)+)+)+$/`)
		if err != nil {
			t.Error(err)
			return
		}
		if re.MatchString(strings.Repeat("a", 1000) + "!") {
			t.Error("fits")
		}
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("a pattern went on for ever")
	}
}

func TestSlugExpressions(t *testing.T) {
	for _, c := range []struct{ expression, name, reference, flavor, user string }{
		{`/(?P<referenceId>.+)[.]\w{3,}/`, "clip one.mp4", "clip one", "", ""}, // Kaltura's own default
		{`/(?P<referenceId>.+)[.]\w{3,}/i`, "CLIP.MP4", "CLIP", "", ""},
		{`#^(?P<userId>[^_]+)_(?P<referenceId>\d+)(?:-(?P<flavorName>\w+))?\.#`, "ada_17-hd.mp4", "17", "hd", "ada"},
		{`#^(?P<userId>[^_]+)_(?P<referenceId>\d+)(?:-(?P<flavorName>\w+))?\.#`, "ada_17.mp4", "17", "", "ada"},
		{`(?P<referenceId>[a-z]+)\.mp4$`, "abc.mp4", "abc", "", ""},
		{`^(?<referenceId>[a-z]+)`, "abc.mp4", "abc", "", ""},
		{`{(?'referenceId'[a-z]+)}`, "abc.mp4", "abc", "", ""},
		{`~a\~(?P<referenceId>\d)~`, "a~5.mp4", "5", "", ""},
		{`/b(?P<referenceId>\d)/A`, "b1b2.mp4", "1", "", ""},
		{``, "Dr. Who", "Dr. Who", "", ""},
		{``, "x/y/clip.v2.mp4", "clip.v2", "", ""},
		{``, ".mp4", ".mp4", "", ""},
	} {
		r, err := rulesOf(DropFolder{Slug: c.expression})
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		got, err := r.read(c.name)
		if err != nil || got.ReferenceID != c.reference || got.Flavor != c.flavor || got.UserID != c.user {
			t.Errorf("%s of %s: %+v %v", c.expression, c.name, got, err)
		}
	}
	for expression, reason := range map[string]string{
		`/(?P<referenceId>a)`:          "slug_invalid",
		`/(?P<referenceId>a)/e`:        "slug_invalid",
		`/(?P<referenceId>a/`:          "slug_invalid",
		`//`:                           "slug_invalid",
		`/(?P<userId>a)/`:              "slug_no_reference",
		`/.*/`:                         "slug_no_reference",
		`/(?=x)(?P<referenceId>a)/`:    "slug_unsupported",
		`/(?P<referenceId>a)\1/`:       "slug_unsupported",
		`/(?P<referenceId>a++)/`:       "slug_unsupported",
		`(?P<referenceId>a{2000})`:     "slug_invalid",
		strings.Repeat("(", 501):       "slug_too_long",
		"(?P<referenceId>\xff)":        "slug_too_long",
		`(?P<referenceId>a{999}{999})`: "slug_invalid",
		`(?P<referenceId>a)(?P<userId>b)(?P<userId>c)`: "slug_group_twice",
	} {
		_, err := parseSlug(expression)
		if !IsReason(err, reason) || AsError(err).Field != "/slug" || AsError(err).NextStep == "" {
			t.Errorf("%s: %v, want %s", expression, err, reason)
		}
	}
	r, _ := rulesOf(DropFolder{Slug: `^(?P<referenceId>\d+)`})
	if _, err := r.read("clip.mp4"); !IsReason(err, reasonSlug) {
		t.Error(err)
	}
}

func TestPathsSayWhoseAndWhere(t *testing.T) {
	for _, c := range []struct {
		origin DropOrigin
		name   string
		want   DropReading
	}{
		{DropOrigin{}, "a/b/clip.mp4", DropReading{ReferenceID: "clip", Tags: []string{}}},
		{DropOrigin{UserID: "u", Tags: []string{"x"}, Category: "News"}, "clip.mp4", DropReading{ReferenceID: "clip", UserID: "u", Tags: []string{"x"}, Category: "News"}},
		{DropOrigin{UserID: "u", UserFromPath: true}, "ada/clip.mp4", DropReading{ReferenceID: "clip", UserID: "ada", UserNamed: true, Tags: []string{}}},
		{DropOrigin{UserID: "u", UserFromPath: true}, "clip.mp4", DropReading{ReferenceID: "clip", UserID: "u", Tags: []string{}}},
		{DropOrigin{UserFromPath: true, TagsFromPath: true, Tags: []string{"t"}}, "ada/sea, sun/sky/c.mp4", DropReading{ReferenceID: "c", UserID: "ada", UserNamed: true, Tags: []string{"t", "sea", "sun", "sky"}}},
		{DropOrigin{CategoryFromPath: true, Category: "News>Old"}, "2026/a > b/c.mp4", DropReading{ReferenceID: "c", Tags: []string{}, Category: "News>Old>2026>a - b"}},
		{DropOrigin{CategoryFromPath: true}, "2026/c.mp4", DropReading{ReferenceID: "c", Tags: []string{}, Category: "2026"}},
	} {
		r, err := rulesOf(DropFolder{Origin: c.origin})
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.read(c.name)
		if len(got.Tags) == 0 {
			got.Tags = []string{}
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v of %s: %+v, %v", c.origin, c.name, got, err)
		}
	}
}

func TestWhatIsLeftAlone(t *testing.T) {
	r, err := rulesOf(DropFolder{
		Patterns: []string{"*.mp4"}, Ignore: []string{"draft*"}, Complete: DropComplete{Marker: ".done", Rename: "*.part"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.mp4": "", "x/a.mp4": "", "a.mov": leftOther, "Draft 1.mp4": leftIgnored, "a.mp4.part": leftWriting, "a.mp4.DONE": leftMarker,
		".a.mp4": leftHidden, "x/.git/a.mp4": leftHidden, "Thumbs.db": leftHidden, "~$a.mp4": leftHidden, "../a.mp4": leftNoPath, "a//b.mp4": leftNoPath, "/a.mp4": leftNoPath,
	} {
		if got := r.left(name, false); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := r.left("items.xml", true); got != "" {
		t.Error("a manifest is none of the media that patterns are about:", got)
	}
	for marker, of := range map[string]string{"a.mp4.done": "a.mp4", "x/a.mp4.DONE": "x/a.mp4", "a.mp4": "", ".done": "", "x/.done": ""} {
		if got := r.marks(marker); got != of {
			t.Errorf("%s marks %q, want %q", marker, got, of)
		}
	}
}

func TestDropNames(t *testing.T) {
	for _, good := range []string{"a.mp4", "2026/ä ö/clip (1).mp4", "...mp4", "a\u0301.mp4"} {
		if err := checkDropName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/.", "a\x00", "a\nb", "\xff", strings.Repeat("a", MaxDropName+1), strings.Repeat("a/", 33) + "a"} {
		if err := checkDropName(bad); CodeOf(err) != Invalid || AsError(err).Field != "/name" || AsError(err).NextStep == "" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
