//go:build unix

package transfer

import (
	"syscall"
	"testing"
	"time"
)

// TestSleepingClientGoesOn: a laptop sleeps in mid-transfer for longer than the server waits; when it wakes up the rest is sent.
func TestSleepingClientGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8_000_000)
	w.cfg.Limits = Limits{Idle: 300 * time.Millisecond}
	w.start()
	sender := startChild(t, "sender", plan{Addr: w.server.Addr().String(), Folder: w.out, Uploads: w.uploads, KeyHash: w.key})
	until(t, "it sends", func() bool {
		all := w.server.Sessions()
		return len(all) > 0 && all[0].Taken > 0
	})
	w.must(sender.cmd.Process.Signal(syscall.SIGSTOP))
	until(t, "the server gives it up", func() bool { return len(w.server.Sessions()) == 0 })
	w.must(sender.cmd.Process.Signal(syscall.SIGCONT))
	err := <-sender.done
	sender.done <- err
	w.must(err)
	w.arrived()
}
