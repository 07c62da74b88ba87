package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"time"
)

const (
	checkPort   = 7007
	checkPacket = 1472 // and 28 bytes of headers
	echo        = 1    // first byte: send it back
	echoes      = 25
)

// Measured is what a link gave to programs at its ends.
type Measured struct {
	Trip, TripMin, TripMax time.Duration // round trip: median, least, most
	Echoes                 int           // of 25
	Below, Above           Load          // four fifths of the rate were offered (so all loss is the wire's), and six fifths
}

// Load is full packets from A to B, for a while.
type Load struct {
	Offered    float64 // of the rate, 0..
	Sent, Came int     // packets
	Rate       float64 // bit/s of IP packets that came
}

// Loss is the share of the packets that did not come, 0..1.
func (l Load) Loss() float64 { return 1 - float64(l.Came)/float64(l.Sent) }

// Print says it in words.
func (m Measured) Print(w io.Writer) {
	fmt.Fprintf(w, "round trip: %v median, %v to %v, %d of %d\n", m.Trip, m.TripMin, m.TripMax, m.Echoes, echoes)
	for _, l := range []Load{m.Below, m.Above} {
		fmt.Fprintf(w, "%.0f %% of the rate offered: %d of %d packets came (%.2f %% did not), %.2f Mbit/s\n",
			100*l.Offered, l.Came, l.Sent, 100*l.Loss(), l.Rate/1e6)
	}
}

// Check measures the link from cfg.A to cfg.B, whoever made it, as any program sees it. cfg.AB says what
// rate to offer and how long packets may take. It offers each load for so long; a second is enough.
func Check(cfg Config, length time.Duration) (m Measured, err error) {
	link := cfg.AB.withQueue()
	if link.Rate == 0 {
		return m, errors.New("without a rate there is nothing to offer")
	}
	full := time.Duration(float64(link.Queue) * 8e9 / float64(link.Rate)) // what a full queue adds
	var a, b *net.UDPConn
	to := net.UDPAddrFromAddrPort(addrPort(1, checkPort))
	if err := Within(cfg.B, func() (err error) { b, err = net.ListenUDP("udp4", to); return err }); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := Within(cfg.A, func() (err error) { a, err = net.DialUDP("udp4", nil, to); return err }); err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	_ = b.SetReadBuffer(8 << 20)
	came := make(chan arrivals, 1)
	go receive(b, came)

	trips, err := measureTrips(a, 4*link.Delay+time.Second/2)
	if err != nil {
		return m, err
	}
	if len(trips) == 0 {
		return m, fmt.Errorf("no echo came back from %v", to)
	}
	slices.Sort(trips)
	m.Trip, m.TripMin, m.TripMax, m.Echoes = trips[len(trips)/2], trips[0], trips[len(trips)-1], len(trips)

	for _, load := range []*Load{&m.Below, &m.Above} {
		load.Offered = 0.8
		if load == &m.Above {
			load.Offered = 1.2
		}
		load.Sent = flood(a, load.Offered*float64(link.Rate), length)
		time.Sleep(link.Delay + link.Jitter + full + 200*time.Millisecond)
		if err := b.SetReadDeadline(time.Now()); err != nil {
			return m, err
		}
		got := <-came
		load.Came = got.packets
		load.Rate = float64(got.packets-1) * (checkPacket + 28) * 8 / math.Max(got.last.Sub(got.first).Seconds(), 1e-3)
		if err := b.SetReadDeadline(time.Time{}); err != nil {
			return m, err
		}
		go receive(b, came)
	}
	return m, nil
}

// measureTrips sends packets that come back, and waits so long after the last.
func measureTrips(c *net.UDPConn, patience time.Duration) (trips []time.Duration, err error) {
	start := time.Now()
	failed := make(chan error, 1)
	go func() {
		failed <- func() error {
			buf := make([]byte, 100)
			buf[0] = echo
			for range echoes {
				binary.BigEndian.PutUint64(buf[1:], uint64(time.Since(start)))
				if _, err := c.Write(buf); err != nil {
					return err
				}
				time.Sleep(5 * time.Millisecond)
			}
			return c.SetReadDeadline(time.Now().Add(patience))
		}()
	}()
	buf := make([]byte, 100)
	for len(trips) < echoes {
		if _, err := c.Read(buf); err != nil {
			break
		}
		trips = append(trips, time.Since(start)-time.Duration(binary.BigEndian.Uint64(buf[1:])))
	}
	return trips, <-failed
}

type arrivals struct {
	packets     int
	first, last time.Time
}

// receive counts until the read deadline, and sends back what asks for it.
func receive(c *net.UDPConn, out chan<- arrivals) {
	var got arrivals
	buf := make([]byte, 2000)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			out <- got
			return
		}
		if buf[0] == echo {
			_, _ = c.WriteToUDPAddrPort(buf[:n], from)
			continue
		}
		if got.last = time.Now(); got.packets == 0 {
			got.first = got.last
		}
		got.packets++
	}
}

// flood sends at a rate in bit/s of IP packets.
func flood(c *net.UDPConn, rate float64, d time.Duration) (n int) {
	buf := make([]byte, checkPacket)
	start := time.Now()
	for {
		passed := time.Since(start)
		if passed > d {
			return n
		}
		for float64(n) < passed.Seconds()*rate/8/(checkPacket+28) {
			binary.BigEndian.PutUint32(buf[1:], uint32(n))
			if _, err := c.Write(buf); err == nil {
				n++
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
}
