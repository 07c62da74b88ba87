package sim

import (
	"slices"
	"time"

	"isthmus/transfer/rate"
)

// sender is both ends of one of our transfers: blocks of one packet each, a number per transmission,
// feedback every 5 ms that repeats what an earlier one lost, loss by gaps and by time.
type sender struct {
	flow *Flow
	link *bottleneck
	out  *Result
	ctl  *rate.Controller
	end  *rate.EndGame

	blocks   int // of the file; without end: a huge number
	fresh    int // next block never sent
	repairs  ring[int32]
	state    []blockState
	packets  []transmission // by number - base
	base     int
	progress time.Duration // latest report of any packet
	reported int           // highest number reported
	left     int           // blocks not confirmed
	ending   []int32

	outstanding int
	credit      float64
	decision    rate.Decision
	wake        time.Duration // next tick of the sender
	last        time.Duration

	way      ring[arrival] // data on the way
	came     []arrival     // at the receiver, in order; reported up to sampled
	sampled  int
	had      []bool
	arrivals int
	missing  int
	report   time.Duration // next feedback leaves
	back     ring[message]
	starved  rate.Limiter
	lastCame time.Duration
	traced   time.Duration
	script   int
	finished bool
	dry      time.Duration // when the last block had been sent once; 0: not yet
}

type blockState struct {
	sent      time.Duration
	copies    uint16
	flying    int16
	confirmed bool
}

type transmission struct {
	sent  time.Duration
	block int32
	state uint8 // 0 under way, 1 reported, 2 declared lost
}

type arrival struct {
	at     time.Duration
	sent   time.Duration
	number int32
	block  int32
}

type message struct {
	at, left time.Duration
	upTo     int
	whole    bool
}

func newSender(f *Flow, b *bottleneck, out *Result) *sender {
	s := &sender{flow: f, link: b, out: out, blocks: 1 << 30, reported: -1}
	if f.Size > 0 {
		s.blocks = int((f.Size + Payload - 1) / Payload)
		s.had = make([]bool, s.blocks)
		s.state = make([]blockState, s.blocks)
	}
	s.left, s.missing = s.blocks, s.blocks
	out.Needed = s.blocks
	s.wake = f.Start + time.Duration(f.Setup*float64(b.RTT))
	s.last = s.wake
	cfg := f.Config
	if cfg.RTT == 0 {
		cfg.RTT = b.RTT + b.putQueue(f.Start)
	}
	s.ctl = rate.New(cfg, s.wake)
	s.end = rate.NewEndGame(int64(s.blocks)*Packet, Packet)
	s.report = never
	s.decision = s.ctl.At(s.wake)
	s.credit = float64(s.decision.Burst)
	out.Slowest = 1 << 60
	return s
}

func (s *sender) next() time.Duration {
	if s.finished {
		return never
	}
	t := min(s.wake, s.report)
	if s.way.len() > 0 {
		t = min(t, s.way.peek().at)
	}
	if s.back.len() > 0 {
		t = min(t, s.back.peek().at)
	}
	return t
}

func (s *sender) act(now time.Duration) {
	for s.way.len() > 0 && s.way.peek().at <= now {
		s.arrive(*s.way.peek())
		s.way.pop()
	}
	if s.back.len() > 0 && s.back.peek().at <= now {
		m := *s.back.peek()
		s.back.pop()
		s.hear(now, m)
		if s.finished {
			return
		}
	}
	if s.report <= now {
		s.tell(now)
	}
	if s.wake <= now {
		s.send(now)
	}
}

