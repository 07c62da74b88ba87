package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"isthmus/openapi"
)

type validateCommand struct {
	Files  []string `arg:"" name:"file" help:"Manifests: XML, JSON or CSV by their ending, or - for standard input with --format."`
	Format string   `help:"xml, json or csv, whatever the ending." enum:",xml,json,csv" default:""`
	Folder string   `help:"Also look whether a drop folder has the files, and takes what the manifest says." placeholder:"FOLDER"`
}

// manifestKinds are the content types of manifests by format.
var manifestKinds = map[string]string{"xml": "application/xml", "json": "application/json", "csv": "text/csv"}

// Run asks the server what the manifests would do. Nothing is changed.
func (c *validateCommand) Run(ctx context.Context, a *app) error {
	kinds := make([]string, len(c.Files))
	for i, name := range c.Files {
		format := c.Format
		if format == "" {
			format = strings.ToLower(strings.TrimPrefix(filepath.Ext(name), "."))
		}
		if kinds[i] = manifestKinds[format]; kinds[i] == "" {
			return fail(exitUsage, "It cannot be told what "+name+" is written in.", "Say so with --format xml, json or csv.")
		}
		if _, err := os.Stat(name); name != "-" && errors.Is(err, fs.ErrNotExist) {
			return fail(exitUsage, name+" does not exist.", "Check the name.")
		}
	}
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	var p openapi.ValidateDropManifestParams
	if c.Folder != "" {
		f, err := s.folder(ctx, c.Folder)
		if err != nil {
			return err
		}
		p.Folder = &f.ID
	}
	right := 0
	for i, name := range c.Files {
		ok, err := a.validate(ctx, s, name, kinds[i], &p)
		if err != nil {
			return err
		}
		if ok {
			right++
		}
	}
	switch {
	case right == len(c.Files):
		return nil
	case right > 0:
		return told(exitSome)
	}
	return told(exitFailed)
}

// validate shows what one manifest would do, or what is wrong with it.
func (a *app) validate(ctx context.Context, s *session, name, kind string, p *openapi.ValidateDropManifestParams) (bool, error) {
	body := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return false, fail(exitFailed, name+" cannot be read: "+reason(err)+".", "Check its rights.")
		}
		defer func() { _ = f.Close() }()
		body = f
	}
	r, err := s.api.ValidateDropManifestWithBodyWithResponse(ctx, s.hub, p, kind, io.NopCloser(body))
	if err != nil {
		return false, unreachable(err)
	}
	if bad := r.ApplicationProblemJSON422; r.StatusCode() == http.StatusUnprocessableEntity && bad != nil {
		for _, f := range bad.Faults {
			a.fault("fault", name, f)
		}
		if bad.Preview != nil {
			a.warnings(name, *bad.Preview)
		}
		if bad.More {
			a.notice("%s has more faults than these.", name)
		}
		return false, nil
	}
	v, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
	if err != nil {
		return false, err
	}
	a.warnings(name, *v)
	if a.JSON {
		a.emit(event{Event: "valid", File: name, Items: int(v.Total)})
		return true, nil
	}
	fmt.Fprintf(a.out, "%s: %s.\n", tidy(name), count(int(v.Total), "item is right", "items are right"))
	if !a.Quiet {
		for _, it := range v.Items {
			fmt.Fprintln(a.out, tidy(fmt.Sprintf("  %d. line %d: %s", it.Number, it.Line, previewText(it))))
		}
		if v.Truncated {
			fmt.Fprintln(a.out, "  …")
		}
	}
	return true, nil
}

// previewText is what would be done with an item.
func previewText(it openapi.DropPreviewItem) string {
	if it.Does != nil {
		return *it.Does
	}
	words := []string{string(deref(it.Action))}
	for _, w := range []*string{it.Name, it.EntryID, it.ReferenceID} {
		if w != nil {
			words = append(words, *w)
		}
	}
	if it.Files != nil && len(*it.Files) > 0 {
		words = append(words, "of "+strings.Join(*it.Files, ", "))
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

func (a *app) warnings(name string, v openapi.DropPreview) {
	for _, w := range deref(v.Warnings) {
		a.fault("warning", name, w)
	}
}

// fault tells of one place of a manifest, as compilers do.
func (a *app) fault(what, name string, f openapi.ManifestFault) {
	if a.JSON {
		a.emit(event{Event: what, File: name, Line: f.Line, Column: f.Column, Item: deref(f.Item), Rule: f.Rule, Text: f.Text, Next: f.Fix})
		return
	}
	word := ""
	if what == "warning" {
		word = "warning: "
	}
	fmt.Fprintln(a.out, tidy(fmt.Sprintf("%s:%d:%d: %s%s %s [%s]", name, f.Line, f.Column, word, f.Text, f.Fix, f.Rule)))
}
