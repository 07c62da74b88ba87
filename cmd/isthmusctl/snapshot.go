package main

import (
	"time"

	"isthmus/transfer/rate"
)

// snapshot is how far a sending is, for whoever shows it.
type snapshot struct {
	Transfer string `json:"transfer"`
	Path     string `json:"path"`          // connecting, quic, https, offline, paused
	Why      string `json:"why,omitempty"` // not the fast path
	Total    int64  `json:"total"`         // bytes of all files
	Done     int64  `json:"done"`          // of them at the server
	Files    int    `json:"files"`
	Sent     int    `json:"files_sent"`
	Failed   int    `json:"files_failed"`

	Rate     int64    `json:"rate_bps"`             // of payload, over the last seconds
	RTT      float64  `json:"rtt_ms,omitempty"`     // by the fast path
	Loss     float64  `json:"loss,omitempty"`       // 0..1, likewise
	Limiter  string   `json:"limited_by,omitempty"` // likewise; rate.Limiter's words
	Priority uint8    `json:"priority,omitempty"`   // that the server wants it to have; higher first
	Left     *float64 `json:"seconds_left,omitempty"`

	Active []fileProgress `json:"-"` // those under way, first the foremost
}

// fileProgress is how far one file is.
type fileProgress struct {
	Upload string
	Name   string
	Size   int64
	Done   int64
}

// shownFiles is how many files under way a snapshot names.
const shownFiles = 4

// Snapshot tells how far it is.
func (g *sending) Snapshot() snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := snapshot{Transfer: g.id, Path: g.path, Why: g.why, Files: len(g.files)}
	if g.sender != nil {
		p := g.sender.Progress()
		s.Priority = p.Priority
		if g.path == pathFast {
			s.RTT = float64(p.State.BaseRTT+p.State.Queue) / float64(time.Millisecond)
			s.Loss, s.Limiter = p.State.Loss, p.State.Limiter.String()
			if p.State.Phase == "silent" && p.State.Limiter == rate.Path {
				s.Limiter = silent
			}
		}
		for _, u := range g.sender.Uploads() {
			if f := g.byID[u.ID]; f != nil && !f.ended && !u.Over {
				f.done = u.Done
			}
		}
	}
	for _, f := range g.files {
		s.Total += f.size
		switch {
		case f.ended && f.failed == nil:
			s.Sent++
			s.Done += f.size
		case f.ended:
			s.Failed++
			s.Total -= f.size // nobody waits for it
		default:
			s.Done += f.done
			if f.done > 0 && f.done < f.size && len(s.Active) < shownFiles {
				s.Active = append(s.Active, fileProgress{f.id, f.name, f.size, f.done})
			}
		}
	}
	s.Rate = g.meter.at(time.Now(), s.Done)
	if s.Rate > 0 && s.Path != pathPaused && s.Path != pathOffline {
		left := float64(s.Total-s.Done) * 8 / float64(s.Rate)
		s.Left = &left
	}
	return s
}

// meter makes a rate of a number that mostly grows, over a few seconds.
type meter struct {
	marks []mark
}

type mark struct {
	at   time.Time
	done int64
}

const (
	meterSpan = 5 * time.Second
	meterStep = 250 * time.Millisecond
)

// at takes the number now and gives the rate in bit/s.
func (m *meter) at(now time.Time, done int64) int64 {
	if n := len(m.marks); n > 0 && done < m.marks[n-1].done { // another connection knows better
		m.marks = nil
	}
	if n := len(m.marks); n == 0 || now.Sub(m.marks[n-1].at) >= meterStep {
		m.marks = append(m.marks, mark{now, done})
	}
	for len(m.marks) > 2 && now.Sub(m.marks[1].at) >= meterSpan {
		m.marks = m.marks[1:]
	}
	first := m.marks[0]
	d := now.Sub(first.at)
	if d < meterStep {
		return 0
	}
	return int64(float64(done-first.done) * 8 / d.Seconds())
}

// silent is the limiter while packets get no answer.
const silent = "silence"

// limiterWords says what keeps a transfer from being faster.
var limiterWords = map[string]string{
	rate.Path.String():        "the line",
	rate.TargetRate.String():  "the rate that you asked for",
	rate.AccountCap.String():  "the hub's cap",
	rate.Application.String(): "the source of the data",
	rate.Disk.String():        "a disk",
	rate.Receiver.String():    "the server",
	rate.Paused.String():      "the pause",
	rate.Sender.String():      "this computer",
	silent:                    "a network that gives no answer",
}
