package rate_test

import (
	"testing"
	"time"

	"isthmus/transfer/rate"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

func TestNames(t *testing.T) {
	for _, p := range []rate.Policy{rate.Fixed, rate.High, rate.Fair, rate.Low} {
		if got, err := rate.ParsePolicy(p.String()); err != nil || got != p {
			t.Errorf("ParsePolicy(%q) = %v, %v", p, got, err)
		}
	}
	if _, err := rate.ParsePolicy("fast"); err == nil {
		t.Error("there is no policy fast")
	}
	for r, want := range map[rate.BitRate]string{
		0: "0 kbit/s", 999 * rate.Kbit: "999 kbit/s", 93_400_000: "93.4 Mbit/s", 2500 * rate.Mbit: "2.50 Gbit/s",
	} {
		if got := r.String(); got != want {
			t.Errorf("%d is %q, want %q", r, got, want)
		}
	}
}

func TestBitRate(t *testing.T) {
	if got := (100 * rate.Mbit).Bytes(20 * ms); got != 250_000 {
		t.Errorf("100 Mbit/s carry %d bytes in 20 ms", got)
	}
	if got := (100 * rate.Mbit).Duration(250_000); got != 20*ms {
		t.Errorf("250 000 bytes take %v at 100 Mbit/s", got)
	}
	if got := rate.BitRate(0).Duration(1); got < 100*365*24*time.Hour {
		t.Errorf("a byte takes %v at no rate", got)
	}
}

// path is a crude path without queue for tests of the controller's edges; package sim has real ones.
type path struct {
	c    *rate.Controller
	now  time.Duration
	rtt  time.Duration
	loss int // of 100
}

// feed reports n packets every 5 ms for d.
func (p *path) feed(d time.Duration, n int, starved rate.Limiter) rate.Decision {
	var got rate.Decision
	for end := p.now + d; p.now < end; {
		p.now += 5 * ms
		lost := n * p.loss / 100
		got = p.c.OnSample(rate.Sample{
			Now: p.now, Arrived: p.now - p.rtt/2, Delivered: (n - lost) * 1500, Lost: lost * 1500, RTT: p.rtt,
			Outstanding: 20 * n * 1500, Starved: starved,
		})
	}
	return got
}

func newPath(cfg rate.Config) *path {
	return &path{c: rate.New(cfg, 0), rtt: 40 * ms}
}

// A transfer begins with a train of packets and a gap after it.
func TestTrain(t *testing.T) {
	c := rate.New(rate.Config{Target: rate.Gbit, RTT: 40 * ms}, 0)
	d := c.At(0)
	if d.Burst != 64*1500 || d.Window != d.Burst {
		t.Errorf("first burst %d, window %d: want a train of 64 packets and nothing else", d.Burst, d.Window)
	}
	if d = c.At(15 * ms); d.Window <= 64*1500 || d.Rate < 5*rate.Mbit || d.Rate > 20*rate.Mbit {
		t.Errorf("after the train: %+v", d)
	}
	small := rate.New(rate.Config{Target: rate.Gbit, Cap: rate.Mbit}, 0).At(0)
	if small.Burst > 15_000 || small.Rate > rate.Mbit {
		t.Errorf("under a cap of 1 Mbit/s: %+v", small)
	}
	// 64 packets that come in over 7.68 ms say 100 Mbit/s.
	c.OnSample(rate.Sample{Now: 40 * ms, Arrived: ms, Delivered: 1500, RTT: 40 * ms, Outstanding: 63 * 1500})
	d = c.OnSample(rate.Sample{Now: 50 * ms, Arrived: ms + 7560*time.Microsecond, Delivered: 63 * 1500, RTT: 40 * ms})
	if d.Rate < 70*rate.Mbit || d.Rate > 100*rate.Mbit {
		t.Errorf("the train said 100 Mbit/s, the rate is %v", d.Rate)
	}
}

// Where packets are larger the least burst is, too.
func TestPacketSize(t *testing.T) {
	p := newPath(rate.Config{Policy: rate.Fixed, Target: 8 * rate.Mbit})
	if d := p.feed(time.Second, 4, rate.Path); d.Burst != 2*1500 {
		t.Errorf("burst %d", d.Burst)
	}
	p.c.SetPacket(9000)
	if d := p.c.At(p.now); d.Burst != 2*9000 {
		t.Errorf("burst of larger packets %d", d.Burst)
	}
	p.c.PathChanged(p.now, 0)
	if d := p.c.At(p.now); d.Burst < 4*9000 {
		t.Errorf("train of larger packets %d", d.Burst)
	}
}

// A guess is where the search begins, until the train says more.
func TestGuess(t *testing.T) {
	guess := rate.New(rate.Config{Guess: 50 * rate.Mbit, RTT: 300 * ms}, 0)
	if d := guess.At(100 * ms); d.Rate != 40*rate.Mbit {
		t.Errorf("%v", d.Rate)
	}
	capped := rate.New(rate.Config{Guess: 50 * rate.Mbit, Cap: 5 * rate.Mbit, RTT: 300 * ms}, 0)
	if d := capped.At(100 * ms); d.Rate > 5*rate.Mbit {
		t.Errorf("%v under a cap of 5 Mbit/s", d.Rate)
	}
}

// A cap that comes and goes, as a slow disk's does, costs no search.
func TestShortCap(t *testing.T) {
	p := newPath(rate.Config{Target: 100 * rate.Mbit})
	before := p.feed(5*time.Second, 42, rate.Path).Rate
	p.c.SetCap(rate.Mbit)
	if d := p.feed(50*ms, 1, rate.Path); d.Rate != rate.Mbit {
		t.Errorf("capped: %v", d.Rate)
	}
	p.c.SetCap(0)
	if d := p.c.At(p.now); d.Rate < before*85/100 {
		t.Errorf("%v after the cap, %v before", d.Rate, before)
	}
	p.c.SetCap(rate.Mbit)
	p.feed(15*time.Second, 1, rate.Path)
	p.c.SetCap(0)
	if d := p.c.At(p.now); d.Rate > 10*rate.Mbit {
		t.Errorf("%v after a cap of %v: the path may be another by now", d.Rate, 15*time.Second)
	}
}

func TestFixed(t *testing.T) {
	p := newPath(rate.Config{Policy: rate.Fixed, Target: 80 * rate.Mbit})
	p.loss = 50
	if d := p.feed(2*time.Second, 10, rate.Path); d.Rate != 80*rate.Mbit || d.Limiter != rate.TargetRate || d.Window < 1_000_000 {
		t.Errorf("fixed beside 50 %% loss: %+v", d)
	}
	p.c.SetCap(30 * rate.Mbit)
	if d := p.c.At(p.now); d.Rate != 30*rate.Mbit || d.Limiter != rate.AccountCap {
		t.Errorf("capped: %+v", d)
	}
	if s := p.c.State(); s.Phase != "fixed" {
		t.Errorf("phase %q", s.Phase)
	}
}

func TestLimiter(t *testing.T) {
	p := newPath(rate.Config{Target: 100 * rate.Mbit})
	for _, l := range []rate.Limiter{rate.Application, rate.Disk, rate.Receiver} {
		if d := p.feed(time.Second, 4, l); d.Limiter != l {
			t.Errorf("limited by %v, want %v", d.Limiter, l)
		}
	}
	// The path gives back whatever is sent, so the target is reached.
	if d := p.feed(5*time.Second, 42, rate.Path); d.Limiter != rate.TargetRate || d.Rate != 100*rate.Mbit {
		t.Errorf("%+v, want the target rate", d)
	}
	p.c.SetTarget(0, 0)
	if d := p.feed(time.Second, 42, rate.Path); d.Limiter != rate.Path {
		t.Errorf("limited by %v, want the path", d.Limiter)
	}
	p.c.Pause(p.now)
	if d := p.c.At(p.now); d.Rate != 0 || d.Limiter != rate.Paused || p.c.State().Phase != "paused" {
		t.Errorf("paused: %+v", d)
	}
	p.c.Resume(p.now)
	if d := p.c.At(p.now); d.Rate < rate.DefaultMinimum || d.Limiter == rate.Paused {
		t.Errorf("resumed: %+v", d)
	}
}

// Silence slows down to the minimum; the next report starts again with half the rate.
func TestSilence(t *testing.T) {
	p := newPath(rate.Config{Target: rate.Gbit, Minimum: 2 * rate.Mbit})
	p.feed(3*time.Second, 42, rate.Path)
	before := p.c.State().Delivered
	p.now += 3 * time.Second
	if d := p.c.At(p.now); d.Rate != 2*rate.Mbit || p.c.State().Phase != "silent" {
		t.Errorf("after three silent seconds: %+v in phase %s", d, p.c.State().Phase)
	}
	if d := p.feed(5*ms, 42, rate.Path); d.Rate < before/3 || d.Rate > before {
		t.Errorf("heard again: %v, it was %v", d.Rate, before)
	}
}

func TestPathChanged(t *testing.T) {
	p := newPath(rate.Config{Target: rate.Gbit})
	if _, ok := p.c.History(); ok {
		t.Error("a history of nothing")
	}
	p.feed(3*time.Second, 42, rate.Path)
	p.c.PathChanged(p.now, 200*ms)
	if s := p.c.State(); s.BaseRTT != 0 || s.Phase != "start" {
		t.Errorf("the old path is still known: %+v", s)
	}
	p.rtt = 200 * ms
	p.feed(3*time.Second, 42, rate.Path)
	if s := p.c.State(); s.BaseRTT != 200*ms {
		t.Errorf("base round trip %v", s.BaseRTT)
	}
	if d := p.c.LossDelay(); d < 200*ms || d > 400*ms {
		t.Errorf("loss delay %v at 200 ms", d)
	}
}

// Whatever is reported, decisions stay within their bounds and time never matters twice.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := rate.Config{
			Policy:  rapid.SampledFrom([]rate.Policy{rate.Fair, rate.High, rate.Low, rate.Fixed}).Draw(t, "policy"),
			Target:  rate.BitRate(rapid.Int64Range(1e5, 1e11).Draw(t, "target")),
			Minimum: rate.BitRate(rapid.Int64Range(1e3, 1e7).Draw(t, "minimum")),
			RTT:     time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(t, "rtt")),
		}
		c := rate.New(cfg, 0)
		ceiling := cfg.Target
		paused := false
		now, arrived := time.Duration(0), time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += time.Duration(rapid.Int64Range(0, int64(50*ms)).Draw(t, "step"))
			switch rapid.IntRange(0, 19).Draw(t, "what") {
			case 0:
				limit := rate.BitRate(rapid.Int64Range(0, 1e9).Draw(t, "cap"))
				c.SetCap(limit)
				if ceiling = cfg.Target; limit > 0 {
					ceiling = min(ceiling, limit)
				}
			case 1:
				c.Pause(now)
				paused = true
			case 2:
				c.Resume(now)
				paused = false
			case 3:
				now += time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "silence"))
			case 4:
				c.PathChanged(now, 0)
			default:
				arrived += time.Duration(rapid.Int64Range(-int64(ms), int64(50*ms)).Draw(t, "arrived"))
				c.OnSample(rate.Sample{
					Now: now, Arrived: arrived,
					Delivered: rapid.IntRange(0, 1e6).Draw(t, "delivered"), Lost: rapid.IntRange(0, 1e6).Draw(t, "lost"),
					RTT:         time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "sample rtt")),
					Outstanding: rapid.IntRange(0, 1e8).Draw(t, "outstanding"),
					Starved:     rapid.SampledFrom([]rate.Limiter{rate.Path, rate.Disk}).Draw(t, "starved"),
				})
			}
			d := c.At(now)
			if again := c.At(now); again != d {
				t.Fatalf("asked twice at %v: %+v, then %+v", now, d, again)
			}
			if paused {
				if d.Rate != 0 || d.Limiter != rate.Paused {
					t.Fatalf("paused: %+v", d)
				}
				continue
			}
			// A bit of rounding: rates are kept in byte/s.
			if d.Rate > ceiling+8 || d.Rate < min(cfg.Minimum, ceiling)-8 {
				t.Fatalf("rate %v, not between %v and %v", d.Rate, min(cfg.Minimum, ceiling), ceiling)
			}
			if d.Window < 4*1500 || d.Burst < 2*1500 {
				t.Fatalf("no room to send: %+v", d)
			}
			if c.LossDelay() <= 0 {
				t.Fatalf("loss delay %v", c.LossDelay())
			}
		}
	})
}
