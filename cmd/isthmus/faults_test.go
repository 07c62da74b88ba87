package main

import (
	"testing"
)

// TestFaults drives what a bad day brings through a whole server: 64 hubs at once, each with its
// own sick Kaltura, while one healthy hub works on. It ends in the fault table.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole servers")
	}
	t.Parallel()
	openInternalSink(t)
	ca := newAuthority(t)
	w := newFaultWorld(t, 64, faultPatience, "SSL_CERT_FILE="+ca.file)
	entry := w.seedPicture(t)
	t.Run("all", func(t *testing.T) {
		t.Run("answers", w.badAnswers)
		t.Run("odd answers", w.oddAnswers)
		t.Run("refused", w.refused)
		t.Run("line", w.toxics)
		t.Run("certificates", func(t *testing.T) { w.certificates(t, ca) })
		t.Run("imports", func(t *testing.T) { w.imports(t, entry) })
		t.Run("credentials", w.credentials)
	})
	t.Run("chunks", w.chunks)
	t.Run("names", w.names)
	t.Run("memory", w.memory)
	t.Run("lost answers", w.lostAnswers)
	if n := internalSink.hits.Load(); n != 0 {
		t.Errorf("%d connections to an internal address", n)
	}
	if rss := w.peakRSS(); rss > 400<<20 && !underRace {
		t.Errorf("the server needed %d MiB", rss>>20)
	} else {
		t.Logf("peak memory of the server: %d MiB", rss>>20)
	}
	w.kill()
	w.check()
}

// seedPicture gives a ready entry that can be imported.
func (w *faultWorld) seedPicture(t testing.TB) (id string) {
	t.Helper()
	h := w.hub(t)
	content := w.picture(256, 256)
	up := h.begin(t, content, len(content))
	h.finish(t, up, content)
	await(t, "the first picture", func() error {
		got := h.upload(t, up.ID)
		if got.State != "ready" {
			return errState(got.State)
		}
		id = got.EntryID
		return nil
	})
	return id
}

type errState string

func (e errState) Error() string { return "it is " + string(e) }
