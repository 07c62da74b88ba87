package docs

import (
	"bytes"
	"encoding/json"
	"html/template"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"isthmus/gateway"
)

// siteLinks makes links between the files, which work where the files are read, links between the pages.
type siteLinks struct{}

func (siteLinks) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		l, ok := n.(*ast.Link)
		if !ok || !entering {
			return ast.WalkContinue, nil
		}
		file, fragment, _ := strings.Cut(string(l.Destination), "#")
		for _, g := range guides {
			if g.file == file {
				to := path(g.slug)
				if fragment != "" {
					to += "#" + fragment
				}
				l.Destination = []byte(to)
			}
		}
		return ast.WalkContinue, nil
	})
}

var renderer = goldmark.New(
	goldmark.WithExtensions(extension.GFM),
	goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(siteLinks{}, 100))),
)

// notes are for those who edit the files.
var notes = regexp.MustCompile(`(?s)<!--.*?-->\n?`)

// markdown renders a text of ours. Raw HTML in it is dropped.
func markdown(text []byte) (template.HTML, error) {
	var b bytes.Buffer
	if err := renderer.Convert(notes.ReplaceAll(text, nil), &b); err != nil {
		return "", err
	}
	// What is wider than the page scrolls by itself, also with the keyboard.
	s := strings.NewReplacer(
		"<pre>", `<pre tabindex="0">`,
		"<table>", `<div class="wide" tabindex="0" role="group" aria-label="Table"><table>`, "</table>", "</table></div>",
	).Replace(b.String())
	return template.HTML(s), nil // from our own files
}

var eventsPage = template.Must(template.New("events").Parse(`<h1>Events</h1>
<p>Everything that a hub can be told, by <a href="/docs/webhooks">webhook</a> and by <a href="/docs/api/events">event stream</a>. All events have the same envelope; <code>data</code> differs. New types and new fields may come at any time.</p>
<pre tabindex="0"><code>{
  "type": "import.ready",
  "timestamp": "2026-11-22T04:05:06Z",
  "data": { … }
}</code></pre>
<p>Ask for single types, for groups such as <code>upload.*</code>, or for <code>*</code>.</p>
{{range .}}<section class="event"><h2 id="{{.Type}}"><code>{{.Type}}</code></h2><p><strong>{{.Title}}.</strong> {{.Description}}</p>
{{if .JSON}}<details><summary>Example of <code>data</code></summary><pre tabindex="0"><code>{{.JSON}}</code></pre></details>{{end}}</section>
{{end}}`))

// eventCatalogue lists gateway's events, with addresses of the server at baseURL.
func eventCatalogue(baseURL string) template.HTML {
	type row struct {
		gateway.EventType
		JSON string
	}
	rows := make([]row, len(gateway.EventTypes))
	for i, e := range gateway.EventTypes {
		rows[i].EventType = e
		if b, err := json.MarshalIndent(e.Example, "", "  "); err == nil && string(b) != "null" {
			rows[i].JSON = strings.ReplaceAll(string(b), exampleURL, baseURL)
		}
	}
	var b bytes.Buffer
	if err := eventsPage.Execute(&b, rows); err != nil {
		panic(err) // the template is a constant and the rows are ours
	}
	return template.HTML(b.String()) // escaped by the template
}
