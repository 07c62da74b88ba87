package jobs

import (
	"time"

	"github.com/riverqueue/river"

	"isthmus/gateway"
)

// Schedule is what happens regularly. River lets one process at a time follow it.
func Schedule() []*river.PeriodicJob {
	return []*river.PeriodicJob{
		regularly(10*time.Minute, gateway.Sweep{}),
		regularly(5*time.Minute, gateway.ProbeIntegrations{}),
		regularly(10*time.Minute, gateway.KeepAlive{}),
		regularly(15*time.Second, gateway.TendDropFolders{}),
	}
}

// regularly queues a task now and then; one that still waits is not queued twice.
func regularly(every time.Duration, t gateway.Task) *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(every), func() (river.JobArgs, *river.InsertOpts) {
		return t, &river.InsertOpts{
			Queue: gateway.QueueOf(t.Kind()), Priority: 4, MaxAttempts: 1, // the next round is the retry
			UniqueOpts: river.UniqueOpts{ByPeriod: every},
		}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}
