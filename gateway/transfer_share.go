package gateway

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// How a hub's cap is divided. Everything here is arithmetic on times that the caller gives: nothing
// reads a clock, nothing waits.

const (
	firstPart  = 0.99 // of what is to be had goes to whom comes first, as far as they can use it
	sparePart  = 0.01 // of a cap is kept, divided, for those that use nothing now, so that they can begin again
	usesAll    = 0.90 // of its rate: who uses that is held back by nothing else
	slack      = 1.20 // of what it uses, for who cannot use all it might have; so much that nobody is pressed down who uses most of it
	expected   = 1.05 // of what it uses, that it is expected to use next
	mostRoom   = 0.06 // of the cap, beyond what is counted: until the next reading it may be used
	grows      = 1.10 // from one reading to the next: not yet as fast as it can
	shareGrace = 2 * time.Second
	airLag     = 150 * time.Millisecond // between a new rate and what it does, beside the way there and back
	unknownRTT = 250 * time.Millisecond
)

// TransferWish is what one session wants of a hub's cap.
type TransferWish struct {
	ID     string        `json:"id"`
	Owner  string        `json:"owner"` // among whose own FirstOwn counts
	First  TransferFirst `json:"first,omitempty"`
	Weight float64       `json:"weight"`
	Most   float64       `json:"most,omitempty"` // bit/s that it can use; 0 = all it gets
	Rate   float64       `json:"rate"`           // bit/s that it may use and is expected to
}

func (w TransferWish) most() float64 {
	if w.Most == 0 {
		return math.Inf(1)
	}
	return w.Most
}

// portion is somebody who gets a part of something.
type portion struct{ weight, most float64 }

// fill divides by weight; what one cannot use the others get.
func fill(all float64, of []portion) []float64 {
	out := make([]float64, len(of))
	order := make([]int, len(of))
	weights := 0.0
	for i, p := range of {
		order[i] = i
		weights += p.weight
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(of[a].most/of[a].weight, of[b].most/of[b].weight) })
	for _, i := range order { // those first that have enough soonest
		out[i] = min(of[i].most, max(0, all)*of[i].weight/weights)
		all -= out[i]
		weights -= of[i].weight
	}
	return out
}

// divide gives each wish its part of a cap.
func divide(total float64, wishes []TransferWish) []float64 {
	out := make([]float64, len(wishes))
	var first, rest []int
	for i, w := range wishes {
		if w.First == FirstHub {
			first = append(first, i)
		} else {
			rest = append(rest, i)
		}
	}
	prefer(total, wishes, first, rest, func(part float64, of []int) float64 { return amongOwners(part, wishes, of, out) }, out)
	return out
}

// prefer gives to those that come first what they can use, but for a small part, and the rest to the
// others, who share it as others says.
func prefer(total float64, wishes []TransferWish, first, rest []int, others func(float64, []int) float64, out []float64) {
	kept := 1 - firstPart
	if len(rest) == 0 || len(first) == 0 {
		kept = 0
	}
	used := equally(total*(1-kept), wishes, first, out)
	if len(rest) == 0 {
		return
	}
	given := others(total-used, rest)
	if len(first) > 0 && given < total-used { // the others need less than is left to them
		equally(total-given, wishes, first, out)
	}
}

// equally divides by weight alone, and gives what was given.
func equally(total float64, wishes []TransferWish, of []int, out []float64) (given float64) {
	portions := make([]portion, len(of))
	for n, i := range of {
		portions[n] = portion{wishes[i].Weight, wishes[i].most()}
	}
	for n, part := range fill(total, portions) {
		out[of[n]] = part
		given += part
	}
	return given
}