// arrive is the receiver's side of a data packet.
func (s *sender) arrive(a arrival) {
	if i := int(a.at / slot); i >= len(s.out.Arrived) {
		s.out.Arrived = append(s.out.Arrived, make([]int, i+1-len(s.out.Arrived))...)
	}
	s.out.Arrived[a.at/slot] += Packet
	if s.lastCame > 0 {
		s.out.Longest = max(s.out.Longest, a.at-s.lastCame)
	}
	s.lastCame = a.at
	s.came = append(s.came, a)
	if s.had != nil {
		if s.had[a.block] {
			s.out.Twice++
		} else {
			s.had[a.block] = true
			s.missing--
		}
	}
	if s.arrivals++; s.arrivals <= 3 || s.missing == 0 {
		s.report = a.at
	}
}

// feedbackEvery is what the data plane asks of the receiver until the last block was sent.
func feedbackEvery(c *rate.Controller, rtt time.Duration) time.Duration {
	if c.State().Phase == "start" {
		return feedback
	}
	return max(feedback, rtt/8)
}

// tell sends a feedback message; it repeats what earlier ones said as far as that may be lost, here: all.
func (s *sender) tell(now time.Duration) {
	s.report = now + feedbackEvery(s.ctl, s.link.RTT)
	if s.dry > 0 && now > s.dry+s.link.RTT/2 {
		s.report = now + feedback
	}
	if s.link.LossBack > 0 && s.link.rng.Float64() < s.link.LossBack {
		return
	}
	s.back.push(message{at: now + s.link.RTT/2, left: now, upTo: len(s.came), whole: s.missing == 0})
}

// hear is the sender's side of a feedback message.
func (s *sender) hear(now time.Duration, m message) {
	if m.whole && s.flow.Size > 0 {
		s.finished = true
		s.out.Done = now - s.flow.Start
		return
	}
	smp := rate.Sample{Now: now, Starved: s.starved}
	s.starved = rate.Path
	for _, a := range s.came[s.sampled:max(m.upTo, s.sampled)] {
		smp.Arrived = a.at
		rtt := a.at - a.sent + now - m.left
		if smp.RTT == 0 || rtt < smp.RTT {
			smp.RTT = rtt
		}
		smp.Delivered += Packet
		s.progress = now
		s.confirm(a.block)
		if int(a.number) < s.base {
			continue
		}
		p := &s.packets[int(a.number)-s.base]
		if p.state == 0 {
			s.outstanding -= Packet
			s.landed(p)
		}
		p.state = 1
		s.reported = max(s.reported, int(a.number))
	}
	s.came, s.sampled = s.came[max(m.upTo, s.sampled):], 0
	s.shift(m.upTo)
	smp.Lost = s.findLost(now)
	smp.Outstanding = s.outstanding
	s.decision = s.ctl.OnSample(smp)
	if s.fresh == s.blocks {
		s.plan(now)
	}
}

func (s *sender) landed(p *transmission) {
	if s.state != nil {
		s.state[p.block].flying--
	}
}

// shift keeps the positions of messages under way right after the log was cut.
func (s *sender) shift(n int) {
	for i := s.back.head; i < len(s.back.items); i++ {
		s.back.items[i].upTo -= n
	}
}

func (s *sender) confirm(block int32) {
	if s.state != nil && !s.state[block].confirmed {
		s.state[block].confirmed = true
		s.left--
	}
}

// findLost declares packets lost: sixteen later ones were reported, or it has been too long.
func (s *sender) findLost(now time.Duration) (bytes int) {
	late := s.ctl.LossDelay()
	cut := 0
	for i := range s.packets {
		p := &s.packets[i]
		number := s.base + i
		if p.state == 0 {
			if number >= s.reported-reorder && (now-p.sent < late || now-s.progress < late/4) {
				break
			}
			p.state = 2
			s.outstanding -= Packet
			bytes += Packet
			if s.state != nil {
				b := &s.state[p.block]
				b.flying--
				if !b.confirmed && s.fresh < s.blocks {
					s.repairs.push(p.block)
				}
			}
		}
		cut = i + 1
	}
	// A few stay, so that a packet that turns up after all is still known.
	if cut > 4*reorder+4096 {
		n := cut - 4*reorder
		s.packets = append(s.packets[:0], s.packets[n:]...)
		s.base += n
	}
	return bytes
}

