package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"go.uber.org/goleak"

	"isthmus/gateway"
	"isthmus/store"
	"isthmus/store/storetest"
)

// settle works gateway.SettleAsset, a task with one argument.
type settle struct {
	river.WorkerDefaults[gateway.SettleAsset]
	work func(context.Context, string) error
}

func (s *settle) Work(ctx context.Context, j *river.Job[gateway.SettleAsset]) error {
	return s.work(ctx, j.Args.AssetID)
}

func start(t *testing.T, db *store.DB, work func(context.Context, string) error) *store.JobRunner {
	t.Helper()
	ws := river.NewWorkers()
	river.AddWorker(ws, &settle{work: work})
	r, err := db.Runner(ws, store.JobsOptions{Patience: 100 * time.Millisecond})
	must(t, err)
	must(t, r.Start(t.Context()))
	return r
}

func stop(t *testing.T, r *store.JobRunner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	must(t, r.Stop(ctx))
}

func enqueue(t *testing.T, db *store.DB, id string) {
	t.Helper()
	must(t, db.Tx(t.Context(), func(tx gateway.Tx) error { return tx.Enqueue(t.Context(), gateway.SettleAsset{AssetID: id}) }))
}

func count(t *testing.T, o store.Options, where string) (n int) {
	t.Helper()
	must(t, raw(t, o).QueryRowContext(t.Context(), "SELECT count(*) FROM river_job WHERE "+where).Scan(&n))
	return n
}

func wait[T any](t *testing.T, c <-chan T) (x T) {
	t.Helper()
	select {
	case x = <-c:
	case <-time.After(2 * time.Minute): // a net, not a measure
		t.Fatal("nothing came")
	}
	return x
}

func TestRollbackLeavesNothing(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		h := hub(t, db)
		var id string
		why := errors.New("no")
		body := func(tx gateway.Tx) error {
			p := gateway.Participant{Row: row("par", h.ID), Issuer: "i", Subject: "s"}
			id = p.ID
			must(t, tx.Participants().Insert(t.Context(), &p))
			must(t, tx.Events().Append(t.Context(), &gateway.Event{HubID: h.ID, Type: "x"}))
			must(t, tx.Enqueue(t.Context(), gateway.SettleAsset{AssetID: "a"}))
			tx.AfterCommit(func() { t.Error("AfterCommit ran") })
			if got, err := tx.Participants().Get(t.Context(), gateway.Scope(h.ID), id); err != nil || got.ID != id {
				t.Fatal("own write not seen:", err)
			}
			return why
		}
		if err := db.Tx(t.Context(), body); !errors.Is(err, why) {
			t.Fatal(err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = db.Tx(t.Context(), func(tx gateway.Tx) error { _ = body(tx); panic("x") })
		}()
		ctx, cancel := context.WithCancel(t.Context())
		if err := db.Tx(ctx, func(tx gateway.Tx) error { _ = body(tx); cancel(); return nil }); err == nil {
			t.Fatal("committed after its context had ended")
		}
		_, err := db.Participants().Get(t.Context(), gateway.AnyHub, id)
		wantCode(t, err, gateway.NotFound)
		if n := count(t, o, "TRUE"); n != 0 {
			t.Fatal(n, "tasks left")
		}
		if last, err := db.Events().Last(t.Context()); last != 0 || err != nil {
			t.Fatal(last, err)
		}
	})
}

