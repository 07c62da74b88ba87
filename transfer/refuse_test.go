package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync/atomic"
	"testing"
)

// sessions lets the good ticket's sessions be known.
func (w *world) sessions() <-chan *Session {
	began := make(chan *Session, 10)
	g := w.tickets.grants["good"]
	g.Start = func(_ context.Context, s *Session) error {
		began <- s
		return nil
	}
	w.tickets.grants["good"] = g
	return began
}

// The server gives up one upload of a session; the client is told why and the others go on.
func TestServerRefusesOneUpload(t *testing.T) {
	w := newWorld(t, 3_000_000, 3_000_000)
	sessions := w.sessions()
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	s := NewSender(w.through(p))
	wait := during(s, 0.1, func() {
		here := <-sessions
		here.Refuse("upl_0", fail(CodeTakenOver, "somebody else has it"))
		here.Refuse("upl_0", fail(CodeInternal, "only the first word counts"))
		here.Refuse("upl_none", fail(CodeInternal, "nobody has it"))
	})
	results, err := s.Send(context.Background())
	wait()
	w.must(err)
	got := ends(results)
	if CodeOf(got["upl_0"]) != CodeTakenOver || got["upl_1"] != nil {
		t.Errorf("ends: %v", got)
	}
}

// What is said to a session that was taken over does not reach the one that took over.
func TestRefusalReachesItsOwnSession(t *testing.T) {
	w := newWorld(t, 3_000_000)
	sessions := w.sessions()
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	older, newer := NewSender(w.through(p)), NewSender(w.through(p))
	told := make(chan error, 1)
	go func() {
		_, err := older.Send(context.Background())
		told <- err
	}()
	first := <-sessions
	wait := during(newer, 0.1, func() {
		<-told
		first.Refuse("upl_0", fail(CodeCancelled, "meant for the older one"))
		first.End(fail(CodeCancelled, "meant for the older one"))
		if i := first.Info(); len(i.Uploads) != 1 {
			t.Errorf("%+v", i)
		}
	})
	w.send(newer)
	wait()
}

// lostOne is a storage in which one upload goes to somebody else in the middle.
type lostOne struct {
	*Dir
	writes atomic.Int32
}

func (l *lostOne) WriteAt(ctx context.Context, id string, p []byte, offset int64) error {
	if id == "upl_0" && l.writes.Add(1) > 3 {
		return fail(CodeTakenOver, "somebody else has it")
	}
	return l.Dir.WriteAt(ctx, id, p, offset)
}

// A write that is refused for its upload ends that one alone.
func TestFilesGiveUpOneUpload(t *testing.T) {
	w := newWorld(t, 3_000_000, 3_000_000)
	w.cfg.Files = &lostOne{Dir: OpenDir(w.in, false)}
	w.start()
	results, err := NewSender(w.sender(w.server.Addr())).Send(context.Background())
	w.must(err)
	got := ends(results)
	if CodeOf(got["upl_0"]) != CodeTakenOver || got["upl_1"] != nil {
		t.Errorf("ends: %v", got)
	}
}

// Who comes back for receipts gets them, without sending anything.
func TestEndsAreToldAgain(t *testing.T) {
	w := newWorld(t, 100_000, 100_000, 100_000)
	sum := sha256.Sum256(w.contents["upl_0"])
	w.tickets.grants["good"] = Grant{Uploads: w.uploads, Ended: map[string]End{
		"upl_0": {SHA256: sum[:]}, "upl_2": {Err: fail(CodeCancelled, "cancelled elsewhere")},
	}}
	w.start()
	s := NewSender(w.sender(w.server.Addr()))
	results, err := s.Send(context.Background())
	w.must(err)
	for _, r := range results {
		if r.ID == "upl_0" && !bytes.Equal(r.SHA256, sum[:]) {
			t.Errorf("receipt for %x", r.SHA256)
		}
	}
	if got := ends(results); len(got) != 3 || got["upl_0"] != nil || got["upl_1"] != nil || CodeOf(got["upl_2"]) != CodeCancelled {
		t.Errorf("ends: %v", got)
	}
	if p := s.Progress(); p.Sent-p.Repeated > 100_000 {
		t.Errorf("%d bytes were sent", p.Sent-p.Repeated)
	}
}
