package media_test

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"isthmus/media"
)

// What waits for a processor is held up by the machine; what sleeps, or runs without getting anywhere, is not.
func TestHeld(t *testing.T) {
	t.Parallel()
	start := func(nice int, script string) int {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		var one unix.CPUSet
		must(t, unix.SchedGetaffinity(0, &one))
		for cpu, n := 0, one.Count(); n > 1; cpu++ { // the last that there is
			if one.IsSet(cpu) {
				one.Clear(cpu)
				n--
			}
		}
		must(t, unix.SchedSetaffinity(cmd.Process.Pid, &one))
		must(t, unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, nice))
		return cmd.Process.Pid
	}
	asleep := start(0, "exec sleep 1000")
	start(0, "while :; do :; done")
	behind := start(15, "while :; do :; done")
	held, sleeping := media.Held(behind), media.Held(asleep)
	held(time.Hour)
	sleeping(time.Hour)
	for total := time.Duration(0); total < 2*time.Second; total += held(time.Hour) { // the suite's own bound ends a hang
		time.Sleep(100 * time.Millisecond)
	}
	if media.Held(behind)(time.Millisecond) != time.Millisecond {
		t.Error("held up for longer than the time that passed")
	}
	if d := sleeping(time.Hour); d == time.Hour {
		t.Error("what sleeps was held up all the time")
	}
}
