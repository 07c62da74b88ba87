package main

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// event is a line of --json. Fields are added, never renamed; docs/isthmusctl.md lists them.
type event struct {
	Event    string    `json:"event"`
	Time     time.Time `json:"time"`
	Server   string    `json:"server,omitempty"`
	Hub      string    `json:"hub,omitempty"`
	Transfer string    `json:"transfer,omitempty"`
	Upload   string    `json:"upload,omitempty"`
	Entry    string    `json:"entry,omitempty"`
	File     string    `json:"file,omitempty"` // as it was named here
	Name     string    `json:"name,omitempty"` // as it is called there
	Size     int64     `json:"size,omitempty"`
	SHA256   string    `json:"sha256,omitempty"`
	Path     string    `json:"path,omitempty"`
	Why      string    `json:"why,omitempty"`
	State    string    `json:"state,omitempty"`
	URL      string    `json:"url,omitempty"`
	Code     string    `json:"code,omitempty"`
	Text     string    `json:"text,omitempty"`
	Next     string    `json:"next_step,omitempty"`
	Exit     *int      `json:"exit,omitempty"`
	Files    int       `json:"files,omitempty"`
	Failed   int       `json:"failed,omitempty"`
	Items    int       `json:"items,omitempty"`
	Item     int64     `json:"item,omitempty"` // of a manifest, from 1
	Line     int64     `json:"line,omitempty"`
	Column   int64     `json:"column,omitempty"`
	Rule     string    `json:"rule,omitempty"`

	Progress *snapshot `json:"progress,omitempty"`
}

var emitting sync.Mutex

// emit writes a line of --json.
func (a *app) emit(e event) {
	e.Time = time.Now().UTC().Truncate(time.Millisecond)
	b, err := json.Marshal(e)
	if err != nil {
		return // nothing in it can fail
	}
	emitting.Lock()
	defer emitting.Unlock()
	_, _ = a.out.Write(append(b, '\n')) // who reads it has gone; the work goes on
}

// printLine writes an object that is an answer, not an event, as one line.
func (a *app) printLine(v any) error { return json.NewEncoder(a.out).Encode(v) }

// Sizes and rates as people read them; decimal, as lines and disks are sold.

func bytesText(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1000, 0
	for v >= 999.95 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	return fmt.Sprintf("%.1f %cB", v, units[u])
}

func rateText(bps int64) string {
	v, unit := float64(bps), "bit/s"
	for _, next := range []string{"kbit/s", "Mbit/s", "Gbit/s"} {
		if v < 999.95 {
			break
		}
		v, unit = v/1000, next
	}
	if unit == "bit/s" {
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.1f %s", v, unit)
}

func leftText(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}
