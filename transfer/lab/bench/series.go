package main

import (
	"encoding/json"
	"sync"
	"time"
)

// tally is a line that a receiver prints now and then: bytes that came so far of each flow.
type tally struct {
	At    time.Time
	Bytes []int64
}

// series is all that a receiver said. Safe for concurrent use.
type series struct {
	mu    sync.Mutex
	tally []tally
}

// collect reads until the lines end.
func (s *series) collect(lines <-chan []byte) {
	for line := range lines {
		var t tally
		if json.Unmarshal(line, &t) == nil {
			s.mu.Lock()
			s.tally = append(s.tally, t)
			s.mu.Unlock()
		}
	}
}

// last is how much of flow 0 had come when that was said last, and how long after start that was.
func (s *series) last(start time.Time) (int64, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tally) == 0 {
		return 0, time.Since(start)
	}
	t := s.tally[len(s.tally)-1]
	return t.Bytes[0], t.At.Sub(start)
}

// mbit is a flow's mean rate in Mbit/s of payload between two times.
func (s *series) mbit(flow int, from, to time.Time) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first, last *tally
	for i := range s.tally {
		t := &s.tally[i]
		if t.At.Before(from) || t.At.After(to) {
			continue
		}
		if first == nil {
			first = t
		}
		last = t
	}
	if first == last {
		return 0
	}
	return float64(last.Bytes[flow]-first.Bytes[flow]) * 8 / last.At.Sub(first.At).Seconds() / 1e6
}
