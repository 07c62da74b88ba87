package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"isthmus/transfer/rate"
)

// flow is one of several on a link.
type flow struct {
	policy rate.Policy
	cubic  bool // not ours: TCP
	start  time.Duration
}

func (f flow) String() string {
	if f.cubic {
		return "cubic"
	}
	return f.policy.String()
}

// trial is some flows and the time in which they are looked at.
type trial struct {
	name     string
	flows    []flow
	from, to time.Duration
	goal     string
	met      func(shares) bool // nil: no goal
}

// shares is how flows shared a link: a line of bench/transfer.jsonl.
type shares struct {
	Time    time.Time `json:"time"`
	Link    string    `json:"link"`
	Trial   string    `json:"fairness"`
	Flows   string    `json:"peer"`        // in the order in which they started
	Goodput float64   `json:"goodput_pct"` // all together
	Mbit    []float64 `json:"mbit_s"`
	Jain    float64   `json:"jain"`
	QueueMS float64   `json:"queue_ms"` // mean over the packets
	LateMS  float64   `json:"late_ms"`
	Load    float64   `json:"load"`
	Goal    string    `json:"goal,omitempty"`
	Met     *bool     `json:"met,omitempty"`
}

// ratio is the first flow's rate to the second's.
func (s shares) ratio() float64 { return s.Mbit[0] / max(s.Mbit[1], 1e-3) }

const equal = "two equal flows"

func trials(starts int) []trial {
	const second = time.Second
	all := []trial{{
		name: "one flow", flows: []flow{{}}, from: 2 * second, to: 20 * second,
		goal: "queue at most 12 ms", met: func(s shares) bool { return s.QueueMS <= 12 },
	}}
	for i := range starts { // the second one comes at any moment of the first one's cycle
		later := 3*second + time.Duration(i)*377*ms
		all = append(all, trial{
			name: equal, flows: []flow{{}, {start: later}}, from: later + 5*second, to: later + 13*second,
			goal: "Jain at least 0.95", met: func(s shares) bool { return s.Jain >= 0.95 },
		})
	}
	ten := trial{
		name: "ten equal flows", from: 28 * second, to: 40 * second,
		goal: "Jain at least 0.9", met: func(s shares) bool { return s.Jain >= 0.9 },
	}
	for i := range 10 {
		ten.flows = append(ten.flows, flow{start: time.Duration(i) * 1700 * ms})
	}
	all = append(
		all, ten,
		trial{
			name: "high and fair", flows: []flow{{policy: rate.High}, {start: 5 * second}}, from: 15 * second, to: 30 * second,
			goal: "2 : 1 within 25 %", met: func(s shares) bool { return s.ratio() >= 1.5 && s.ratio() <= 2.5 },
		},
		trial{
			name: "fair and high", flows: []flow{{}, {policy: rate.High, start: 5 * second}}, from: 15 * second, to: 30 * second,
			goal: "1 : 2 within 25 %", met: func(s shares) bool { return s.ratio() >= 1/2.5 && s.ratio() <= 1/1.5 },
		},
	)
	for _, p := range []rate.Policy{rate.High, rate.Fair, rate.Low} {
		all = append(all, trial{
			name: "beside TCP", flows: []flow{{policy: p}, {cubic: true, start: 5 * second}}, from: 20 * second, to: 50 * second,
		})
	}
	return all
}

// fairness runs all trials on link A.
func (b *bench) fairness(ctx context.Context, out *report) error {
	if ctx.Err() != nil {
		return nil
	}
	s := scenarios[0]
	e, err := openLink(ctx, s)
	if err != nil {
		return err
	}
	defer e.process.end()
	if err := b.check(ctx, s, e, out); err != nil {
		return err
	}
	for _, t := range trials(b.starts) {
		r, err := b.try(ctx, s, e, t)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if err := out.addShares(r); err != nil {
			return err
		}
	}
	return nil
}

// endless is a file that outlasts every trial.
func (b *bench) endless() (path string, size int64, err error) {
	path, size = filepath.Join(b.dir, "endless"), 16*gib // holes only
	f, err := os.Create(path)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }()
	return path, size, f.Truncate(size)
}

