package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config is what Open builds. The zero values of names and MTU mean "lab-a", "lab-b" and 1500.
type Config struct {
	A, B   string // names of the network namespaces
	AB, BA Link   // from A to B, and back
	MTU    int
	Seed   uint64 // of loss and jitter
}

// Net is a link at work between two namespaces. Side 0 is A, side 1 is B.
type Net struct {
	cfg   Config
	names [2]string
	tun   [2]int
	ways  [2]*way // out of each side
	stop  [2]int  // pipe
	mu    sync.Mutex
	done  chan struct{}
	err   error
}

var addresses = [2]netip.Prefix{netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("10.77.0.2/24")}

const device = "lab0"

// Open makes the namespaces and joins them. It needs root, /dev/net/tun and the program ip. Close
// removes everything again.
func Open(cfg Config) (*Net, error) {
	if cfg.A == "" {
		cfg.A = "lab-a"
	}
	if cfg.B == "" {
		cfg.B = "lab-b"
	}
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	n := &Net{
		cfg: cfg, names: [2]string{cfg.A, cfg.B}, tun: [2]int{-1, -1}, done: make(chan struct{}),
		ways: [2]*way{newWay(cfg.AB, cfg.Seed), newWay(cfg.BA, cfg.Seed+1)},
	}
	for side := range n.names {
		if err := n.build(side); err != nil {
			close(n.done)
			return nil, errors.Join(err, n.remove())
		}
	}
	if err := unix.Pipe2(n.stop[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		close(n.done)
		return nil, errors.Join(err, n.remove())
	}
	go n.carry()
	return n, nil
}

func (n *Net) build(side int) error {
	name := n.names[side]
	if err := ip("netns", "add", name); err != nil {
		return err
	}
	if err := n.Within(side, func() (err error) {
		n.tun[side], err = openTUN()
		return errors.Join(err, tune())
	}); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"addr", "add", addresses[side].String(), "dev", device},
		{"link", "set", device, "mtu", strconv.Itoa(n.cfg.MTU), "txqueuelen", "20000", "up"},
		{"link", "set", "lo", "up"},
	} {
		if err := ip(append([]string{"-n", name}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Within runs do in a thread that is in a side's namespace: sockets that do opens itself (not in
// goroutines of its own) belong there for good. The thread ends with it.
func (n *Net) Within(side int, do func() error) error { return Within(n.names[side], do) }

// Within is Net.Within for a namespace of that name, whoever made it.
func Within(namespace string, do func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread must not serve others
		ns, err := unix.Open("/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(ns, unix.CLONE_NEWNET)
			_ = unix.Close(ns)
		}
		if err == nil {
			err = do()
		}
		result <- err
	}()
	if err := <-result; err != nil {
		return fmt.Errorf("namespace %s: %w", namespace, err)
	}
	return nil
}

func openTUN() (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("/dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(device)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("TUN device: %w", err)
	}
	return fd, nil
}

// tune lets TCP fill long fat links, so that it is the link that is measured, and forget it after each
// connection, so that no run learns from the one before.
func tune() error {
	return errors.Join(
		os.WriteFile("/proc/sys/net/ipv4/tcp_no_metrics_save", []byte("1"), 0),
		os.WriteFile("/proc/sys/net/ipv4/tcp_wmem", []byte("4096 65536 67108864"), 0),
		os.WriteFile("/proc/sys/net/ipv4/tcp_rmem", []byte("4096 131072 67108864"), 0),
	)
}

// Realtime puts every thread of this process before all normal ones (SCHED_FIFO): being late is what
// spoils a measurement. All of them, since the Go scheduler passes work and locks between them. Call
// it after Open, in a process that does nothing but emulate; programs started later inherit it.
func Realtime() error {
	tasks, err := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if id, e := strconv.Atoi(t.Name()); e == nil {
			attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 10}
			if e := unix.SchedSetAttr(id, &attr, 0); !errors.Is(e, unix.ESRCH) {
				err = errors.Join(err, e)
			}
		}
	}
	return err
}

// Addr is the address of a side of any Net.
func Addr(side int) netip.Addr { return addresses[side].Addr() }

func addrPort(side int, port uint16) netip.AddrPort { return netip.AddrPortFrom(Addr(side), port) }

