package gateway_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store/storetest"
)

// A folder whose files are renamed when they are whole: one whose rename nobody saw is whole once it was seen twice, unchanged.
func TestRenameThatNobodySaw(t *testing.T) {
	t.Parallel()
	s := newShed(t, storetest.SQLite(t), func(f *gateway.DropFolder) { f.Complete = gateway.DropComplete{Rename: "*.part"} })
	s.put("a.mp4", noise(500)) // renamed while no server ran
	s.put("b.mp4.part", noise(500))
	s.scan()
	s.is("a.mp4", gateway.DropDetected, "")
	s.later(2 * time.Second)
	s.scan()
	s.is("a.mp4", gateway.DropDetected, "")
	s.later(9 * time.Second)
	s.put("a.mp4", noise(600)) // changed after all
	s.scan()
	s.is("a.mp4", gateway.DropUploading, "")
	s.later(11 * time.Second)
	s.scan()
	s.is("a.mp4", gateway.DropPending, "")
	s.is("b.mp4.part", gateway.DropUploading, "")
	if err := os.Rename(filepath.Join(s.dir, "b.mp4.part"), filepath.Join(s.dir, "b.mp4")); err != nil {
		t.Fatal(err)
	}
	s.scan()
	s.is("b.mp4", gateway.DropPending, "")
}