func TestTaskRunsAfterCommit(t *testing.T) {
	storetest.EachInTurn(t, func(t *testing.T, o store.Options) {
		leaks := goleak.IgnoreCurrent()
		db, err := store.Open(t.Context(), o)
		must(t, err)
		h := hub(t, db)
		ran := make(chan error, 10)
		r := start(t, db, func(ctx context.Context, id string) error {
			_, err := db.Assets().Get(ctx, gateway.Scope(h.ID), id)
			ran <- err
			return nil
		})
		after := false
		must(t, db.Tx(t.Context(), func(tx gateway.Tx) error {
			as := gateway.Asset{Row: row("ast", h.ID)}
			tx.AfterCommit(func() { after = true })
			// Queued before the row: seen too early, the row would be missing.
			if err := tx.Enqueue(t.Context(), gateway.SettleAsset{AssetID: as.ID}); err != nil {
				return err
			}
			return tx.Assets().Insert(t.Context(), &as)
		}))
		if !after {
			t.Fatal("AfterCommit did not run")
		}
		must(t, wait(t, ran))
		stop(t, r)
		must(t, db.Close())
		// The library waits for half a second only, in which a busy machine may end nothing.
		err = goleak.Find(leaks)
		for end := time.Now().Add(2 * time.Minute); err != nil && time.Now().Before(end); {
			err = goleak.Find(leaks)
		}
		must(t, err)
		if n := count(t, o, "state = 'completed'"); n != 1 {
			t.Fatal(n, "completed")
		}
	})
}

func TestEqualTasksWaitOnce(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		for range 3 {
			enqueue(t, db, "same")
		}
		enqueue(t, db, "other")
		must(t, db.Tx(t.Context(), func(tx gateway.Tx) error {
			return tx.Enqueue(t.Context(), gateway.SettleAsset{AssetID: "later"}, gateway.NotBefore(time.Now().Add(time.Hour)))
		}))
		enqueue(t, db, "later") // sooner than the one that waits
		if n := count(t, o, "TRUE"); n != 4 {
			t.Fatal(n, "tasks, want same, other, later in an hour, later now")
		}
		if n := count(t, o, "state = 'scheduled'"); n != 1 {
			t.Fatal(n, "scheduled")
		}
	})
}

// A task that is running may have looked already: a change that comes now must be looked at again.
func TestRunningTaskIsQueuedAgain(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		running, goOn := make(chan string, 10), make(chan struct{})
		r := start(t, db, func(_ context.Context, id string) error { running <- id; <-goOn; return nil })
		enqueue(t, db, "a")
		wait(t, running)
		enqueue(t, db, "a")
		close(goOn)
		wait(t, running)
		stop(t, r)
	})
}

func TestStopPutsRunningTasksBack(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		running := make(chan string, 10)
		r := start(t, db, func(ctx context.Context, id string) error { running <- id; <-ctx.Done(); return ctx.Err() })
		enqueue(t, db, "a")
		wait(t, running)
		stop(t, r)
		if n := count(t, o, "state = 'available' AND attempt = 0"); n != 1 {
			t.Fatal("not put back, or an attempt was used up")
		}
		r = start(t, db, func(_ context.Context, id string) error { running <- id; return nil })
		wait(t, running)
		stop(t, r)
	})
}

// What a process that was killed was working on is taken up at the next start.
func TestTasksOfDeadProcessRunAgain(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db, err := store.Open(t.Context(), o)
		must(t, err)
		enqueue(t, db, "a")
		must(t, db.Close())
		by := "'" + `["dead/1","` + db.Replica() + `/2"]` + "'"
		if o.DSN != "" {
			by = "ARRAY['dead/1','" + db.Replica() + "/2']"
		}
		r := raw(t, o)
		_, err = r.ExecContext(t.Context(), "UPDATE river_job SET state = 'running', attempt = 25, attempted_at = CURRENT_TIMESTAMP, attempted_by = "+by)
		must(t, err)
		_, err = r.ExecContext(t.Context(), "INSERT INTO replicas (id, seen_at) VALUES ('"+db.Replica()+"/2', CURRENT_TIMESTAMP), ('living/3', CURRENT_TIMESTAMP)")
		must(t, err)
		_, err = r.ExecContext(t.Context(), "INSERT INTO river_leader (name, leader_id, elected_at, expires_at) VALUES ('default', '"+db.Replica()+"/2', CURRENT_TIMESTAMP, '2999-01-01 00:00:00')")
		must(t, err)
		db = storetest.Open(t, o)
		ran := make(chan string, 10)
		run := start(t, db, func(_ context.Context, id string) error { ran <- id; return nil })
		wait(t, ran)
		stop(t, run)
		if n := count(t, o, "state = 'completed'"); n != 1 {
			t.Fatal("not completed")
		}
	})
}

