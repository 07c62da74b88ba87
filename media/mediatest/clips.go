package mediatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"isthmus/gateway"
	"isthmus/media"
)

// FFmpeg runs ffmpeg with the arguments; what it says on failure is in the error.
func FFmpeg(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-hide_banner", "-v", "error", "-y"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no orphans of a killed process
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, out)
	}
	return nil
}

// Clip describes a flat H.264/AAC test clip.
type Clip struct {
	Seconds       float64 // 0 = 8
	Width, Height int     // 0 = 1280×720
	Rate          int     // frames a second, 0 = 30
	Silent        bool    // no sound track
	Source        string  // lavfi source without size, rate and duration; empty = testsrc2
	Extra         []string
}

// Make writes a clip to file, whose ending chooses the container.
func (c Clip) Make(ctx context.Context, file string) error {
	if c.Seconds == 0 {
		c.Seconds = 8
	}
	if c.Width == 0 {
		c.Width, c.Height = 1280, 720
	}
	if c.Rate == 0 {
		c.Rate = 30
	}
	if c.Source == "" {
		c.Source = "testsrc2"
	}
	sep := "="
	if strings.Contains(c.Source, "=") {
		sep = ":"
	}
	length := strconv.FormatFloat(c.Seconds, 'f', 3, 64)
	args := []string{"-f", "lavfi", "-i", fmt.Sprintf("%s%ssize=%dx%d:rate=%d:duration=%s", c.Source, sep, c.Width, c.Height, c.Rate, length)}
	if !c.Silent {
		args = append(args, "-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000:duration="+length, "-c:a", "aac", "-b:a", "128k")
	}
	args = append(args, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", strconv.Itoa(2*c.Rate))
	args = append(args, c.Extra...)
	return FFmpeg(ctx, append(args, file)...)
}

// sphereView turns a test pattern into an equirectangular picture that looks right from inside: six
// copies of the pattern on the faces of a cube, wrapped around the viewer.
func sphereView(width, height int) string {
	return fmt.Sprintf("split=6[a][b][c][d][e][f];[b]hue=h=60[b1];[c]hue=h=120[c1];[d]hue=h=180[d1];[e]hue=h=240[e1];[f]hue=h=300[f1];"+
		"[a][b1][c1][d1][e1][f1]hstack=inputs=6,v360=input=c6x1:output=e:w=%d:h=%d", width, height)
}

// Sphere writes a 360 clip with genuine spherical metadata (sv3d).
func Sphere(ctx context.Context, file string, seconds float64, width int) error {
	flat := file + ".flat.mp4"
	defer func() { _ = os.Remove(flat) }()
	face := max(width/4&^1, 64)
	length := strconv.FormatFloat(seconds, 'f', 3, 64)
	err := FFmpeg(ctx, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=30:duration=%s", face, face, length),
		"-f", "lavfi", "-i", "sine=frequency=330:sample_rate=48000:duration="+length, "-vf", sphereView(width, width/2),
		"-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "60", "-c:a", "aac", "-movflags", "+faststart", flat)
	if err != nil {
		return err
	}
	return media.InjectSpherical(flat, file, media.Spherical{Projection: gateway.Equirectangular, Stereo: "mono"})
}

// Photo360 writes a 360 photo with GPano XMP.
func Photo360(ctx context.Context, file string, width int) error {
	flat := file + ".flat.jpg"
	defer func() { _ = os.Remove(flat) }()
	face := max(width/4&^1, 64)
	err := FFmpeg(ctx, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%dx%d:rate=1:duration=1", face, face),
		"-vf", sphereView(width, width/2), "-frames:v", "1", "-q:v", "3", "-update", "1", flat)
	if err != nil {
		return err
	}
	return media.InjectGPano(flat, file, width, width/2)
}

// Photo writes a flat picture; the ending chooses the kind.
func Photo(ctx context.Context, file string, width, height int) error {
	return FFmpeg(ctx, "-f", "lavfi", "-i", fmt.Sprintf("mandelbrot=size=%dx%d:rate=1", width, height), "-frames:v", "1", "-update", "1", file)
}

// Sound writes a sound; the ending chooses the kind.
func Sound(ctx context.Context, file string, seconds float64) error {
	return FFmpeg(ctx, "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=220:beep_factor=2:sample_rate=48000:duration=%.3f", seconds),
		"-af", "tremolo=f=0.5", file)
}
