package gateway

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// simSession is a client in virtual time: it sends what it may, as far as its line goes, and hears of a new rate
// only when the word has come to it.
type simSession struct {
	sharer
	line    float64       // bit/s
	better  time.Duration // from when on the line is a fast one
	rtt     time.Duration
	loss    float64
	eff     float64 // of what it may that it does, on a busy machine; 0 = all
	from    time.Duration
	until   time.Duration
	rest    [2]time.Duration // paused in between
	told    []float64        // rates on their way to the client, one per tick
	sent    float64          // bit/s of the tick
	carried float64          // bytes
	joined  bool
	next    time.Duration // reading
	total   float64       // bits of all the time
}

const simTick = 10 * time.Millisecond

// simulate runs replicas with sessions and gives, for each tick, what all sent and what they could have sent.
func simulate(t *testing.T, limit func(time.Duration) float64, length time.Duration, replicas ...[]*simSession) (sent, could []float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ledgers := make([]*ledger, len(replicas))
	said := make([][]TransferWish, len(replicas))
	for i := range ledgers {
		ledgers[i] = &ledger{}
	}
	for at := time.Duration(0); at < length; at += simTick {
		now := begin.Add(at)
		all, able := 0.0, 0.0
		for i, l := range ledgers {
			l.total = limit(at)
			for n, s := range replicas[i] {
				here := at >= s.from && (s.until == 0 || at < s.until)
				if here && !s.joined {
					s.joined, s.began, s.ID = true, now, fmt.Sprint(i, "-", n)
					s.next = at + time.Second
					l.own = append(l.own, &s.sharer)
				}
				if !here && s.joined {
					s.joined = false
					for k, o := range l.own {
						if o == &s.sharer {
							l.own = append(l.own[:k], l.own[k+1:]...)
							break
						}
					}
				}
				if !s.joined {
					continue
				}
				if s.better > 0 && at >= s.better {
					s.line = 1000 * mbit
				}
				paused := at >= s.rest[0] && at < s.rest[1]
				s.told = append(s.told, s.rate)
				delay := int((s.rtt + 100*time.Millisecond) / simTick)
				heard := 0.0
				if len(s.told) > delay {
					heard = s.told[len(s.told)-1-delay]
				}
				s.sent = 0
				if !paused {
					if s.eff > 0 {
						heard *= s.eff
					}
					s.sent = min(heard, s.line*(0.98+0.04*r.Float64()))
					able += s.line
				}
				s.total += s.sent * simTick.Seconds()
				s.carried += s.sent * simTick.Seconds() / 8 * (1 - s.loss)
				all += s.sent
				if at >= s.next {
					s.next += time.Second
					s.observe(now, Reading{Bytes: int64(s.carried), Carried: int64(s.carried), Missing: 1, Paused: paused, RTT: s.rtt, Loss: s.loss})
				}
			}
			if at%(100*time.Millisecond) == 0 {
				l.step(now)
			}
			// Replicas tell each other once a second, not at the same time.
			if len(ledgers) > 1 && at%time.Second == time.Duration(i)*300*time.Millisecond {
				said[i] = nil
				for _, s := range l.own {
					said[i] = append(said[i], l.wanted(s))
				}
				l.others = nil
				for k := range ledgers {
					if k != i {
						l.others = append(l.others, said[k]...)
					}
				}
			}
		}
		sent, could = append(sent, all), append(could, min(able, limit(at)))
	}
	return sent, could
}

// keeps checks the cap over any five seconds, and that it is used but for the moments after changes.
func keeps(t *testing.T, sent, could []float64, limit, over, under float64, changes ...time.Duration) {
	t.Helper()
	const window = int(5 * time.Second / simTick)
	sum, want := 0.0, 0.0
	most, least := 0.0, math.Inf(1)
	for i := range sent {
		sum, want = sum+sent[i], want+could[i]
		if i < window {
			continue
		}
		sum, want = sum-sent[i-window], want-could[i-window]
		most = max(most, sum/float64(window)/limit)
		at, calm := time.Duration(i)*simTick, true
		for _, c := range append(changes, 0) {
			calm = calm && (at < c || at > c+10*time.Second) // the window, and five to settle
		}
		if calm && want > 0 {
			least = min(least, sum/want)
		}
	}
	t.Logf("at most %.4f of the cap over five seconds; at least %.4f of what could be had", most, least)
	if most > over {
		t.Errorf("%.4f of the cap over five seconds", most)
	}
	if least < under {
		t.Errorf("only %.4f of what could be had", least)
	}
}

func flat(bps float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return bps }
}

func simmed(weight, line float64, rtt time.Duration) *simSession {
	return &simSession{sharer: sharer{TransferWish: TransferWish{Weight: weight}}, line: line, rtt: rtt}
}

const mbit = 1e6