// A real process, really killed: what it had committed is there, its task runs at the next start.
func TestKilledProcess(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db, err := store.Open(t.Context(), o)
		must(t, err)
		h := hub(t, db)
		enqueue(t, db, "a")
		must(t, db.Close())
		for range 3 {
			cmd := childCommand(t, o, "yes")
			out, err := cmd.StdoutPipe()
			must(t, err)
			must(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			if line != "working a\n" {
				t.Fatal(line, err)
			}
			must(t, cmd.Process.Kill())
			_ = cmd.Wait() // says that it was killed
		}
		db = storetest.Open(t, o)
		ran := make(chan string, 10)
		r := start(t, db, func(_ context.Context, id string) error { ran <- id; return nil })
		wait(t, ran)
		stop(t, r)
		if n := count(t, o, "state = 'completed' AND attempt = 4 AND max_attempts = 28"); n != 1 {
			t.Fatal("not completed, or a crash cost an attempt")
		}
		if got, err := db.Hubs().Get(t.Context(), gateway.AnyHub, h.ID); err != nil || got != h {
			t.Fatal(got, err)
		}
	})
}

// Another replica that fell silent is not waited for.
func TestSilentReplica(t *testing.T) {
	o := store.Options{DataDir: t.TempDir(), DSN: storetest.Postgres(t)}
	db := storetest.Open(t, o)
	enqueue(t, db, "a")
	r := raw(t, o)
	_, err := r.ExecContext(t.Context(), "UPDATE river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = ARRAY['other/1']")
	must(t, err)
	_, err = r.ExecContext(t.Context(), "INSERT INTO replicas (id, seen_at) VALUES ('other/1', now() - interval '21 seconds')")
	must(t, err)
	ran := make(chan string, 10)
	run := start(t, db, func(_ context.Context, id string) error { ran <- id; return nil })
	wait(t, ran)
	stop(t, run)
}

// A replica lives while one of its processes gives a sign of life.
func TestReplicaAlive(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		db := storetest.Open(t, o)
		alive := func(replica string, yes bool) {
			t.Helper()
			if got, err := db.Replicas().Alive(t.Context(), replica); err != nil || got != yes {
				t.Error(replica, got, err)
			}
		}
		r := raw(t, o)
		_, err := r.ExecContext(t.Context(), "INSERT INTO replicas (id, seen_at) VALUES ('zürich/1', CURRENT_TIMESTAMP), ('silent/1', '2026-01-02 03:04:05')")
		must(t, err)
		alive("zürich", true)
		alive("züric", false)
		alive("other", false)
		alive("silent", o.DSN == "") // on SQLite no heart beats
		alive(db.Replica(), false)
		run := start(t, db, func(context.Context, string) error { return nil })
		alive(db.Replica(), true)
		stop(t, run)
		alive(db.Replica(), false)
	})
}

// Only Postgres has other living processes; theirs must be left alone.
func TestTasksOfLivingProcessAreLeft(t *testing.T) {
	o := store.Options{DataDir: t.TempDir(), DSN: storetest.Postgres(t)}
	one := storetest.Open(t, o)
	two := storetest.Open(t, store.Options{DataDir: t.TempDir(), DSN: o.DSN})
	running, goOn := make(chan string, 10), make(chan struct{})
	work := func(_ context.Context, id string) error { running <- id; <-goOn; return nil }
	first := start(t, one, work)
	enqueue(t, one, "a")
	wait(t, running)
	second := start(t, two, work)
	if n := count(t, o, "state = 'running' AND attempt = 1"); n != 1 {
		t.Fatal("taken away from a living process")
	}
	close(goOn)
	stop(t, first)
	stop(t, second)
	if len(running) != 0 || count(t, o, "state = 'completed'") != 1 {
		t.Fatal("ran twice")
	}
}

