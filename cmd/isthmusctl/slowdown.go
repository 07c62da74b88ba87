package main

import "time"

// slowdown notices a network that lets UDP through but slows it down: where the line gives the fast path next
// to nothing, HTTPS gets a trial, and the quicker of the two goes on. It has no clock of its own.
type slowdown struct {
	span  time.Duration // to measure over
	path  string
	since time.Time
	done  int64
	sent  int       // files, when last looked at
	fast  float64   // bit/s by the fast path before the trial
	https float64   // in it
	trial bool      // is under way
	rest  time.Time // no other trial before
}

const (
	slowRate = 1_000_000 // bit/s, above which nobody asks whether HTTPS would do better
	slowLeft = 2_000_000 // bytes to come, below which it is not worth it
	slowRest = 30 * time.Minute
	slowHold = 10 * time.Minute // without the fast path where it is slowed down
)

// verdict is what follows from a look.
type verdict int

const (
	goOn verdict = iota
	tryHTTPS
	stayHTTPS
	backToFast
)

// look takes how many bytes have arrived by which path. line: that nothing but the line limits the fast path.
func (s *slowdown) look(now time.Time, path string, line bool, done int64) verdict {
	if path != s.path || path == pathFast && !line || done < s.done {
		s.path, s.since, s.done = path, now, done
		return goOn
	}
	d := now.Sub(s.since)
	if d < s.span {
		return goOn
	}
	rate := float64(done-s.done) * 8 / d.Seconds()
	s.since, s.done = now, done
	switch {
	case path == pathFast && rate < slowRate && !now.Before(s.rest):
		s.fast, s.trial, s.rest = rate, true, now.Add(slowRest)
		return tryHTTPS
	case path == pathHTTPS && s.trial:
		s.trial, s.https = false, rate
		if rate > 2*s.fast {
			s.rest = now // when the fast path is back, it has to show that it does better now
			return stayHTTPS
		}
		return backToFast
	}
	return goOn
}
