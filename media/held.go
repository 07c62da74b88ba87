package media

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// held tells how long a process could not go on because the machine had no time for it. On a busy server a nice
// process may stand in the queue for minutes; it is no more to blame for that than for a slow disk.
type held struct {
	pid           int
	queued        map[string]int64 // nanoseconds each thread has waited for a processor, when last asked
	passed, total time.Duration    // since the beginning; held up in it
}

// since is how long the process was held up in passed, the time since it was last asked: the longest that a thread of
// it waited for a processor, or all of it when one waits for a disk right now. The system counts a wait when it is
// over, so that it may be longer than passed; all answers together are never longer than all that passed. It is zero
// where the system does not say. Source: proc(5), sched-stats.rst.
func (h *held) since(passed time.Duration) time.Duration {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", h.pid))
	queued, longest := make(map[string]int64, len(threads)), int64(0)
	for _, t := range threads {
		if stat, err := os.ReadFile(t + "/stat"); err == nil {
			// The name before it, in parentheses, may hold anything.
			if _, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" ")); ok && bytes.HasPrefix(rest, []byte("D")) {
				longest = int64(passed)
			}
		}
		if sched, err := os.ReadFile(t + "/schedstat"); err == nil {
			if f := bytes.Fields(sched); len(f) == 3 {
				queued[t], _ = strconv.ParseInt(string(f[1]), 10, 64)
				longest = max(longest, queued[t]-h.queued[t])
			}
		}
	}
	h.queued = queued
	before := h.total
	h.passed += passed
	h.total = min(h.total+time.Duration(longest), h.passed)
	return h.total - before
}
