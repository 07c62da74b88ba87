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

// BenchmarkPut receives 256 MiB as the fast path does: pieces as they come, in chunks of 256 KiB or one by one
// as far as 2 % are late by a chunk, and a sync every 8 MiB.
//
//	go test ./media -run '^$' -bench Put
func BenchmarkPut(b *testing.B) {
	const size, chunk, packet = 256 << 20, 256 << 10, 1400
	for name, late := range map[string]bool{"in order": false, "2 % late": true} {
		b.Run(name, func(b *testing.B) {
			h := open(b, b.TempDir())
			p := make([]byte, chunk)
			b.SetBytes(size)
			b.ReportAllocs()
			put := func(id string, from, to int64) {
				must(b, h.staging.Put(b.Context(), id, p[:to-from], from))
			}
			for i := range b.N {
				id := fmt.Sprintf("upl_%d", i)
				must(b, h.staging.Create(b.Context(), id, size))
				var holes []int64
				for at := int64(0); at < size; at += chunk {
					for _, hole := range holes {
						put(id, hole, hole+packet)
					}
					holes = holes[:0]
					from := at
					for hole := at + 30*packet; late && hole < at+chunk-packet; hole += 50 * packet {
						put(id, from, hole)
						holes = append(holes, hole)
						from = hole + packet
					}
					put(id, from, at+chunk)
					if (at+chunk)%(8<<20) == 0 {
						must(b, h.staging.Commit(b.Context(), id))
					}
				}
				must(b, h.staging.Remove(b.Context(), id))
			}
		})
	}
}
