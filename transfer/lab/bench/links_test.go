package main

import (
	"math"
	"testing"
	"time"
)

func TestParseLinks(t *testing.T) {
	for text, want := range map[string]struct {
		links      int
		loop, fair bool
	}{
		"": {6, false, false}, "C,F": {2, false, false}, "fasp": {3, false, false}, "loopback": {0, true, false}, "A,fairness": {1, false, true}, "all": {9, true, true},
	} {
		links, loop, fair, err := parseLinks(text)
		if err != nil || len(links) != want.links || loop != want.loop || fair != want.fair {
			t.Errorf("%q: %d links, %v, %v, %v", text, len(links), loop, fair, err)
		}
	}
	for _, bad := range []string{"G", "a", "A,,B"} {
		if _, _, _, err := parseLinks(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "64MiB": 64 << 20, "1GiB": 1 << 30, "1.5kB": 1500, "12": 12, "2GB": 2e9} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, bad := range []string{"big", "-1MiB", "0", "1TiB", "9e9GiB"} {
		if _, err := parseSize(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// The lab's own figures.
func TestGoalsAndCeilings(t *testing.T) {
	for _, c := range []struct {
		link                string
		size                int64
		goal, ceiling, near float64
	}{
		{"A", 128 * mib, 92, 95.7, 0.05},
		{"B", gib, 93, 95.6, 0.05},
		{"C", 200 * mib, 84, 93.8, 0.05},
		{"D", 2 * gib, 90, 94.7, 0.1},
		{"E", 64 * mib, 0, 95.7, 0.05}, // shorter than the goal is meant for
		{"F", 64 * mib, 80, 90.9, 0.05},
		{"fasp-10", gib, 81.85, 86.1, 0.1},
		{"fasp-10", 128 * mib, 0, 86.1, 0.1},
	} {
		links, _, _, err := parseLinks(c.link)
		if err != nil {
			t.Fatal(err)
		}
		s := links[0]
		if math.Abs(s.goalFor(c.size)-c.goal) > 0.05 || math.Abs(s.ceiling()-c.ceiling) > c.near {
			t.Errorf("%s with %s: goal %.2f of %.2f", c.link, sizeText(c.size), s.goalFor(c.size), s.ceiling())
		}
	}
}

func TestJain(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want float64
	}{
		{[]float64{5, 5, 5}, 1},
		{[]float64{9, 0, 0}, 1. / 3},
		{[]float64{36, 59.7}, 0.942}, // measured once
		{[]float64{0, 0}, 0},
	} {
		if got := jain(c.x); math.Abs(got-c.want) > 0.001 {
			t.Errorf("%v: %.4f, want %.4f", c.x, got, c.want)
		}
	}
}

func TestSeries(t *testing.T) {
	begin := time.Unix(1000, 0)
	s := &series{}
	for i := range int64(11) { // flow 0: 1 MB/s, flow 1: 2 MB/s, from the fifth second on
		at := begin.Add(time.Duration(i) * time.Second)
		s.tally = append(s.tally, tally{at, []int64{i * 1e6, max(0, i-5) * 2e6}})
	}
	if got := s.mbit(0, begin.Add(2*time.Second), begin.Add(8*time.Second)); got != 8 {
		t.Errorf("flow 0: %v Mbit/s", got)
	}
	if got := s.mbit(1, begin.Add(5*time.Second), begin.Add(10*time.Second)); got != 16 {
		t.Errorf("flow 1: %v Mbit/s", got)
	}
	if n, after := s.last(begin); n != 10e6 || after != 10*time.Second {
		t.Errorf("last: %d bytes after %v", n, after)
	}
	if got := s.mbit(0, begin.Add(time.Hour), begin.Add(2*time.Hour)); got != 0 {
		t.Errorf("nothing was said then, but %v Mbit/s", got)
	}
}
