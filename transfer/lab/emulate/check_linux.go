package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"slices"
	"time"

	"isthmus/transfer/lab"
)

const (
	checkPort   = 7007
	checkPacket = 1472 // and 28 bytes of headers
	echo        = 1    // first byte: send it back
)

// check measures a link from a to b as any program sees it. Offered are four fifths of the rate for
// the loss, then six fifths for the rate.
func check(cfg lab.Config) error {
	var a, b *net.UDPConn
	to := &net.UDPAddr{IP: net.IPv4(10, 77, 0, 2), Port: checkPort}
	if err := lab.Within(cfg.B, func() (err error) { b, err = net.ListenUDP("udp4", to); return err }); err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := lab.Within(cfg.A, func() (err error) { a, err = net.DialUDP("udp4", nil, to); return err }); err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	_ = b.SetReadBuffer(8 << 20)
	came := make(chan arrivals, 1)
	go receive(b, came)

	var trips []time.Duration
	buf := make([]byte, 100)
	for range 25 {
		buf[0] = echo
		sent := time.Now()
		if _, err := a.Write(buf); err != nil {
			return err
		}
		if err := a.SetReadDeadline(sent.Add(3 * time.Second)); err != nil {
			return err
		}
		if _, err := a.Read(buf); err == nil {
			trips = append(trips, time.Since(sent))
		}
		time.Sleep(5 * time.Millisecond)
	}
	if len(trips) == 0 {
		return fmt.Errorf("no echo came back from %v", to)
	}
	slices.Sort(trips)
	fmt.Printf("round trip: %v median, %v to %v, %d of 25\n", trips[len(trips)/2], trips[0], trips[len(trips)-1], len(trips))

	for _, share := range []float64{0.8, 1.2} {
		n := flood(a, share*float64(cfg.AB.Rate), time.Second)
		time.Sleep(cfg.AB.Delay + 500*time.Millisecond)
		if err := b.SetReadDeadline(time.Now()); err != nil {
			return err
		}
		got := <-came
		fmt.Printf("%.0f %% of the rate offered: %d of %d packets came (%.2f %% did not), %.2f Mbit/s\n",
			100*share, got.packets, n, 100*(1-float64(got.packets)/float64(n)),
			float64(got.packets-1)*(checkPacket+28)*8/math.Max(got.last.Sub(got.first).Seconds(), 1e-3)/1e6)
		if err := b.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		go receive(b, came)
	}
	return nil
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
