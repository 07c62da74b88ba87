package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"isthmus/transfer"
)

// fastCounts are the fast path's figures, by hub.
type fastCounts struct {
	received, carried, late *prometheus.CounterVec
	forged                  prometheus.Counter
	rate, rtt               *prometheus.HistogramVec
}

func newFastCounts(r *prometheus.Registry, sessions func() []transfer.SessionInfo) *fastCounts {
	hub := []string{"hub"}
	c := &fastCounts{
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_transfer_received_bytes_total", Help: "Bytes of files that came by the fast path.",
		}, hub),
		carried: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_transfer_carried_bytes_total", Help: "Bytes of data packets that came by the fast path, repeated ones too.",
		}, hub),
		late: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "isthmus_transfer_late_packets_total", Help: "Packets that came when the client had taken them for lost.",
		}, hub),
		forged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "isthmus_transfer_forged_packets_total", Help: "Packets that were dropped: wrong tag, seen before, too old.",
		}),
		rate: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "isthmus_transfer_rate_bits_per_second", Help: "Rate of a session that has bytes to come, looked at each second.",
			Buckets: []float64{1e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9, 3e9, 1e10},
		}, hub),
		rtt: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "isthmus_transfer_rtt_seconds", Help: "Round trip of a session, looked at each second.",
			Buckets: []float64{.001, .003, .01, .03, .06, .1, .2, .3, .6, 1, 3},
		}, hub),
	}
	r.MustRegister(c.received, c.carried, c.late, c.forged, c.rate, c.rtt, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "isthmus_transfer_sessions", Help: "Clients that are connected to the fast path.",
	}, func() float64 { return float64(len(sessions())) }))
	return c
}

// count adds what happened between two looks at a session.
func (c *fastCounts) count(hub string, before, now transfer.SessionInfo, seconds float64) {
	taken := float64(now.Taken - before.Taken)
	c.received.WithLabelValues(hub).Add(taken)
	c.carried.WithLabelValues(hub).Add(float64(now.Carried - before.Carried))
	c.late.WithLabelValues(hub).Add(float64(now.Late - before.Late))
	c.forged.Add(float64(now.Forged - before.Forged))
	if now.RTT > 0 {
		c.rtt.WithLabelValues(hub).Observe(now.RTT.Seconds())
	}
	if seconds > 0 && !now.Paused && (taken > 0 || now.Missing > 0) {
		c.rate.WithLabelValues(hub).Observe(8 * taken / seconds)
	}
}
