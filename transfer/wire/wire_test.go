package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestWindow compares a Window with a plain set.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Window
		seen := map[uint64]bool{}
		next := uint64(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			n := rapid.OneOf(
				rapid.Uint64Range(next-min(next, 300), next+70),
				rapid.Uint64Range(next-min(next, WindowSize+10), next+10),
				rapid.Uint64Range(next, next+3*WindowSize/2),
			).Draw(t, "n")
			floor := uint64(0)
			if next > WindowSize {
				floor = next - WindowSize
			}
			if want := n < next && (n < floor || seen[n]); w.Old(n) != want {
				t.Fatalf("Old(%d) = %v, next %d", n, !want, next)
			}
			w.Add(n)
			if n >= floor {
				seen[n] = true
			}
			next = max(next, n+1)
		}
		// The runs say of each number what the set says.
		at := max(w.Floor(), next-min(next, 5000))
		runs, end := w.AppendRuns(nil, at, 1<<20)
		if end != next {
			t.Fatalf("runs end at %d of %d", end, next)
		}
		has := true
		for _, r := range runs {
			for range r {
				if seen[at] != has {
					t.Fatalf("number %d: %v", at, has)
				}
				at++
			}
			has = !has
		}
		if at != next {
			t.Fatalf("runs reach %d of %d", at, next)
		}
	})
}

func TestRunsKeepToTheirRoom(t *testing.T) {
	var w Window
	for n := uint64(0); n < 10_000; n += 2 {
		w.Add(n)
	}
	runs, end := w.AppendRuns(nil, 0, 100)
	if len(runs) != 100 || end != 100 {
		t.Errorf("%d runs up to %d", len(runs), end)
	}
	f := Feedback{Runs: runs}
	for range MaxEchoes {
		f.Echoes = append([]Echo{{Number: MaxNumber - uint64(len(f.Echoes)) - 1}}, f.Echoes...)
	}
	f.Runs, _ = w.AppendRuns(nil, 0, FeedbackRoom(MaxEchoes))
	if n := len(f.Append(nil)) + HeaderSize + TagSize; n > MaxFeedback {
		t.Errorf("feedback of %d bytes", n)
	}
}

func TestSealAndOpen(t *testing.T) {
	exported := make([]byte, ExporterSize)
	for i := range exported {
		exported[i] = byte(i)
	}
	sec, err := SplitSecrets(exported)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSealer(sec.Client)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(text string) (uint64, []byte) {
		n, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, HeaderSize, 200)
		Header{TypeHello, sec.Session, n}.Put(head)
		return n, s.Seal(head, n, []byte(text), head)
	}
	open := func(o *Opener, n uint64, b []byte) (string, error) {
		text, err := o.Open(nil, n, b[:HeaderSize], b[HeaderSize:])
		return string(text), err
	}
	o, err := NewOpener(sec.Client)
	if err != nil {
		t.Fatal(err)
	}
	n, first := seal("one")
	for i := range first {
		first[i] ^= 1
		if _, err := open(o, n, first); !errors.Is(err, ErrForged) {
			t.Errorf("bit of byte %d changed: %v", i, err)
		}
		first[i] ^= 1
	}
	if text, err := open(o, n, first); err != nil || text != "one" {
		t.Fatalf("%q, %v", text, err)
	}
	if _, err := open(o, n, first); !errors.Is(err, ErrReplay) {
		t.Errorf("replay: %v", err)
	}
	// The key changes with the epoch; packets of the old one may still arrive.
	_, second := seal("two")
	s.next = 1<<epochBits - 1
	n3, third := seal("three")
	n4, fourth := seal("four")
	if n4>>epochBits != 1 {
		t.Fatalf("number %d", n4)
	}
	for _, p := range []struct {
		n    uint64
		b    []byte
		text string
	}{{n3, third, "three"}, {n4, fourth, "four"}} {
		if text, err := open(o, p.n, p.b); err != nil || text != p.text {
			t.Errorf("%d: %q, %v", p.n, text, err)
		}
	}
	if _, err := open(o, 1, second); !errors.Is(err, ErrReplay) {
		t.Errorf("a number far below the window: %v", err)
	}
	s.next = 5 << epochBits
	n5, fifth := seal("five")
	if _, err := open(o, n5, fifth); !errors.Is(err, ErrForged) {
		t.Errorf("an epoch far ahead: %v", err)
	}
	if bytes.Equal(sec.Client, sec.Server) {
		t.Error("both directions have one secret")
	}
}

// TestLongTextIsClipped: between letters, and the message can be read.
func TestLongTextIsClipped(t *testing.T) {
	m := Refused{Upload: 1, Code: 12, Text: "x" + strings.Repeat("é", MaxText)}
	got, err := ParseRefused(m.Append(nil))
	if err != nil || got.Text != "x"+strings.Repeat("é", MaxText/2-1) {
		t.Errorf("%d bytes, %v", len(got.Text), err)
	}
}
