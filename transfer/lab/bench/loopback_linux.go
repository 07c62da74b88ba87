package main

import (
	"context"
	"runtime"

	"golang.org/x/sys/unix"
)

// onLoopback lets the peers send a file within this machine, on two cores, in turns: that is bound by the
// CPU, not by a link.
func (b *bench) onLoopback(ctx context.Context, out *report) error {
	chosen, err := parsePeers(or(b.peers, loopbackPeers))
	if err != nil {
		return err
	}
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: programs have the cores of the thread that starts them
		ended <- func() error {
			if err := twoCores(); err != nil {
				return err
			}
			for range or(b.repeat, 3) {
				for _, p := range chosen {
					if reason := p.absent(false); reason != "" {
						out.absent(p.name, reason)
						continue
					}
					r := b.measure(ctx, nil, nil, p, or(b.size, gib))
					if ctx.Err() != nil {
						return nil
					}
					if err := out.add(r); err != nil {
						return err
					}
				}
			}
			return nil
		}()
	}()
	return <-ended
}

// twoCores keeps this thread, and what it starts, to two of the cores it may use.
func twoCores() error {
	var may, two unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return err
	}
	for cpu := 0; two.Count() < min(2, may.Count()); cpu++ {
		if may.IsSet(cpu) {
			two.Set(cpu)
		}
	}
	return unix.SchedSetaffinity(0, &two)
}

// loopback compares the medians of the loopback runs with the goals.
func (o *report) loopback() {
	rate, cpu := map[string][]float64{}, map[string][]float64{}
	for _, r := range o.results {
		if r.Link == loopback && r.Error == "" && !r.Cut {
			rate[r.Peer] = append(rate[r.Peer], r.Mbit)
			cpu[r.Peer] = append(cpu[r.Peer], r.CPU)
		}
	}
	compare := func(what string, of map[string][]float64, peer, other, goal string) {
		if len(of[peer]) > 0 && len(of[other]) > 0 {
			o.say("- %s: %s has %.2f × that of %s (medians of %d and %d runs; goal %s)",
				what, peer, median(of[peer])/median(of[other]), other, len(of[peer]), len(of[other]), goal)
		}
	}
	o.say("")
	compare("Rate", rate, "isthmus-plain", "tcp", "at least 0.8")
	compare("CPU per GB", cpu, "isthmus-plain", "tcp", "at most 1.3")
	compare("CPU per GB", cpu, "isthmus-plain", "quic", "at most 0.4")
	compare("With the SHA-256 of both sides: rate", rate, "isthmus", "tcp", "none")
	compare("With the SHA-256 of both sides: CPU per GB", cpu, "isthmus", "tcp", "none")
}
