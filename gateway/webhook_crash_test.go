package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/gateway/gatewaytest"
	"isthmus/jobs"
	"isthmus/outbound"
	"isthmus/secrets"
	"isthmus/store"
	"isthmus/store/storetest"
)

// emitterEnv makes the test binary the process that TestNoEventIsLostInCrashes kills.
const emitterEnv = "ISTHMUS_TEST_EMITTER"

// emitter is what that process is told.
type emitter struct {
	Data, DSN, Keys, Hub string
}

func (e emitter) webhooks(db *store.DB) (*gateway.Webhooks, error) {
	keys, err := secrets.OpenKeyring(e.Keys, false)
	if err != nil {
		return nil, err
	}
	return &gateway.Webhooks{
		Store: db, Clock: gateway.SystemClock, Sealer: keys, Events: &gateway.Events{Store: db, Clock: gateway.SystemClock},
		Poster: outbound.NewPoster(outbound.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
	}, nil
}

// run commits causes with their events, says so, and delivers, until it is killed.
func (e emitter) run(ctx context.Context) error {
	db, err := store.Open(ctx, store.Options{DataDir: e.Data, DSN: e.DSN})
	if err != nil {
		return err
	}
	h, err := e.webhooks(db)
	if err != nil {
		return err
	}
	runner, err := db.Runner(jobs.New(jobs.Services{Webhooks: h}), store.JobsOptions{})
	if err != nil {
		return err
	}
	if err := runner.Start(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		cause := gateway.NewID("lib")
		err := db.Tx(ctx, func(tx gateway.Tx) error {
			if err := tx.Jobs().Insert(ctx, &gateway.Job{Row: gateway.Row{ID: cause, HubID: e.Hub}, Kind: "import", Subject: cause, State: gateway.JobDone}); err != nil {
				return err
			}
			return h.Events.Append(ctx, tx, e.Hub, "", "import.ready", cause, map[string]any{"id": cause})
		})
		if err != nil {
			return err
		}
		fmt.Println("committed", cause)
		time.Sleep(rand.N(4 * time.Millisecond))
	}
}

func TestEmitterProcess(t *testing.T) {
	told := os.Getenv(emitterEnv)
	if told == "" {
		t.Skip("only as a process of TestNoEventIsLostInCrashes")
	}
	var e emitter
	if err := json.Unmarshal([]byte(told), &e); err != nil {
		t.Fatal(err)
	}
	t.Fatal(e.run(t.Context()))
}

// TestNoEventIsLostInCrashes kills a process with -9 at random moments while it commits causes with
// their events and delivers webhooks: every cause that was committed arrives at the receiver, at least
// once and always with the same webhook-id, and nothing arrives without its cause.
// ISTHMUS_WEBHOOK_KILLS sets the number of kills on each database (default 4; the release bar is 1000).
func TestNoEventIsLostInCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("ISTHMUS_WEBHOOK_KILLS")); err == nil {
		kills = n
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		arrived := &sink{ids: map[string]map[string]bool{}}
		r := newReceiver(t)
		r.Config.Handler = arrived
		e := emitter{Data: o.DataDir, DSN: o.DSN, Keys: t.TempDir()}
		func() { // the process has the data folder for itself
			keys, err := secrets.OpenKeyring(e.Keys, true)
			if err != nil {
				t.Fatal(err)
			}
			db, err := store.Open(t.Context(), store.Options{DataDir: o.DataDir, DSN: o.DSN})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			house := gatewaytest.NewHouse(t, db, gateway.SystemClock, "north", gateway.PlanUniversity)
			e.Hub = house.Hub.ID
			h, err := e.webhooks(db)
			if err != nil {
				t.Fatal(err)
			}
			h.Sealer = keys
			endpoint(t, h, house.Admin, r.URL, "import.*")
		}()
		told, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		acknowledged := map[string]bool{}
		for i := range kills {
			cmd := exec.Command(self, "-test.run=^TestEmitterProcess$")
			cmd.Env = append(os.Environ(), emitterEnv+"="+string(told))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			said, armed := "", false
			for lines.Scan() {
				said = lines.Text()
				id, committed := strings.CutPrefix(said, "committed ")
				if committed {
					acknowledged[id] = true
				} else if said != "ready" {
					t.Fatalf("start %d: %s", i, said)
				}
				// Every second one is killed after its first commit: a slow machine may do nothing before the others are.
				if !armed && (committed || i%2 == 0) {
					armed = true
					time.AfterFunc(rand.N(120*time.Millisecond), func() { _ = cmd.Process.Kill() })
				}
			}
			if err := cmd.Wait(); err == nil || said == "" {
				t.Fatalf("start %d: it ended by itself: %v %q", i, err, said)
			}
		}

		// One that lives delivers what is left.
		db := storetest.Open(t, o)
		h, err := e.webhooks(db)
		if err != nil {
			t.Fatal(err)
		}
		runner, err := db.Runner(jobs.New(jobs.Services{Webhooks: h}), store.JobsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := runner.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = runner.Stop(context.WithoutCancel(t.Context())) }()
		eventually(t, "all to be delivered", func() bool {
			left, err := db.Deliveries().Unfinished(t.Context(), gateway.Slice{Limit: 1})
			return err == nil && len(left) == 0
		})
		causes := map[string]bool{}
		for after := ""; ; {
			rows, err := db.Jobs().List(t.Context(), gateway.Actor{HubID: e.Hub, Role: gateway.RoleAdmin, ParticipantID: "x"}, gateway.Slice{After: after, Limit: 500})
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range rows {
				causes[j.ID] = true
				after = j.ID
			}
			if len(rows) < 500 {
				break
			}
		}
		arrived.mu.Lock()
		defer arrived.mu.Unlock()
		again := 0
		for id := range causes {
			switch ids := arrived.ids[id]; {
			case len(ids) == 0:
				t.Errorf("the event of %s is lost", id)
			case len(ids) > 1:
				t.Errorf("%s came under %d ids", id, len(ids))
			}
		}
		for id := range arrived.ids {
			if !causes[id] {
				t.Errorf("%s arrived and never happened", id)
			}
		}
		for id := range acknowledged {
			if !causes[id] {
				t.Errorf("%s was acknowledged and is not there", id)
			}
		}
		again = arrived.messages - len(arrived.ids)
		t.Logf("%d kills: %d events committed, %d arrived, %d of them more than once", kills, len(causes), len(arrived.ids), again)
		if len(causes) == 0 {
			t.Error("nothing happened")
		}
	})
}

// sink notes which subjects arrived under which webhook-ids.
type sink struct {
	mu       sync.Mutex
	ids      map[string]map[string]bool
	messages int
}

func (s *sink) ServeHTTP(_ http.ResponseWriter, q *http.Request) {
	var m struct{ Subject string }
	if json.NewDecoder(q.Body).Decode(&m) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[m.Subject] == nil {
		s.ids[m.Subject] = map[string]bool{}
	}
	s.ids[m.Subject][q.Header.Get("Webhook-Id")] = true
	s.messages++
}