func TestLostRaceIsRunAgain(t *testing.T) {
	// SQLite has one transaction at a time and so nothing to lose.
	db := storetest.Open(t, store.Options{DataDir: t.TempDir(), DSN: storetest.Postgres(t)})
	a, b := hub(t, db), hub(t, db)
	var meet, wg sync.WaitGroup
	meet.Add(2)
	var runs [2]int
	var errs [2]error
	for i, order := range [][2]string{{a.ID, b.ID}, {b.ID, a.ID}} {
		wg.Go(func() {
			errs[i] = db.Tx(t.Context(), func(tx gateway.Tx) error {
				runs[i]++
				for step, id := range order {
					h, err := tx.Hubs().Get(t.Context(), gateway.AnyHub, id)
					if err != nil {
						return err
					}
					h.Name = fmt.Sprint(i)
					if err := tx.Hubs().Update(t.Context(), &h); err != nil {
						return err
					}
					if step == 0 && runs[i] == 1 {
						meet.Done()
						meet.Wait() // each holds what the other wants
					}
				}
				return nil
			})
		})
	}
	wg.Wait()
	if runs[0]+runs[1] < 3 {
		t.Fatal("there was no deadlock to lose", runs, errs)
	}
	// The loser runs again; the winner may have changed a row it had already read, which is an honest Conflict.
	for _, err := range errs {
		if err != nil && !gateway.IsReason(err, "changed_meanwhile") {
			t.Fatal(err)
		}
	}
	if errs[0] != nil && errs[1] != nil {
		t.Fatal(errs)
	}
}

// Listeners that remember the last seq must not miss an event of a transaction that took longer.
func TestEventsAreSeenInOrder(t *testing.T) {
	storetest.EachDB(t, func(t *testing.T, db *store.DB) {
		h := hub(t, db)
		actor := gateway.Actor{HubID: h.ID, ParticipantID: "p"}
		const writers, each = 8, 10
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range each {
					err := db.Tx(t.Context(), func(tx gateway.Tx) error {
						if err := tx.Events().Append(t.Context(), &gateway.Event{HubID: h.ID, Type: "x"}); err != nil {
							return err
						}
						_, err := tx.Hubs().Get(t.Context(), gateway.AnyHub, h.ID) // takes a while after Append
						return err
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		var seen []int64
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true // and look once more
			default:
			}
			since := int64(0)
			if len(seen) > 0 {
				since = seen[len(seen)-1]
			}
			evs, err := db.Events().Since(t.Context(), actor, since, 500)
			must(t, err)
			for _, e := range evs {
				seen = append(seen, e.Seq)
			}
		}
		if len(seen) != writers*each || !slices.IsSorted(seen) {
			t.Fatalf("saw %d of %d", len(seen), writers*each)
		}
	})
}

func TestNestedWriteDoesNotHangReads(t *testing.T) {
	db := storetest.Open(t, store.Options{DataDir: t.TempDir(), DSN: filepath.Join(t.TempDir(), "x.db")})
	h := hub(t, db)
	must(t, db.Tx(t.Context(), func(tx gateway.Tx) error {
		x, err := tx.Hubs().Get(t.Context(), gateway.AnyHub, h.ID)
		must(t, err)
		x.Name = "inside"
		must(t, tx.Hubs().Update(t.Context(), &x))
		before, err := db.Hubs().Get(t.Context(), gateway.AnyHub, h.ID) // the reader pool, while the writer is busy
		if before.Name != h.Name {
			t.Error("a reader saw what was not committed")
		}
		return err
	}))
}
