package rate

import (
	"math"
	"time"
)

// reading is what the samples of one interval say.
type reading struct {
	now     time.Duration
	span    time.Duration // sender's clock
	rate    float64       // delivered, byte/s by the receiver's clock
	loss    float64       // lost / (lost + delivered)
	packets int           // lost and delivered
	rtt     time.Duration // smallest; 0: none
	longest time.Duration // largest of the samples' smallest
	starved Limiter
}

// meter gathers samples into readings.
type meter struct {
	packet    int
	started   bool
	begin     time.Duration
	arrived   time.Duration // receiver's clock at the end of the last reading
	latest    time.Duration
	delivered int
	lost      int
	rtt       time.Duration
	longest   time.Duration
	starved   Limiter
}

func (m *meter) add(s Sample) {
	if !m.started && s.Delivered > 0 {
		// The first report only sets the clocks: its packets came in before them.
		m.started, m.begin, m.arrived, m.latest = true, s.Now, s.Arrived, s.Arrived
	} else {
		m.delivered += s.Delivered
	}
	m.lost += s.Lost
	if s.Arrived > m.latest {
		m.latest = s.Arrived
	}
	if s.RTT > 0 && (m.rtt == 0 || s.RTT < m.rtt) {
		m.rtt = s.RTT
	}
	m.longest = max(m.longest, s.RTT)
	if s.Starved != Path {
		m.starved = s.Starved
	}
}

// skip forgets what was gathered since the last reading.
func (m *meter) skip() {
	m.arrived = m.latest
	m.delivered, m.lost, m.rtt, m.longest, m.starved = 0, 0, 0, 0, Path
}

// restart begins a reading now.
func (m *meter) restart(now time.Duration) {
	m.skip()
	m.begin = now
}

// take ends an interval that has lasted at least d and carried enough packets to mean something.
func (m *meter) take(now, d time.Duration) (reading, bool) {
	span := now - m.begin
	if !m.started || span < d {
		return reading{}, false
	}
	packets := (m.delivered + m.lost) / m.packet
	if packets < 8 && span < 8*d && span < time.Second {
		return reading{}, false
	}
	r := reading{now: now, span: span, packets: packets, rtt: m.rtt, longest: m.longest, starved: m.starved}
	if m.delivered+m.lost > 0 {
		r.loss = float64(m.lost) / float64(m.delivered+m.lost)
	}
	if between := m.latest - m.arrived; between > 0 {
		r.rate = float64(m.delivered) / between.Seconds()
	}
	m.begin, m.arrived = now, m.latest
	m.delivered, m.lost, m.rtt, m.longest, m.starved = 0, 0, 0, 0, Path
	return r, true
}

// baseline is the round trip without a queue: the smallest of the last one to two periods.
type baseline struct {
	old, young time.Duration
	since      time.Duration
}

const basePeriod = 30 * time.Second

func (b *baseline) add(now, rtt time.Duration) {
	if rtt <= 0 {
		return
	}
	if b.young == 0 || rtt < b.young {
		b.young = rtt
	}
	if now-b.since > basePeriod {
		b.old, b.young, b.since = b.young, rtt, now
	}
}

func (b *baseline) get() time.Duration {
	if b.old != 0 && b.old < b.young {
		return b.old
	}
	return b.young
}

// reset forgets everything but rtt.
func (b *baseline) reset(now, rtt time.Duration) { b.old, b.young, b.since = 0, rtt, now }

// lossFloor is the loss that does not come from the own rate.
type lossFloor struct {
	packets, lost [floorIntervals]float64
	next          int
	floor         float64
}

const (
	floorIntervals = 16
	// Beyond this no path is taken for merely lossy.
	maxFloor = 0.45
)

// add takes an interval whose loss was not beyond the floor by more than chance.
func (f *lossFloor) add(loss float64, packets int) {
	f.packets[f.next], f.lost[f.next] = float64(packets), loss*float64(packets)
	f.next = (f.next + 1) % floorIntervals
	f.pool()
}

func (f *lossFloor) pool() {
	var n, l float64
	for i := range f.packets {
		n += f.packets[i]
		l += f.lost[i]
	}
	if n > 0 {
		f.floor = min(l/n, maxFloor)
	}
}

// fade lets go of a floor that nothing confirms: several flows that all learned it from a full buffer
// would keep it full for ever.
func (f *lossFloor) fade(share float64) {
	for i := range f.lost {
		f.lost[i] -= share * f.lost[i]
	}
	f.pool()
}

// checked takes the loss seen while the own rate was cut: what went away with the cut was overload,
// however long it had lasted.
func (f *lossFloor) checked(loss float64, packets int) (lower bool) {
	if packets < 20 || loss+2*deviation(loss, packets) >= f.floor {
		return false
	}
	f.packets, f.lost = [floorIntervals]float64{}, [floorIntervals]float64{}
	f.add(loss, packets)
	return true
}

// excess is how far loss lies above the floor beyond what chance explains; 0: not at all.
func (f *lossFloor) excess(loss float64, packets int) float64 {
	known := 0.0
	for _, n := range f.packets {
		known += n
	}
	// One lost packet of twenty is no rate: it would hit slow flows only.
	if loss*float64(packets) < 2.5 || known == 0 || loss <= f.floor+0.01+3*deviation(f.floor, packets)+3*deviation(f.floor, int(known)) {
		return 0
	}
	return loss - f.floor
}

func deviation(p float64, packets int) float64 {
	p = max(p, 0.005)
	return math.Sqrt(p * (1 - p) / float64(packets))
}
