// Package mediatest makes genuine media files with ffmpeg, for tests and for the demo. It makes
// only what it was asked for from ffmpeg's own test sources, so it needs no sandbox.
package mediatest
