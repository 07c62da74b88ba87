package gateway_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/store/storetest"
)

// BenchmarkDropScan looks at a folder of ISTHMUS_BENCH_FILES files (default 100 000): for the first time, when a row is
// written for each, and again when nothing has changed. Beside it stands the bare walk of the same tree.
func BenchmarkDropScan(b *testing.B) {
	n := raised("ISTHMUS_BENCH_FILES", 100_000)
	for b.Loop() {
		s := newShed(b, storetest.SQLite(b), func(f *gateway.DropFolder) { f.Complete = gateway.DropComplete{Marker: ".done"} })
		for i := range n {
			if i%1000 == 0 {
				if err := os.MkdirAll(filepath.Join(s.dir, fmt.Sprintf("%03d", i/1000)), 0o750); err != nil {
					b.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("%03d/%06d.mp4", i/1000, i)), []byte{1}, 0o600); err != nil {
				b.Fatal(err)
			}
		}
		began := time.Now()
		walked := 0
		if err := filepath.Walk(s.dir, func(_ string, info os.FileInfo, err error) error {
			if err == nil && info.Mode().IsRegular() {
				walked++
			}
			return err
		}); err != nil || walked != n {
			b.Fatal(walked, err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/walk")
		began = time.Now()
		s.scan()
		b.ReportMetric(time.Since(began).Seconds(), "s/first")
		if got, err := s.db.DropFiles().Counts(b.Context(), gateway.Scope(s.house.Hub.ID), gateway.DropFileFilter{FolderID: s.folder.ID}); err != nil || got[gateway.DropDetected].Files != int64(n) {
			b.Fatal(got, err)
		}
		began = time.Now()
		s.scan()
		b.ReportMetric(time.Since(began).Seconds(), "s/unchanged")
	}
}

// BenchmarkDropFiles tells how many small files a second become entries on the embedded platform, from the time that all
// are finished; many are at work at once, as jobs are.
func BenchmarkDropFiles(b *testing.B) {
	const n, atOnce = 1000, 16
	for b.Loop() {
		s := newShed(b, storetest.SQLite(b), func(f *gateway.DropFolder) { f.Complete = gateway.DropComplete{StableS: 1} })
		for i := range n {
			s.put(fmt.Sprintf("%04d.mp4", i), noise(1000))
		}
		s.settle()
		whole := s.files(gateway.DropPending)
		if len(whole) != n {
			b.Fatal(len(whole))
		}
		began, used := time.Now(), processorTime(b)
		var next atomic.Int64
		together(atOnce, func(int) {
			for i := next.Add(1) - 1; i < n; i = next.Add(1) - 1 {
				if err := s.entryOf(whole[i].ID); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(n/time.Since(began).Seconds(), "entries/s")
		b.ReportMetric((processorTime(b)-used).Seconds()*1000/n, "cpu-ms/entry")
		if got := len(s.all()); got != n {
			b.Fatal(got, "entries")
		}
	}
}

// entryOf takes a whole file until its entry exists.
func (s *shed) entryOf(id string) error {
	for range 10_000 {
		f, err := s.db.DropFiles().Get(s.t.Context(), gateway.AnyHub, id)
		if err != nil || f.EntryID != "" || f.State.Over() {
			return errors.Join(err, reasonOf(f))
		}
		err = s.folders.RunFile(s.t.Context(), id)
		if f, gerr := s.db.DropFiles().Get(s.t.Context(), gateway.AnyHub, id); gerr == nil && f.UploadID != "" {
			if u, uerr := s.db.Uploads().Get(s.t.Context(), gateway.AnyHub, f.UploadID); uerr == nil && u.State == gateway.UploadIngesting {
				err = s.uploads.RunIngest(s.t.Context(), u.ID)
			}
		}
		var z *gateway.Snooze
		if errors.As(err, &z) || gateway.CodeOf(err) == gateway.Conflict {
			time.Sleep(time.Millisecond)
		} else if err != nil {
			return err
		}
	}
	return errors.New("it never becomes an entry")
}

func reasonOf(f gateway.DropFile) error {
	if f.State == gateway.DropQuarantined {
		return errors.New(f.Reason + ": " + f.Text)
	}
	return nil
}

// BenchmarkDropManifest takes an XML of ISTHMUS_BENCH_ITEMS items (default 10 000) until each is an entry on the embedded
// platform, and says how far the heap grew: that of the platform and of both databases with it.
func BenchmarkDropManifest(b *testing.B) {
	n := raised("ISTHMUS_BENCH_ITEMS", 10_000)
	for b.Loop() {
		d := newDrops(b, storetest.SQLite(b))
		var xml strings.Builder
		xml.WriteString(`<?xml version="1.0"?><mrss version="1.0"><channel>`)
		for i := range n {
			fmt.Fprintf(&xml, `<item><action>add</action><type>1</type><referenceId>tour-%d</referenceId><name>Tour %d</name><description>Recorded on the quay.</description>`+
				`<tags><tag>360</tag><tag>harbour</tag></tags><media><mediaType>1</mediaType></media></item>`, i, i)
		}
		xml.WriteString(`</channel></mrss>`)
		body := []byte(xml.String())
		xml.Reset()
		f := d.put("tours.xml", body)
		stop, most := watchHeap()
		began, used := time.Now(), processorTime(b)
		if err := d.folders.RunManifest(b.Context(), f); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n)/time.Since(began).Seconds(), "items/s-read")
		for f = d.file("tours.xml"); f.State == gateway.DropProcessing; f = d.file("tours.xml") {
			var z *gateway.Snooze
			if err := d.folders.RunItems(b.Context(), f.ID); errors.As(err, &z) {
				d.later(z.After)
			} else if err != nil {
				b.Fatal(err)
			}
		}
		took := time.Since(began)
		stop()
		b.ReportMetric(float64(n)/took.Seconds(), "entries/s")
		b.ReportMetric((processorTime(b)-used).Seconds()*1000/float64(n), "cpu-ms/entry")
		b.ReportMetric(took.Seconds(), "s/all")
		b.ReportMetric(float64(len(body))/(1<<20), "MiB-xml")
		b.ReportMetric(float64(most.Load())/(1<<20), "MiB-peak")
		if f.State != gateway.DropReady || f.ItemsDone != int64(n) {
			b.Fatalf("%+v", f)
		}
	}
}

// processorTime is what this process has used: on a machine that is shared it tells more than the clock does.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchHeap looks again and again how far the heap in use has grown, until stop.
func watchHeap() (stop func(), most *atomic.Uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	first, end, ended := m.HeapInuse, make(chan struct{}), make(chan struct{})
	most = &atomic.Uint64{}
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(50 * time.Millisecond):
			}
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapInuse-min(first, m.HeapInuse)))
		}
	}()
	return func() { close(end); <-ended }, most
}
