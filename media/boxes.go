package media

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// box is one MP4 box: where its content lies.
type box struct {
	kind     string
	at, size int64 // of the content, header taken off
}

var (
	errCutBox   = errors.New("box reaches beyond the file")
	errTooMuch  = errors.New("too many boxes")
	boxesAtMost = 20000
)

// walkBoxes calls fn for the boxes in [at, end). It reads headers only, so a file of any size costs
// little; budget bounds the work for one that is all headers. toEOF allows size 0 ("to the end").
func walkBoxes(r io.ReaderAt, at, end int64, toEOF bool, budget *int, fn func(box) error) error {
	for at < end {
		if *budget--; *budget < 0 {
			return errTooMuch
		}
		if end-at < 8 {
			if toEOF {
				return nil // a few stray bytes at the end of a file hurt nobody
			}
			return errCutBox
		}
		var h [16]byte
		if _, err := r.ReadAt(h[:8], at); err != nil {
			return err
		}
		size, head := int64(binary.BigEndian.Uint32(h[:])), int64(8)
		switch {
		case size == 1:
			if end-at < 16 {
				return errCutBox
			}
			if _, err := r.ReadAt(h[8:], at+8); err != nil {
				return err
			}
			size, head = int64(binary.BigEndian.Uint64(h[8:])), 16
		case size == 0 && toEOF:
			size = end - at
		}
		if size < head || size > end-at {
			return errCutBox
		}
		if err := fn(box{string(h[4:8]), at + head, size - head}); err != nil {
			return err
		}
		at += size
	}
	return nil
}

// wholeMP4 checks that every top-level box ends inside the file and that there is an index.
func wholeMP4(r io.ReaderAt, size int64) error {
	budget, moov, data := 1<<20, false, false
	err := walkBoxes(r, 0, size, true, &budget, func(b box) error {
		moov = moov || b.kind == "moov"
		data = data || b.kind == "mdat"
		return nil
	})
	switch {
	case errors.Is(err, errCutBox):
		return truncated("a part of it is announced but not there")
	case errors.Is(err, errTooMuch):
		return unreadable(err)
	case err != nil:
		return err
	case !moov:
		return truncated("its index (moov) is missing, as when a recording was interrupted")
	case !data:
		return truncated("there is no media in it")
	}
	return nil
}

// trackFacts is what the boxes of the tracks say beyond what ffprobe tells.
type trackFacts struct {
	projection string // content of sv3d/proj: equi, cbmp, mshp
	bounds     [4]uint32
	stereo     int    // st3d mode, -1 = no box
	sphereXML  []byte // the spherical UUID box
	encrypted  bool
}

// spherical video v1: an XML text in a uuid box of this id inside trak.
var sphericalUUID = [16]byte{0xff, 0xcc, 0x82, 0x63, 0xf8, 0x55, 0x4a, 0x93, 0x88, 0x14, 0x58, 0x7a, 0x02, 0x52, 0x1f, 0xdd}

var videoSampleEntries = []string{"avc1", "avc3", "hvc1", "hev1", "vp08", "vp09", "av01", "mp4v", "apch", "apcn", "apcs", "apco", "ap4h"}

// readTrackFacts walks moov only as far as the sample entries.
func readTrackFacts(r io.ReaderAt, size int64) (trackFacts, error) {
	facts, budget := trackFacts{stereo: -1}, boxesAtMost
	var visit func(b box) error
	visit = func(b box) error {
		inner, skip := b, int64(-1)
		switch {
		case slices.Contains([]string{"moov", "trak", "mdia", "minf", "stbl", "sv3d", "proj"}, b.kind):
			skip = 0
		case b.kind == "stsd":
			skip = 8 // version, flags, count
		case slices.Contains(videoSampleEntries, b.kind):
			skip = 78 // the fixed part of a visual sample entry
		case b.kind == "encv" || b.kind == "enca":
			facts.encrypted = true
		case b.kind == "st3d":
			if v, ok := readSmall(r, b, 5); ok {
				facts.stereo = int(v[4])
			}
		case b.kind == "equi" || b.kind == "cbmp" || b.kind == "mshp":
			facts.projection = b.kind
			if v, ok := readSmall(r, b, 20); ok && b.kind == "equi" {
				for i := range facts.bounds {
					facts.bounds[i] = binary.BigEndian.Uint32(v[4+4*i:])
				}
			}
		case b.kind == "uuid" && b.size >= 16 && b.size < 64<<10:
			if v, ok := readSmall(r, b, b.size); ok && [16]byte(v[:16]) == sphericalUUID {
				facts.sphereXML = v[16:]
			}
		}
		if skip < 0 || inner.size < skip {
			return nil
		}
		err := walkBoxes(r, inner.at+skip, inner.at+inner.size, false, &budget, visit)
		if errors.Is(err, errCutBox) {
			return nil // sample entries may end in padding; what was read counts
		}
		return err
	}
	err := walkBoxes(r, 0, size, true, &budget, visit)
	if errors.Is(err, errTooMuch) || errors.Is(err, errCutBox) {
		err = unreadable(err)
	}
	return facts, err
}

func readSmall(r io.ReaderAt, b box, n int64) ([]byte, bool) {
	if b.size < n {
		return nil, false
	}
	v := make([]byte, n)
	_, err := r.ReadAt(v, b.at)
	return v, err == nil
}