// Congestion makes TCP connections that a side opens or accepts from now on use a congestion control, also
// one that programs may not choose there.
func Congestion(namespace string, side int, name string) error {
	return ip("-n", namespace, "route", "replace", addresses[side].Masked().String(), "dev", device, "proto", "kernel", "scope", "link",
		"src", addresses[side].Addr().String(), "congctl", name)
}

// Lap gives the counters of A to B and of B to A, and begins anew.
func (n *Net) Lap() [2]Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := [2]Counters{n.ways[0].Counters, n.ways[1].Counters}
	n.ways[0].Counters, n.ways[1].Counters = Counters{}, Counters{}
	return c
}

// Counters are those of A to B and of B to A.
func (n *Net) Counters() [2]Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return [2]Counters{n.ways[0].Counters, n.ways[1].Counters}
}

// Close ends the link and removes the namespaces. Programs in them lose their network.
func (n *Net) Close() error {
	_, err := unix.Write(n.stop[1], []byte{0})
	<-n.done
	return errors.Join(err, n.err, n.remove(), unix.Close(n.stop[0]), unix.Close(n.stop[1]))
}

func (n *Net) remove() error {
	var err error
	for side, name := range n.names {
		if n.tun[side] >= 0 {
			err = errors.Join(err, unix.Close(n.tun[side]))
		}
		if _, e := os.Stat("/run/netns/" + name); e == nil {
			err = errors.Join(err, ip("netns", "del", name))
		}
	}
	return err
}

const (
	// While packets come the loop sleeps for at most this instead of being woken by each.
	nap = 50 * time.Microsecond
	// So long after the last packet it still counts as busy.
	busyFor = 5 * time.Millisecond
	spread  = time.Millisecond
	batch   = 256
)

// carry is the emulator: one thread that moves packets from each device to the other when they are due.
func (n *Net) carry() {
	defer close(n.done)
	runtime.LockOSThread()
	start := time.Now()
	var before, busy time.Duration
	polls := []unix.PollFd{{Fd: int32(n.stop[0]), Events: unix.POLLIN}, {Fd: int32(n.tun[0]), Events: unix.POLLIN}, {Fd: int32(n.tun[1]), Events: unix.POLLIN}}
	var taken [batch]packet
	for {
		now := time.Since(start)
		n.mu.Lock()
		wait := time.Hour
		for side, w := range n.ways {
			got, err := n.read(n.tun[side], w, &taken)
			if err != nil {
				n.err = err
				n.mu.Unlock()
				return
			}
			for i, p := range taken[:got] {
				// If this thread was held up, the packets came since, not all now; but none may leave
				// much earlier than it really could, or the round trip would look shorter than it is.
				since := min(now-before, spread)
				w.put(now-since+since*time.Duration(i+1)/time.Duration(got), p.buf, p.n)
			}
			if got > 0 {
				busy = now
			}
			for p := w.take(now); p != nil; p = w.take(now) {
				// A full device at the other end is that host's business, like a full ring of a NIC.
				_, _ = unix.Write(n.tun[1-side], p)
			}
			if due, ok := w.due(); ok {
				wait = min(wait, due-now)
			}
			if got == batch {
				wait = 0
			}
		}
		n.mu.Unlock()
		before = now
		if now-busy < busyFor {
			wait = min(wait, nap)
			sleep(wait)
			wait = 0
			if now/busyFor == time.Since(start)/busyFor {
				continue // the pipe is looked at now and then only
			}
		}
		timeout := unix.NsecToTimespec(int64(max(0, wait)))
		if _, err := unix.Ppoll(polls, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			n.err = fmt.Errorf("ppoll: %w", err)
			return
		}
		if polls[0].Revents != 0 {
			return
		}
	}
}

func sleep(d time.Duration) {
	if d > 0 {
		t := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&t, nil)
	}
}

// read takes what waits in a device, a batch at most.
func (n *Net) read(fd int, w *way, into *[batch]packet) (got int, err error) {
	for got < batch {
		b := w.buffer(n.cfg.MTU + 4)
		k, err := unix.Read(fd, b)
		switch {
		case err == nil && k > 0:
			into[got] = packet{buf: b, n: k}
			got++
			continue
		case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			w.spare(b)
			return got, nil
		}
		return got, fmt.Errorf("TUN device: %w", err)
	}
	return got, nil
}