// plan asks the end game what to send.
func (s *sender) plan(now time.Duration) {
	var blocks []rate.Block
	var ids []int32
	for i := range s.state {
		if b := &s.state[i]; !b.confirmed {
			blocks = append(blocks, rate.Block{Sent: b.sent, Copies: int(b.copies), Flying: int(b.flying)})
			ids = append(ids, int32(i))
		}
	}
	room := max(0, min(s.decision.Rate.Bytes(feedback)+int(s.credit), s.decision.Window-s.outstanding)/Packet)
	s.ending = s.ending[:0]
	for _, i := range s.end.Next(now, room, s.ctl.State(), blocks) {
		s.ending = append(s.ending, ids[i])
	}
}

func (s *sender) take() (int32, bool) {
	for s.repairs.len() > 0 {
		b := *s.repairs.peek()
		s.repairs.pop()
		if !s.state[b].confirmed && (s.fresh < s.blocks || s.state[b].flying == 0) {
			return b, true
		}
	}
	if s.fresh < s.blocks {
		s.fresh++
		return int32(s.fresh - 1), true
	}
	for len(s.ending) > 0 {
		b := s.ending[0]
		s.ending = s.ending[1:]
		if !s.state[b].confirmed {
			return b, true
		}
	}
	return 0, false
}

// send is one tick of the pacer.
func (s *sender) send(now time.Duration) {
	for s.script < len(s.flow.Script) && s.flow.Script[s.script].At <= now {
		s.flow.Script[s.script].Do(s.ctl, now)
		s.script++
	}
	d := s.ctl.At(now)
	s.decision = d
	s.trace(now, d)
	if d.Rate > 0 {
		s.credit = min(s.credit+float64(d.Rate)/8*(now-s.last).Seconds(), float64(max(d.Burst, Packet))+float64(d.Rate)/8*(now-s.last).Seconds())
	}
	s.last = now
	s.wake = now + min(max(d.Rate.Duration(d.Burst), tick/10), tick)
	if wait := d.Rate.Duration(Packet); d.Rate > 0 && wait > 4*tick {
		s.wake = now + min(wait/4, 10*time.Millisecond)
	}
	if s.flow.Late > 0 {
		s.wake += time.Duration(s.link.rng.Int64N(int64(s.flow.Late)))
	}
	if s.fresh == s.blocks && s.dry == 0 {
		s.dry = now
	}
	for d.Rate > 0 && s.credit >= Packet && s.outstanding+Packet <= d.Window {
		if slices.ContainsFunc(s.flow.Gaps, func(g Gap) bool { return now >= g.From && now < g.To }) {
			s.credit = min(s.credit, Packet)
			s.starved = rate.Application
			return
		}
		block, ok := s.take()
		if !ok {
			s.starved = rate.Application
			s.credit = min(s.credit, Packet)
			return
		}
		s.credit -= Packet
		s.put(now, block)
	}
}

func (s *sender) put(now time.Duration, block int32) {
	number := s.base + len(s.packets)
	s.packets = append(s.packets, transmission{sent: now, block: block})
	s.outstanding += Packet
	s.out.Sent++
	if s.state != nil {
		b := &s.state[block]
		b.sent, b.copies, b.flying = now, b.copies+1, b.flying+1
	}
	if at, ok := s.link.put(now, Packet); ok {
		if w := s.flow.Wake; w > 0 {
			at = (at + w - 1) / w * w
		}
		s.way.push(arrival{at: at, sent: now, number: int32(number), block: block})
	}
}

func (s *sender) trace(now time.Duration, d rate.Decision) {
	if now-s.flow.Start > time.Second {
		s.out.Slowest = min(s.out.Slowest, d.Rate)
	}
	if now >= s.traced {
		s.traced = now + slot
		s.out.Trace = append(s.out.Trace, s.ctl.State())
	}
}