func (b *bench) try(ctx context.Context, s scenario, e *emulator, t trial) (shares, error) {
	r := shares{Time: time.Now().UTC().Truncate(time.Second), Link: s.name, Trial: t.name, Goal: t.goal, Load: load()}
	file, size, err := b.endless()
	if err != nil {
		return r, err
	}
	came := map[bool]*series{false: {}, true: {}}
	at := map[bool]ready{}
	for _, cubic := range []bool{false, true} {
		proto := map[bool]string{false: "isthmus", true: "tcp"}[cubic]
		server, address, err := startServe(ctx, e.cfg.B, serveArgs{Proto: proto, Addr: serverHost + ":0", Flows: len(t.flows), Size: size})
		if err != nil {
			return r, err
		}
		defer server.end()
		at[cubic] = address
		go came[cubic].collect(server.lines)
	}
	if err := e.congestion("cubic"); err != nil {
		return r, err
	}
	begin := time.Now()
	until := func(d time.Duration) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(begin.Add(d))):
			return nil
		}
	}
	var names []string
	var clients []*process
	for i, f := range t.flows {
		if err := until(f.start); err != nil {
			return r, err
		}
		args := sendArgs{Proto: "isthmus", File: file, Flow: i, Policy: f.policy.String(), Addr: at[f.cubic].Addr, Key: at[f.cubic].Key}
		if f.cubic {
			args.Proto = "tcp"
		}
		client, err := startRole(e.cfg.A, "send", args)
		if err != nil {
			return r, err
		}
		defer client.end()
		clients = append(clients, client)
		names = append(names, f.String())
	}
	r.Flows = strings.Join(names, "+")
	if err := until(t.from); err != nil {
		return r, err
	}
	if _, err := e.lap(ctx); err != nil {
		return r, err
	}
	if err := until(t.to + 2*tallyEvery); err != nil { // what came at the end is said a little later
		return r, err
	}
	c, err := e.lap(ctx)
	if err != nil {
		return r, err
	}
	for _, client := range clients {
		if client.over(0) {
			return r, fmt.Errorf("a flow ended: %w: %s", client.err, client.errors.text())
		}
	}
	for i, f := range t.flows {
		r.Mbit = append(r.Mbit, came[f.cubic].mbit(i, begin.Add(t.from), begin.Add(t.to)))
		r.Goodput += r.Mbit[i] * 1e8 / float64(s.rate)
	}
	r.Jain = jain(r.Mbit)
	r.QueueMS = float64(c[0].Waited.Microseconds()) / 1e3 / float64(max(1, c[0].Queued))
	r.LateMS = float64(max(c[0].LateMax, c[1].LateMax).Microseconds()) / 1e3
	if t.met != nil {
		r.Met = ptr(t.met(r))
	}
	return r, nil
}

var fairColumns = []string{"link", "trial", "flows", "Mbit/s each", "together %", "Jain", "queue ms", "goal", "met", "late ms", "load"}

func (s shares) cells() []string {
	met := "–"
	if s.Met != nil {
		met = map[bool]string{true: "yes", false: "no"}[*s.Met]
	}
	return []string{
		s.Link, s.Trial, s.Flows, strings.Trim(fmt.Sprintf("%.1f", s.Mbit), "[]"), fmt.Sprintf("%.1f", s.Goodput), fmt.Sprintf("%.3f", s.Jain),
		fmt.Sprintf("%.1f", s.QueueMS), s.Goal, met, fmt.Sprintf("%.1f", s.LateMS), fmt.Sprintf("%.1f", s.Load),
	}
}

func (o *report) addShares(s shares) error {
	o.shares = append(o.shares, s)
	o.say("%s", strings.Join(s.cells(), "  "))
	return o.json.Encode(s)
}

// fairness is the table of the trials.
func (o *report) fairness() {
	if len(o.shares) == 0 {
		return
	}
	o.say("| %s |\n|%s", strings.Join(fairColumns, " | "), strings.Repeat("---|", len(fairColumns)))
	met, of := 0, 0
	for _, s := range o.shares {
		o.say("| %s |", strings.Join(s.cells(), " | "))
		if s.Trial == equal {
			of++
			if *s.Met {
				met++
			}
		}
	}
	o.say("\n- %d of %d starts of two equal flows are fair (goal: 9 of 10)", met, of)
}
