package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"isthmus/transfer/lab"
)

// scenario is a link to measure on: the same both ways, with a drop-tail queue of one bandwidth-delay product.
type scenario struct {
	name string
	rate int64 // bit/s of IP packets
	trip time.Duration
	loss float64 // 0..1, each way

	size      int64   // of the file, unless another is asked for
	goal      float64 // % of the link for a file of that size
	goalLong  float64 // and for 1 GiB or more
	ofCeiling bool    // the goal is in % of what headers and loss leave
	onlyFast  bool    // the other programs are measured only when they are named
}

const (
	ms  = time.Millisecond
	mib = int64(1) << 20
	gib = int64(1) << 30

	// Of a packet of 1500 bytes 64 are not the file's: 28 of UDP and IP, 36 of our own (PROTOCOL.md, 6.2).
	payloadShare = 1436.0 / 1500
)

var scenarios = []scenario{
	{name: "A", rate: 100e6, trip: 20 * ms, size: 128 * mib, goal: 92, goalLong: 94},
	{name: "B", rate: 100e6, trip: 100 * ms, loss: 0.001, size: 128 * mib, goal: 87, goalLong: 93},
	{name: "C", rate: 100e6, trip: 200 * ms, loss: 0.02, size: 128 * mib, goal: 84, goalLong: 90},
	{name: "D", rate: 200e6, trip: 150 * ms, loss: 0.01, size: 128 * mib, goal: 82, goalLong: 90},
	{name: "E", rate: 300e6, trip: 10 * ms, size: 128 * mib, goal: 91, goalLong: 94},
	{name: "F", rate: 50e6, trip: 300 * ms, loss: 0.05, size: 64 * mib, goal: 80, goalLong: 86},
	// What FASP claims: 90 % of the target at 10 % loss; something at 1 s.
	{name: "fasp-10", rate: 100e6, trip: 200 * ms, loss: 0.1, size: gib, goalLong: 95, ofCeiling: true, onlyFast: true},
	{name: "fasp-1s-5", rate: 100e6, trip: time.Second, loss: 0.05, size: gib, goalLong: 75, onlyFast: true},
	{name: "fasp-1s-30", rate: 100e6, trip: time.Second, loss: 0.3, size: gib, goalLong: 40, onlyFast: true},
}

// ceiling is what headers and loss leave to the file, in % of the link.
func (s scenario) ceiling() float64 { return 100 * payloadShare * (1 - s.loss) }

// goalFor is the least goodput that a file should have, in % of the link; 0: there is no goal.
func (s scenario) goalFor(size int64) float64 {
	goal := 0.0
	switch {
	case size >= gib:
		goal = s.goalLong
	case size >= s.size:
		goal = s.goal
	}
	if s.ofCeiling {
		goal *= s.ceiling() / 100
	}
	return goal
}

func (s scenario) link() lab.Link {
	return lab.Link{Rate: s.rate, Delay: s.trip / 2, Loss: s.loss}
}

func (s scenario) String() string {
	return fmt.Sprintf("%s: %g Mbit/s, %v, %g %% loss", s.name, float64(s.rate)/1e6, s.trip, 100*s.loss)
}

// Besides links there are to measure:
const (
	loopback = "loopback" // CPU
	fairness = "fairness" // several flows on one link
)

// parseLinks reads "C,F", "fasp", "loopback", "fairness" or "all". Empty: A to F.
func parseLinks(text string) (links []scenario, loop, fair bool, err error) {
	if text == "" {
		text = "A,B,C,D,E,F"
	}
	if text == "all" {
		text = "A,B,C,D,E,F,fasp,loopback,fairness"
	}
	for name := range strings.SplitSeq(text, ",") {
		before := len(links)
		switch name {
		case loopback:
			loop = true
			continue
		case fairness:
			fair = true
			continue
		}
		for _, s := range scenarios {
			if s.name == name || name == "fasp" && strings.HasPrefix(s.name, "fasp") {
				links = append(links, s)
			}
		}
		if len(links) == before {
			return nil, false, false, fmt.Errorf("link %q: there are %s, fasp, loopback, fairness, all", name, strings.Join(names(), ", "))
		}
	}
	return links, loop, fair, nil
}

func names() []string {
	var all []string
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// parseSize reads "64MiB", "1GiB", "500MB" or a number of bytes. Empty: 0.
func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	factor := int64(1)
	number := text
	for unit, f := range map[string]int64{"KiB": 1 << 10, "MiB": mib, "GiB": gib, "kB": 1e3, "MB": 1e6, "GB": 1e9} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			number, factor = rest, f
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n <= 0 || n*float64(factor) > 1e12 {
		return 0, fmt.Errorf("size %q: must be such as 64MiB or 1GiB", text)
	}
	return int64(n * float64(factor)), nil
}

func sizeText(n int64) string {
	switch {
	case n%gib == 0:
		return fmt.Sprintf("%d GiB", n/gib)
	case n%mib == 0:
		return fmt.Sprintf("%d MiB", n/mib)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// jain is Jain's index of fairness: 1 when all are equal, 1/n when one has everything.
func jain(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / float64(len(x)) / squares
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
