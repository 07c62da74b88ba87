package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// What --json writes is all in the docs, which programs are written by.
func TestDocsJSON(t *testing.T) {
	text, err := os.ReadFile("../../docs/isthmusctl.md")
	if err != nil {
		t.Fatal(err)
	}
	known := func(what, name string) {
		t.Helper()
		if !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+name+":") {
			t.Errorf("the docs know no %s `%s`", what, name)
		}
	}
	for _, of := range []any{event{}, snapshot{}} {
		typ := reflect.TypeOf(of)
		for i := range typ.NumField() {
			if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); name != "-" {
				known("field", name)
			}
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`Event(?:: |, .* = )"([a-z_]+)"`)
	found := 0
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range names.FindAllStringSubmatch(string(code), -1) {
			known("event", m[1])
			found++
		}
	}
	if found < 15 {
		t.Errorf("only %d events were found in the code", found)
	}
	for limiter := range limiterWords {
		known("limiter", limiter)
	}
	for _, path := range []string{pathConnecting, pathFast, pathHTTPS, pathPaused, pathOffline} {
		known("path", path)
	}
}
