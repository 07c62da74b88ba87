package rate

import "time"

// Controller steers one transfer on one path. It is not safe for concurrent use. Times are the
// sender's monotonic clock (Sample.Now); they may have any origin but must not go back.
type Controller struct {
	cfg    Config
	paused bool
	state  State
}

// New begins a transfer: the first Decision asks for a short train of packets back to back, whose
// spread at the receiver tells the path's rate, then a careful pace until the first feedback.
func New(cfg Config, now time.Duration) *Controller {
	c := &Controller{cfg: cfg}
	c.state.Decision = Decision{Rate: cfg.Target, Window: 1 << 30, Burst: 32 * 1500, Limiter: TargetRate}
	return c
}

// OnSample takes what the receiver reported and answers what holds from now on.
func (c *Controller) OnSample(s Sample) Decision { return c.At(s.Now) }

// At is the Decision at a time without feedback. Ask it before every batch (at least every 10 ms
// while sending): drains end and silence is noticed between samples.
func (c *Controller) At(now time.Duration) Decision { return c.state.Decision }

// SetPolicy changes the policy in mid-transfer.
func (c *Controller) SetPolicy(p Policy) { c.cfg.Policy = p }

// SetTarget changes target and minimum rate in mid-transfer; 0 means the defaults.
func (c *Controller) SetTarget(target, minimum BitRate) {
	c.cfg.Target, c.cfg.Minimum = target, minimum
}

// SetCap sets this transfer's part of its account's cap; 0 takes the cap away. It goes before the
// minimum rate.
func (c *Controller) SetCap(limit BitRate) { c.cfg.Cap = limit }

// Pause stops the sending (Rate 0) until Resume; outstanding packets may still be reported.
func (c *Controller) Pause(now time.Duration) { c.paused = true }

// Resume goes on after Pause: with the rate that was, less the longer ago that is.
func (c *Controller) Resume(now time.Duration) { c.paused = false }

// PathChanged forgets what was measured, because the peer's address or the own one changed. rtt is
// the new path's, 0 if unknown.
func (c *Controller) PathChanged(now, rtt time.Duration) {}

// State is a snapshot for people, logs and metrics.
func (c *Controller) State() State { return c.state }

// History is what to remember for the next transfer on this path; ok is false when too little was seen.
func (c *Controller) History() (h History, ok bool) { return History{}, false }

// LossDelay is how long to wait for the report of a sent packet before it counts as lost though no
// packet sent later was reported (when a later one was, 16 packets or RTT/8 of reordering are enough).
func (c *Controller) LossDelay() time.Duration { return time.Second }
