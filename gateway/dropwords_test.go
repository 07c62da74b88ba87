package gateway_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"isthmus/gateway"
)

// What files' timelines and reasons may say is what the page and the documentation have words for.
func TestWordsOfDropFiles(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	between := func(s, from, to string) string {
		t.Helper()
		_, s, ok := strings.Cut(s, from)
		s, _, ended := strings.Cut(s, to)
		if !ok || !ended {
			t.Fatalf("%q to %q is not there", from, to)
		}
		return s
	}
	page := between(read("../web/src/drop/words.ts"), "const causes", "};")
	sources, err := filepath.Glob("drop*.go")
	if err != nil || len(sources) < 20 {
		t.Fatal(sources, err)
	}
	said := regexp.MustCompile(`(?:\.(?:move|aside|ready|quarantine|supersede)\(.*|return true, )"([a-z]+(?:\.[a-z]+)?)"`)
	causes := 0
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range said.FindAllStringSubmatch(read(name), -1) {
			causes++
			if !strings.Contains(page, `"`+m[1]+`": "`) && !strings.Contains(page, "\n  "+m[1]+": \"") {
				t.Errorf("%s: the page has no words for the cause %q", name, m[1])
			}
		}
	}
	if causes < 40 {
		t.Errorf("only %d causes were found", causes)
	}

	documented := map[string]bool{}
	for _, line := range strings.Split(between(read("../docs/drop-folders.md"), "## Reasons and what to do", "**Deleting**"), "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for i, reason := range strings.Split(cells[1], "`") {
				if i%2 == 1 {
					documented[reason] = true
				}
			}
		}
	}
	for _, w := range gateway.DropReasonTexts {
		if !documented[w.Reason] {
			t.Errorf("the documentation does not say what to do about %q", w.Reason)
		}
		delete(documented, w.Reason)
	}
	for reason := range documented {
		t.Errorf("the documentation has the reason %q, which there is not", reason)
	}
}
