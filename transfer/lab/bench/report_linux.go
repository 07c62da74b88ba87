package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"isthmus/transfer/lab"
)

// report shows runs as they end and writes a line of JSON for each.
type report struct {
	w       io.Writer
	file    *os.File
	json    *json.Encoder
	links   []string
	results []result
	gone    []string // peers that could not take part
	shares  []shares
	failed  int // runs that ended with an error or with another file
}

func newReport(path string, w io.Writer) (*report, error) {
	if err := ensureDir(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &report{w: w, file: f, json: json.NewEncoder(f)}, nil
}

func (o *report) close() error { return o.file.Close() }

func (o *report) say(format string, args ...any) { fmt.Fprintf(o.w, format+"\n", args...) }

// absent notes a peer that cannot take part, once.
func (o *report) absent(name, reason string) {
	text := fmt.Sprintf("%s (%s)", name, reason)
	if !slices.Contains(o.gone, text) {
		o.gone = append(o.gone, text)
		o.say("Absent: %s", text)
	}
}

// link notes what a link really is: as programs saw it, and by the emulator's count.
func (o *report) link(s scenario, m lab.Measured, c lab.Counters) {
	// Above its rate a link carries the rate, less what is lost on the wire.
	rate := m.Above.Rate / (1 - s.loss)
	text := fmt.Sprintf("Link %v. Measured: %.1f Mbit/s, %.1f ms (%.1f to %.1f), %.2f %% of %d packets lost, %.2f %% by the emulator's count; that was at most %.1f ms late.",
		s, rate/1e6, float64(m.Trip.Microseconds())/1e3, float64(m.TripMin.Microseconds())/1e3, float64(m.TripMax.Microseconds())/1e3,
		100*m.Below.Loss(), m.Below.Sent, 100*float64(c.Lost)/float64(max(1, c.Packets+c.Lost)), float64(c.LateMax.Microseconds())/1e3)
	o.links = append(o.links, text)
	o.say("%s", text)
}

// add takes a run.
func (o *report) add(r result) error {
	o.results = append(o.results, r)
	if r.Error != "" || r.SHA256OK != nil && !*r.SHA256OK {
		o.failed++
	}
	o.say("%s", strings.Join(r.cells(), "  "))
	return o.json.Encode(r)
}

var columns = []string{
	"link", "peer", "size", "goodput %", "goal", "Mbit/s", "s", "wire", "reverse %", "redundant %", "lost %",
	"CPU s/GB (send + receive)", "of it SHA-256", "SHA-256", "late ms", "load",
}

// cells are a run's row of the table.
func (r result) cells() []string {
	number := func(v *float64, format string) string {
		if v == nil {
			return "–"
		}
		return fmt.Sprintf(format, *v)
	}
	if r.Error != "" {
		return []string{r.Link, r.Peer, sizeText(r.Size), "failed: " + strings.ReplaceAll(r.Error, "\n", " "), "", "", "", "", "", "", "", "", "", "", "", fmt.Sprintf("%.1f", r.Load)}
	}
	goodput, same, goal, digest := number(r.Goodput, "%.1f"), "equal", "", ""
	switch {
	case r.Cut:
		goodput, same = goodput+"*", "–"
	case r.SHA256OK == nil:
		same = "–"
	case !*r.SHA256OK:
		same = "DIFFERS"
	}
	if r.Goal > 0 {
		goal = fmt.Sprintf("%.1f", r.Goal)
		if r.Goodput == nil || *r.Goodput < r.Goal {
			goal += " missed"
		}
	}
	if r.Digest > 0 {
		digest = fmt.Sprintf("%.1f", r.Digest)
	}
	return []string{
		r.Link, r.Peer, sizeText(r.Size), goodput, goal, fmt.Sprintf("%.1f", r.Mbit), fmt.Sprintf("%.1f", r.Seconds),
		number(r.Wire, "%.3f"), number(r.Reverse, "%.2f"), number(r.Redundant, "%.2f"), number(r.Loss, "%.2f"),
		fmt.Sprintf("%.1f (%.1f + %.1f)", r.CPU, r.CPUSend, r.CPUReceive), digest, same, fmt.Sprintf("%.1f", r.LateMS), fmt.Sprintf("%.1f", r.Load),
	}
}

// table shows everything once more, as Markdown.
func (o *report) table() {
	o.say("")
	for _, l := range o.links {
		o.say("- %s", l)
	}
	for _, g := range o.gone {
		o.say("- Absent: %s.", g)
	}
	if len(o.results) > 0 {
		o.say("\n| %s |\n|%s", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
		for _, r := range o.results {
			o.say("| %s |", strings.Join(r.cells(), " | "))
		}
		o.say("\n`*` cut by the time limit: what had come by then. wire: bytes sent into the link per byte of the file.")
	}
	o.loopback()
	o.fairness()
}