// amongOwners divides by weight, those of an owner who has put one first together: what they get
// together is for that one, then for the owner's others.
func amongOwners(total float64, wishes []TransferWish, of []int, out []float64) (given float64) {
	own := map[string][]int{} // by owner who has put one first
	for _, i := range of {
		if wishes[i].First == FirstOwn {
			own[wishes[i].Owner] = nil
		}
	}
	var units [][]int
	for _, i := range of {
		if _, together := own[wishes[i].Owner]; together {
			own[wishes[i].Owner] = append(own[wishes[i].Owner], i)
		} else {
			units = append(units, []int{i})
		}
	}
	for _, i := range of { // in the order of the wishes, so that the outcome is always the same
		if u := own[wishes[i].Owner]; len(u) > 0 && u[0] == i {
			units = append(units, u)
		}
	}
	portions := make([]portion, len(units))
	for n, u := range units {
		for _, i := range u {
			portions[n].weight += wishes[i].Weight
			portions[n].most += wishes[i].most()
		}
	}
	for n, part := range fill(total, portions) {
		given += part
		var first, rest []int
		for _, i := range units[n] {
			if wishes[i].First == FirstOwn {
				first = append(first, i)
			} else {
				rest = append(rest, i)
			}
		}
		prefer(part, wishes, first, rest, func(part float64, of []int) float64 { return equally(part, wishes, of, out) }, out)
	}
	return given
}

// sharer is one session in the account of its hub.
type sharer struct {
	TransferWish         // Rate: what it is counted for
	ceiling      float64 // 0 = none
	ownWish      bool    // the ceiling is the sender's own
	rate         float64 // bit/s that it may use now: Rate, and room to show that it can use more
	lowest       float64 // since the last reading
	air          float64 // what it was counted for a moment ago, which may still be on its way here
	airUntil     time.Time

	began   time.Time
	readAt  time.Time
	carried int64
	bytes   int64
	use     float64 // bit/s on the line, the higher of the last two readings
	before  float64 // the last reading
	payload float64 // bit/s, for people
	low     int     // readings in a row that stayed below what it might have
	short   bool    // it uses less than it might have
	eager   bool    // being short, it used all that it was left
	enough  bool    // being short, it has what it was thought to need
	idle    bool    // it is paused, or all is here
	paused  bool
	storage bool // the disk holds it up
	rtt     time.Duration
	loss    float64
}

// observe takes a reading.
func (s *sharer) observe(now time.Time, r Reading) {
	since := s.readAt
	if since.IsZero() {
		since = s.began
	}
	resumed := s.idle
	s.paused, s.idle, s.rtt, s.loss = r.Paused, r.Paused || r.Missing == 0, r.RTT, min(max(r.Loss, 0), 0.9)
	s.storage = r.Storage && !r.Paused
	resumed = resumed && !s.idle
	d := now.Sub(since).Seconds()
	if d < 0.05 {
		return
	}
	came := float64(r.Carried - s.carried)
	if r.Carried == 0 {
		came = float64(r.Bytes-s.bytes) * 1.05 // headers
	}
	last := max(0, came) * 8 / d / (1 - s.loss) // as it was sent, which is what a rate allows
	s.payload = max(0, float64(r.Bytes-s.bytes)) * 8 / d
	all := last >= usesAll*s.lowest
	switch {
	case resumed || now.Sub(s.began) < shareGrace || all && !s.enough:
		s.low, s.short = 0, false
	case all: // it could do more than was thought
		s.low, s.eager = 0, true
	case last > grows*s.before && !s.short: // still on its way up
		s.low = 0
	default:
		s.low++
		s.short = s.short || s.low > 1 // one reading may be a moment's
		s.eager = false
	}
	s.use, s.before, s.lowest = max(last, s.before), last, s.rate
	s.readAt, s.carried, s.bytes = now, r.Carried, r.Bytes
}

// lag is how long what was sent at an earlier rate may still come.
func (s *sharer) lag() time.Duration {
	return airLag + 3*cmp.Or(s.rtt, unknownRTT)/2
}

// ledger divides a hub's cap among its sessions through time.
type ledger struct {
	total  float64 // bit/s; 0 = no cap
	own    []*sharer
	others []TransferWish // of other replicas
}

// wanted says what a session can use now.
func (l *ledger) wanted(s *sharer) TransferWish {
	w := s.TransferWish
	spare := l.total * sparePart / float64(len(l.own)+len(l.others))
	switch {
	case s.idle:
		w.Most = spare
	case s.short && s.eager:
		w.Most = max(spare, s.use*2)
	case s.short:
		w.Most = max(spare, s.use*expected)
	}
	if s.ceiling > 0 && (w.Most == 0 || w.Most > s.ceiling) {
		w.Most = s.ceiling
	}
	return w
}

