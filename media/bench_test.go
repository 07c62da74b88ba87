package media_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"isthmus/gateway"
	"isthmus/media/mediatest"
)

// BenchmarkMinute tells, for a 1-minute 1080p H.264/AAC clip (10 seconds with -short), how long it
// takes until it plays and until its ladder is there, beside plain ffmpeg run by hand for the same
// results. Processor seconds are told too: on a busy machine only they can be compared.
//
//	go test ./media -run '^$' -bench Minute -benchtime 1x -timeout 30m
func BenchmarkMinute(b *testing.B) {
	ctx := b.Context()
	h := pipe(b)
	dir := b.TempDir()
	clip := filepath.Join(dir, "clip.mp4")
	seconds := 60.0
	if testing.Short() {
		seconds = 10
	}
	must(b, mediatest.Clip{Seconds: seconds, Width: 1920, Height: 1080}.Make(ctx, clip))
	var inspect, pack, ladder, plainPack, plainLadder cost
	for i := range b.N {
		src := h.storeFile(fmt.Sprintf("in/%d", i), clip)
		out := fmt.Sprintf("out/%d", i)
		var in gateway.Inspection
		var first, full gateway.Package
		var err error
		inspect.add(func() { in, err = h.pipeline.Inspect(ctx, src, "clip.mp4") })
		must(b, err)
		pack.add(func() { first, err = h.pipeline.Package(ctx, src, in, out, nil) })
		must(b, err)
		ladder.add(func() { full, err = h.pipeline.Ladder(ctx, src, in, first, out, nil) })
		must(b, err)

		by := filepath.Join(dir, "by-hand")
		must(b, os.MkdirAll(by, 0o700))
		plainPack.add(func() {
			must(b, mediatest.FFmpeg(ctx, "-i", clip, "-map", "0", "-c", "copy", "-f", "dash", "-seg_duration", "4", filepath.Join(by, "copy.mpd")))
		})
		args := []string{"-i", clip}
		for range full.Renditions {
			args = append(args, "-map", "0:v")
		}
		args = append(args, "-map", "0:a", "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-g", "60", "-keyint_min", "60", "-sc_threshold", "0", "-c:a", "aac")
		for i, r := range full.Renditions {
			args = append(args, fmt.Sprintf("-s:v:%d", i), fmt.Sprintf("%dx%d", r.Width, r.Height))
		}
		sets := []string{"-f", "dash", "-seg_duration", "4", "-adaptation_sets", "id=0,streams=v id=1,streams=a", filepath.Join(by, "ladder.mpd")}
		plainLadder.add(func() { must(b, mediatest.FFmpeg(ctx, append(args, sets...)...)) })
		must(b, os.RemoveAll(by))
	}
	b.ReportMetric(0, "ns/op")
	for _, m := range []struct {
		name string
		cost cost
	}{{"inspect", inspect}, {"package", pack}, {"plain-copy", plainPack}, {"ladder", ladder}, {"plain-ladder", plainLadder}} {
		b.ReportMetric(m.cost.wall/float64(b.N), "s-"+m.name)
		b.ReportMetric(m.cost.cpu/float64(b.N), "cpu-s-"+m.name)
	}
	b.ReportMetric((pack.wall+ladder.wall)/plainLadder.wall, "ratio-whole-ladder")
	b.ReportMetric((pack.cpu+ladder.cpu)/plainLadder.cpu, "cpu-ratio-whole-ladder")
}

// cost adds up seconds, by the clock and of processors, in this process and those it waited for.
type cost struct{ wall, cpu float64 }

func (c *cost) add(f func()) {
	start, before := time.Now(), used()
	f()
	c.wall += time.Since(start).Seconds()
	c.cpu += used() - before
}

func used() float64 {
	var sum float64
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
		}
	}
	return sum
}
