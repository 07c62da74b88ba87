package rate

import (
	"fmt"
	"time"
)

// BitRate is a rate in bit/s, counted in whole IP packets (payload, UDP and IP headers), so that a
// target rate means the same as the rate of a line.
type BitRate int64

// Units of BitRate.
const (
	Kbit BitRate = 1000
	Mbit         = 1000 * Kbit
	Gbit         = 1000 * Mbit
)

// Bytes is what r carries in d.
func (r BitRate) Bytes(d time.Duration) int {
	return int(float64(r) / 8 * d.Seconds())
}

// Duration is how long n bytes take at r; a rate of 0 or less takes for ever (the longest Duration).
func (r BitRate) Duration(n int) time.Duration {
	if r <= 0 {
		return 1<<63 - 1
	}
	return time.Duration(float64(n) * 8e9 / float64(r))
}

// String is for people: "93.4 Mbit/s".
func (r BitRate) String() string {
	switch {
	case r >= Gbit:
		return fmt.Sprintf("%.2f Gbit/s", float64(r)/float64(Gbit))
	case r >= Mbit:
		return fmt.Sprintf("%.1f Mbit/s", float64(r)/float64(Mbit))
	}
	return fmt.Sprintf("%d kbit/s", r/Kbit)
}

// Policy is how a transfer treats the other traffic of its path.
type Policy uint8

const (
	// Fair shares evenly with other fair transfers and yields to TCP that fills the buffer.
	Fair Policy = iota
	// High takes two shares where a fair transfer takes one, and holds its own against such TCP.
	High
	// Low takes a quarter of a fair transfer's share and yields to everything.
	Low
	// Fixed sends at the target rate whatever the path does. For lines that are one's own.
	Fixed
)

var policyNames = [...]string{Fair: "fair", High: "high", Low: "low", Fixed: "fixed"}

// String is the policy's name: "fair", "high", "low", "fixed".
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("policy %d", p)
}

// ParsePolicy is String's inverse.
func ParsePolicy(name string) (Policy, error) {
	for p, n := range policyNames {
		if n == name {
			return Policy(p), nil
		}
	}
	return Fair, fmt.Errorf("policy %q: must be fixed, high, fair or low", name)
}

// Limiter is what keeps a transfer from being faster.
type Limiter uint8

const (
	// Path: the network; also while the controller still looks for its rate.
	Path Limiter = iota
	// TargetRate: the configured target.
	TargetRate
	// AccountCap: this transfer's part of its account's cap.
	AccountCap
	// Application: the sender has no data yet (a pipe, an encoder).
	Application
	// Disk: the sender's reads or the receiver's writes do not keep up.
	Disk
	// Receiver: the receiver's window is full or its processor is busy.
	Receiver
	// Paused: somebody paused it.
	Paused
	// Sender: the sending host's processor does not keep up.
	Sender
)

var limiterNames = [...]string{
	Path: "path", TargetRate: "target rate", AccountCap: "account cap", Application: "application",
	Disk: "disk", Receiver: "receiver", Paused: "paused", Sender: "sender",
}

// String is the limiter in words: "path", "target rate", "account cap", "application", "disk",
// "receiver", "paused", "sender".
func (l Limiter) String() string {
	if int(l) < len(limiterNames) {
		return limiterNames[l]
	}
	return fmt.Sprintf("limiter %d", l)
}

// Config says what a transfer wants. The zero value is a fair transfer with the default target.
type Config struct {
	Policy  Policy
	Target  BitRate // never faster; 0: DefaultTarget
	Minimum BitRate // never slower, unless paused or capped below; 0: DefaultMinimum
	Cap     BitRate // the account's part for this transfer; 0: none
	Packet  int     // size of a full IP packet in bytes; 0: 1500
	Guess   BitRate // the path's rate, measured roughly before the transfer; 0: unknown

	// RTT is the round trip that the control connection's handshake measured; 0: unknown (100 ms).
	RTT time.Duration
	// History is what an earlier transfer on this path learned; the zero value: nothing.
	History History
}

const (
	// DefaultTarget is the target rate of a Config without one.
	DefaultTarget = 10 * Gbit
	// DefaultMinimum is the minimum rate of a Config without one.
	DefaultMinimum = 100 * Kbit
)

// History is worth keeping per path (peer's address prefix and own interface) for the next transfer.
// Forget it after a day.
type History struct {
	Rate BitRate       // what the path carried
	RTT  time.Duration // its round trip without a queue
}

// Sample is one feedback message of the receiver, or several taken together, as the sender sees it.
// Feedback should come every 5 ms (where the round trip is below NearRTT, every millisecond) while
// State.Phase is "start", every 5 ms when nothing new is left to send, else every 5 ms or RTT/8,
// whichever is longer; and at once for the first packets (that makes the
// spread of the first train visible).
type Sample struct {
	// Now is the sender's monotonic clock, any origin; it never goes back.
	Now time.Duration
	// Arrived is the receiver's clock (any origin, its own) when the newest packet reported here came in.
	Arrived time.Duration
	// Delivered is the size of the packets reported for the first time as arrived, in bytes of whole IP
	// packets; copies of a block that was there already count, since the path carried them.
	Delivered int
	// Lost is the size of the packets declared lost since the last sample. A packet that turns up after
	// all counts in Delivered then.
	Lost int
	// RTT is the smallest round trip among the packets newly reported here, less the time the receiver
	// held its report back; 0: none measured.
	RTT time.Duration
	// Outstanding is the size of what was sent and neither reported nor declared lost, after this feedback.
	Outstanding int
	// Starved says why the sender could not use what rate and window allowed since the last sample:
	// Application, Disk, Receiver or Sender; Path: it was not starved. It keeps an idle sender from being taken
	// for a slow path.
	Starved Limiter
}

// Decision is what the sender may do until the next one.
type Decision struct {
	Rate    BitRate // pace; 0 only while paused
	Window  int     // send nothing while this many bytes or more are outstanding
	Burst   int     // bytes that may leave back to back: depth of the pacer's bucket
	Limiter Limiter
}

// State is for people, logs and metrics.
type State struct {
	Decision
	Delivered BitRate       // what the path delivers, averaged over a round trip or more
	BaseRTT   time.Duration // round trip without a queue
	Queue     time.Duration // what is on top of it
	Loss      float64       // share of packets lost lately, 0..1
	Phase     string        // "start", "steady", "drain", "compete", "silent", "fixed", "paused"
}
