package transfer

import (
	"context"
	"testing"
)

// The server gives up one upload of a session; the client is told why and the others go on.
func TestServerRefusesOneUpload(t *testing.T) {
	w := newWorld(t, 3_000_000, 3_000_000)
	w.start()
	p := newProxy(t, w.server.Addr(), faults{})
	s := NewSender(w.through(p))
	wait := during(s, 0.1, func() {
		w.server.Refuse("upl_0", fail(CodeTakenOver, "somebody else has it"))
		w.server.Refuse("upl_0", fail(CodeInternal, "only the first word counts"))
		w.server.Refuse("upl_none", fail(CodeInternal, "nobody has it"))
	})
	results, err := s.Send(context.Background())
	wait()
	w.must(err)
	got := ends(results)
	if CodeOf(got["upl_0"]) != CodeTakenOver || got["upl_1"] != nil {
		t.Errorf("ends: %v", got)
	}
}