// step brings all rates up to date. What is taken from one is given to another only when it has
// stopped coming, so that the sum stays within the cap.
func (l *ledger) step(now time.Time) {
	if l.total <= 0 {
		for _, s := range l.own {
			s.rate, s.Rate, s.air = s.ceiling, 0, 0
			s.lowest = s.rate
		}
		return
	}
	wishes := make([]TransferWish, len(l.own), len(l.own)+len(l.others))
	for i, s := range l.own {
		wishes[i] = l.wanted(s)
	}
	parts := l.leave(divide(l.total, append(wishes, l.others...)), wishes)

	free, missing, room := l.total, 0.0, 0.0 // room: to show that one can do more
	for _, o := range l.others {
		free -= o.Rate
	}
	for i, s := range l.own {
		if !now.Before(s.airUntil) {
			s.air = 0
		}
		if parts[i] < s.Rate {
			if s.Rate >= s.air {
				s.air, s.airUntil = s.Rate, now.Add(s.lag())
			}
			s.Rate = parts[i]
		}
		held := max(s.Rate, s.air)
		free -= held
		missing += max(0, parts[i]-held)
	}
	can := 1.0 // of what is wanted
	if missing > 0 {
		can = min(1, max(0, free)/missing)
	}
	for i, s := range l.own {
		if held := max(s.Rate, s.air); parts[i] > held {
			s.Rate = held + (parts[i]-held)*can
		} else {
			s.Rate = parts[i]
		}
		s.rate = s.Rate
		s.enough = s.short && s.Rate >= 0.95*wishes[i].most()
		if s.enough && !s.idle && !s.eager {
			s.rate = max(s.Rate, wishes[i].most()*slack/expected)
			if s.ceiling > 0 {
				s.rate = min(s.rate, s.ceiling)
			}
		}
		room += s.rate - s.Rate
	}
	if room > 0 {
		can = min(1, mostRoom*l.total/room)
	}
	for _, s := range l.own {
		s.rate = s.Rate + (s.rate-s.Rate)*can
		s.lowest = min(s.lowest, s.rate)
	}
}

// leave gives what nobody is thought to need to those who may need more than they showed.
func (l *ledger) leave(parts []float64, wishes []TransferWish) []float64 {
	left, weights := l.total, 0.0
	for i, part := range parts {
		left -= part
		if i >= len(wishes) && l.others[i-len(wishes)].Most > 0 {
			weights += l.others[i-len(wishes)].Weight
		} else if i < len(wishes) && l.own[i].short && !l.own[i].idle {
			weights += wishes[i].Weight
		}
	}
	if left <= 0 || weights == 0 {
		return parts
	}
	for i, s := range l.own {
		if s.short && !s.idle {
			parts[i] += left * s.Weight / weights
			if s.ceiling > 0 {
				parts[i] = min(parts[i], s.ceiling)
			}
		}
	}
	return parts
}

// limitedBy says what holds a session back.
func (l *ledger) limitedBy(s *sharer) string {
	switch {
	case s.storage:
		return LimitedByStorage
	case s.idle:
		return LimitedByNone
	case s.ceiling > 0 && s.use >= usesAll*s.ceiling && s.ownWish:
		return LimitedByRate
	case s.ceiling > 0 && s.use >= usesAll*s.ceiling:
		return LimitedByCap
	case l.total <= 0 || s.short:
		return LimitedByLine
	}
	for _, o := range l.all() {
		if s.First != FirstHub && (o.First == FirstHub || s.First == FirstNone && o.First == FirstOwn && o.Owner == s.Owner) {
			return LimitedByPriority
		}
	}
	return LimitedByCap
}

// all gives the wishes of all sessions, with what they are counted for.
func (l *ledger) all() []TransferWish {
	all := slices.Clone(l.others)
	for _, s := range l.own {
		all = append(all, s.TransferWish)
	}
	return all
}