func TestCapIsKeptAndUsed(t *testing.T) {
	ms := time.Millisecond
	t.Run("ten that could all fill it", func(t *testing.T) {
		var all []*simSession
		for i := range 10 {
			all = append(all, simmed(1, 1000*mbit, time.Duration(1+i*30)*ms))
		}
		sent, could := simulate(t, flat(100*mbit), 30*time.Second, all)
		keeps(t, sent, could, 100*mbit, 1.02, 0.95)
		squares, sum := 0.0, 0.0
		for _, s := range all {
			sum += s.total
			squares += s.total * s.total
		}
		if jain := sum * sum / squares / 10; jain < 0.99 {
			t.Errorf("Jain's index %.3f", jain)
		}
	})
	t.Run("joins, leaves, rests, slow and lossy lines", func(t *testing.T) {
		slow, lossy, resting, late, brief := simmed(1, 5*mbit, 50*ms), simmed(1, 1000*mbit, 200*ms), simmed(2, 1000*mbit, 20*ms), simmed(1, 1000*mbit, 300*ms), simmed(4, 1000*mbit, 10*ms)
		lossy.loss = 0.1
		resting.rest = [2]time.Duration{20 * time.Second, 40 * time.Second}
		late.from = 10 * time.Second
		brief.from, brief.until = 50*time.Second, 65*time.Second
		sent, could := simulate(t, flat(100*mbit), 90*time.Second, []*simSession{slow, lossy, resting, late, brief})
		keeps(t, sent, could, 100*mbit, 1.02, 0.95, 10*time.Second, 20*time.Second, 40*time.Second, 50*time.Second, 65*time.Second)
		if rate := slow.total / 90; rate < 4.7*mbit {
			t.Errorf("the slow one had %.1f Mbit/s", rate/mbit)
		}
		if rate := resting.total / 70; rate < 40*mbit {
			t.Errorf("the one of weight 2 had %.1f Mbit/s", rate/mbit)
		}
	})
	t.Run("nine slow lines and a fast one", func(t *testing.T) {
		all := []*simSession{simmed(1, 1000*mbit, 50*ms)}
		for range 9 {
			all = append(all, simmed(1, 5*mbit, 50*ms))
		}
		sent, could := simulate(t, flat(100*mbit), 30*time.Second, all)
		keeps(t, sent, could, 100*mbit, 1.02, 0.95)
	})
	t.Run("nine slow lines that become fast", func(t *testing.T) {
		all := []*simSession{simmed(1, 1000*mbit, 50*ms)}
		for range 9 {
			s := simmed(1, 5*mbit, 50*ms)
			s.better = 20 * time.Second
			all = append(all, s)
		}
		sent, could := simulate(t, flat(100*mbit), 40*time.Second, all)
		keeps(t, sent, could, 100*mbit, 1.02, 0.95, 20*time.Second)
		if s := all[9].sent; s < 9.5*mbit {
			t.Errorf("%.1f Mbit/s for one of ten", s/mbit)
		}
	})
	t.Run("all become fast", func(t *testing.T) {
		var all []*simSession
		for range 4 {
			s := simmed(1, 24*mbit, 50*ms)
			s.better = 20 * time.Second
			all = append(all, s)
		}
		sent, could := simulate(t, flat(100*mbit), 40*time.Second, all)
		keeps(t, sent, could, 100*mbit, 1.02, 0.95, 20*time.Second)
	})
	t.Run("one on a busy machine", func(t *testing.T) {
		busy, other := simmed(1, 1000*mbit, 50*ms), simmed(1, 1000*mbit, 50*ms)
		busy.eff = 0.87
		sent, could := simulate(t, flat(100*mbit), 120*time.Second, []*simSession{busy, other})
		keeps(t, sent, could, 100*mbit, 1.02, 0.92)
		if busy.sent < 40*mbit {
			t.Errorf("it was pressed down to %.1f Mbit/s", busy.sent/mbit)
		}
	})
	t.Run("two replicas", func(t *testing.T) {
		late := simmed(2, 1000*mbit, 100*ms)
		late.from, late.until = 15*time.Second, 40*time.Second
		here := []*simSession{simmed(1, 1000*mbit, 20*ms), simmed(1, 8*mbit, 20*ms)}
		there := []*simSession{simmed(1, 1000*mbit, 200*ms), late}
		sent, could := simulate(t, flat(100*mbit), 60*time.Second, here, there)
		keeps(t, sent, could, 100*mbit, 1.10, 0.90, 15*time.Second, 40*time.Second)
		if a, b := here[0].total, there[0].total; a/b < 0.85 || a/b > 1.18 {
			t.Errorf("one had %.2f times as much as its like on the other replica", a/b)
		}
	})
	t.Run("the cap changes", func(t *testing.T) {
		limit := func(at time.Duration) float64 {
			if at >= 20*time.Second {
				return 30 * mbit
			}
			return 100 * mbit
		}
		sent, could := simulate(t, limit, 40*time.Second, []*simSession{simmed(1, 1000*mbit, 20*ms), simmed(1, 1000*mbit, 50*ms)})
		keeps(t, sent[:2000], could[:2000], 100*mbit, 1.02, 0.95)
		keeps(t, sent[2050:], could[2050:], 30*mbit, 1.02, 0.95)
	})
}

