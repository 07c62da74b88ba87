package api_test

import (
	"os"
	"testing"

	"isthmus/media"
)

func TestMain(m *testing.M) {
	media.SandboxMain() // the pipeline runs ffmpeg through this very binary
	os.Exit(m.Run())
}
