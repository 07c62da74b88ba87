package media

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"isthmus/gateway"
)

// FuzzReaders feeds our own readers of untrusted files: none may panic, loop or read without bound.
func FuzzReaders(f *testing.F) {
	dir := f.TempDir()
	moov := appendBox(nil, "moov", appendBox(nil, "trak", appendBox(nil, "mdia", appendBox(nil, "minf", appendBox(nil, "stbl",
		appendBox(nil, "stsd", make([]byte, 8), appendBox(nil, "avc1", make([]byte, 78))), appendBox(nil, "stco", make([]byte, 16)))))))
	plain := appendBox(appendBox(append(appendBox(nil, "ftyp", []byte("isom\x00\x00\x00\x00")), moov...), "mdat", []byte("media")), "free")
	file := filepath.Join(dir, "plain.mp4")
	if err := os.WriteFile(file, plain, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	for i, s := range []Spherical{{Projection: gateway.Equirectangular}, {Projection: gateway.Cubemap}, {Version1: true, Stereo: "top_bottom"}} {
		out := filepath.Join(dir, string(rune('a'+i)))
		if err := InjectSpherical(file, out, s); err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	jpeg := filepath.Join(dir, "p.jpg")
	if err := os.WriteFile(jpeg, []byte("\xff\xd8\xff\xda\x00\x02\xff\xd9"), 0o600); err != nil {
		f.Fatal(err)
	}
	if err := InjectGPano(jpeg, jpeg+"2", 4096, 2048); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(jpeg + "2")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("\x1aE\xdf\xa3\x84webm\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x1biTXtXML:com.adobe.xmp\x00aaaaaaaaaa"))
	f.Add([]byte("RIFF\x10\x00\x00\x00WEBPVP8 "))
	f.Add(appendRecord(appendRecord(nil, recordMagic, 0, 10), recordMagic, 5, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, size := bytes.NewReader(b), int64(len(b))
		if fm, err := sniff(r, size); err == nil {
			_ = fm.whole(r, size)
			_ = pictureSize(r, size)
			facts, _ := readTrackFacts(r, size)
			if _, err := findSphere(fm, r, size, facts, nil); err != nil {
				t.Error(err) // a reader that does not fail leaves nothing to fail
			}
		}
		_ = sphereOfXMP(b)
		_ = injectSpherical(r, size, &bytes.Buffer{}, Spherical{})
		ranges, n, err := readJournal(r, 1<<40)
		if err != nil || int64(n)*recordSize > size {
			t.Error(n, err)
		}
		for i, rg := range ranges {
			if rg.Start < 0 || rg.End <= rg.Start || rg.End > 1<<40 || i > 0 && rg.Start <= ranges[i-1].End {
				t.Error(ranges)
			}
		}
	})
}