func TestWhoComesFirst(t *testing.T) {
	w := func(owner string, first TransferFirst, weight, most float64) TransferWish {
		return TransferWish{ID: fmt.Sprint(owner, first, weight), Owner: owner, First: first, Weight: weight, Most: most}
	}
	for name, c := range map[string]struct {
		wishes []TransferWish
		want   []float64
	}{
		"by weight":                    {[]TransferWish{w("a", "", 2, 0), w("b", "", 1, 0), w("c", "", 0.5, 0)}, []float64{57.14, 28.57, 14.29}},
		"what one cannot use":          {[]TransferWish{w("a", "", 1, 10), w("b", "", 1, 0), w("c", "", 2, 0)}, []float64{10, 30, 60}},
		"more than enough":             {[]TransferWish{w("a", "", 1, 10), w("b", "", 1, 20)}, []float64{10, 20}},
		"first of the hub":             {[]TransferWish{w("a", FirstHub, 1, 0), w("b", "", 3, 0), w("c", "", 1, 0)}, []float64{99, 0.75, 0.25}},
		"first of the hub, but slow":   {[]TransferWish{w("a", FirstHub, 1, 40), w("b", "", 1, 0), w("c", "", 1, 0)}, []float64{40, 30, 30}},
		"first, and nobody wants more": {[]TransferWish{w("a", FirstHub, 1, 0), w("b", "", 1, 0.2)}, []float64{99.8, 0.2}},
		"first of one's own":           {[]TransferWish{w("a", FirstOwn, 1, 0), w("a", "", 1, 0), w("b", "", 1, 0)}, []float64{66, 0.67, 33.33}},
		"first of one's own, but slow": {[]TransferWish{w("a", FirstOwn, 1, 20), w("a", "", 1, 0), w("b", "", 2, 0)}, []float64{20, 30, 50}},
		"nobody":                       {nil, nil},
	} {
		got := divide(100, c.wishes)
		for i := range c.want {
			if math.Abs(got[i]-c.want[i]) > 0.01 {
				t.Errorf("%s: %.2f, want %.2f", name, got, c.want)
				break
			}
		}
	}
}

// Hours are those that clocks show, also on the days on which they are changed.
func TestCapByTheClock(t *testing.T) {
	day := TransferHours{Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: "08:00", To: "18:00", CapBPS: 1}
	night := TransferHours{Days: []string{"sat"}, From: "22:00", To: "03:00", CapBPS: 2}
	acc := TransferAccount{CapBPS: 9, Schedule: []TransferHours{day, night}, TimeZone: "Europe/Berlin"}
	for at, want := range map[string]int64{
		"2026-11-23T06:59:59Z": 9, "2026-11-23T07:00:00Z": 1, "2026-11-23T16:59:59Z": 1, "2026-11-23T17:00:00Z": 9, // winter: UTC+1
		"2026-07-06T05:59:59Z": 9, "2026-07-06T06:00:00Z": 1, "2026-07-06T16:00:00Z": 9, // summer: UTC+2
		"2026-11-22T12:00:00Z": 9,                            // a Sunday
		"2026-03-28T21:00:00Z": 2, "2026-03-29T00:59:59Z": 2, // Saturday night, until clocks jump from two to three
		"2026-03-29T01:00:00Z": 9,
		"2026-10-24T20:00:00Z": 2, "2026-10-25T00:30:00Z": 2, "2026-10-25T01:30:00Z": 2, // half past two, twice
		"2026-10-25T02:00:00Z": 9,
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := acc.CapAt(when); got != want {
			t.Errorf("%s: %d, want %d", at, got, want)
		}
	}
}

func TestWhatHoldsASessionBack(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for want, c := range map[string]struct {
		reading Reading
		change  func(l *ledger, s *sharer)
	}{
		LimitedByLine:         {Reading{Bytes: 1e6, Missing: 1}, func(l *ledger, _ *sharer) { l.total = 0 }},
		LimitedByCap:          {Reading{Bytes: 1e6, Missing: 1}, nil},
		LimitedByRate:         {Reading{Bytes: 1e6, Missing: 1}, func(_ *ledger, s *sharer) { s.ceiling, s.ownWish = 8e6, true }},
		LimitedByPriority:     {Reading{Bytes: 1e6, Missing: 1}, func(l *ledger, _ *sharer) { l.others = []TransferWish{{Weight: 1, First: FirstHub}} }},
		LimitedByStorage:      {Reading{Bytes: 1e6, Missing: 1, Storage: true}, func(_ *ledger, s *sharer) { s.ceiling, s.ownWish = 8e6, true }},
		"storage, at the end": {Reading{Bytes: 1e6, Storage: true}, nil},
		LimitedByNone:         {Reading{Bytes: 1e6}, nil},
		"none, paused":        {Reading{Bytes: 1e6, Missing: 1, Paused: true, Storage: true}, nil},
	} {
		s := &sharer{TransferWish: TransferWish{Weight: 1}, began: now}
		l := &ledger{total: 8e6, own: []*sharer{s}}
		if c.change != nil {
			c.change(l, s)
		}
		l.step(now)
		s.observe(now.Add(time.Second), c.reading)
		if word, _, _ := strings.Cut(want, ","); l.limitedBy(s) != word {
			t.Errorf("%s, want %s", l.limitedBy(s), want)
		}
	}
}
