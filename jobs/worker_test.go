package jobs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"isthmus/gateway"
)

func TestWhatBecomesOfAnError(t *testing.T) {
	down := gateway.E(gateway.Unavailable, "", "down")
	for _, c := range []struct {
		name            string
		err, giveUpErr  error
		attempt         int
		snooze          time.Duration
		cancel, givenUp bool
		stubborn        bool
	}{
		{name: "done"},
		{name: "waiting", err: &gateway.Snooze{After: 3 * time.Second}, snooze: 3 * time.Second},
		{name: "waiting on the last try", err: &gateway.Snooze{After: time.Second}, attempt: 25, snooze: time.Second},
		{name: "tried again", err: down, attempt: 3},
		{name: "a bug is tried again", err: errors.New("boom"), attempt: 1},
		{name: "last try", err: down, attempt: 25, cancel: true, givenUp: true},
		{name: "final", err: gateway.E(gateway.Invalid, "truncated", "no"), attempt: 1, cancel: true, givenUp: true},
		{name: "final inside another", err: errors.Join(gateway.E(gateway.NotFound, "", "no")), attempt: 1, cancel: true, givenUp: true},
		{name: "final, but the row could not be marked", err: gateway.E(gateway.Forbidden, "", "no"), giveUpErr: down, attempt: 1, givenUp: true},
		{name: "last try, and the row could not be marked", err: down, giveUpErr: down, attempt: 25, snooze: maxPause, givenUp: true},
		{name: "stubborn", err: down, attempt: 3, givenUp: false, stubborn: true},
		{name: "stubborn on the last try", err: down, attempt: 25, snooze: maxPause, stubborn: true},
		{name: "stubborn whatever the error", err: gateway.E(gateway.NotFound, "", "no"), attempt: 25, snooze: maxPause, stubborn: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			gave := false
			w := &worker[gateway.IngestUpload]{
				run: func(_ context.Context, task gateway.IngestUpload) error {
					if task.UploadID != "upl_1" {
						t.Error(task)
					}
					return c.err
				},
				giveUp: func(_ context.Context, _ gateway.IngestUpload, err error) error {
					gave = err != nil
					return c.giveUpErr
				},
			}
			if w.stubborn = c.stubborn; w.stubborn {
				w.giveUp = nil
			}
			err := w.Work(t.Context(), job(max(c.attempt, 1)))
			var snooze *river.JobSnoozeError
			var cancel *river.JobCancelError
			if c.err == nil && err != nil || c.err != nil && err == nil {
				t.Fatal(err)
			}
			if got := errors.As(err, &snooze); got != (c.snooze > 0) || got && snooze.Duration != c.snooze {
				t.Error("snooze:", err)
			}
			if errors.As(err, &cancel) != c.cancel || gave != c.givenUp {
				t.Errorf("%v, given up %v", err, gave)
			}
		})
	}
}

func job(attempt int) *river.Job[gateway.IngestUpload] {
	return &river.Job[gateway.IngestUpload]{
		JobRow: &rivertype.JobRow{Attempt: attempt, MaxAttempts: 25}, Args: gateway.IngestUpload{UploadID: "upl_1"},
	}
}

func TestAPanicOnTheLastTryLeavesNoRowBusy(t *testing.T) {
	gave := false
	w := &worker[gateway.IngestUpload]{
		run:    func(context.Context, gateway.IngestUpload) error { panic("boom") },
		giveUp: func(context.Context, gateway.IngestUpload, error) error { gave = true; return nil },
	}
	for _, attempt := range []int{1, 25} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("River must hear of the panic")
				}
			}()
			_ = w.Work(t.Context(), job(attempt))
		}()
		if gave != (attempt == 25) {
			t.Errorf("attempt %d: given up %v", attempt, gave)
		}
	}
}

// A stop of the process says nothing about the file: the row stays as it is.
func TestAStopIsNoFailure(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	w := &worker[gateway.IngestUpload]{
		run: func(ctx context.Context, _ gateway.IngestUpload) error {
			stop()
			return gateway.E(gateway.Invalid, "truncated", "what a killed ffmpeg looks like").Because(ctx.Err())
		},
		giveUp: func(context.Context, gateway.IngestUpload, error) error { t.Error("given up"); return nil },
	}
	var cancel *river.JobCancelError
	if err := w.Work(ctx, job(25)); err == nil || errors.As(err, &cancel) {
		t.Error(err)
	}
}

func TestPausesGrowToTenMinutes(t *testing.T) {
	w := &worker[gateway.IngestUpload]{}
	for attempt := 1; attempt <= 25; attempt++ {
		for range 50 {
			d := time.Until(w.NextRetry(job(attempt)))
			if want := min(time.Second<<min(attempt, 10), maxPause); d > want || d < want/2-time.Second {
				t.Fatalf("attempt %d: %v", attempt, d)
			}
		}
	}
}

func TestEveryTaskHasAWorkerAndATimeout(t *testing.T) {
	w := New(Services{}) // panics when a kind is there twice
	if w == nil {
		t.Fatal("no workers")
	}
	if d := ladderAsset(Services{}).Timeout(nil); d <= 0 {
		t.Error("a task without end")
	}
	if len(Schedule()) != 4 {
		t.Error(len(Schedule()))
	}
}
