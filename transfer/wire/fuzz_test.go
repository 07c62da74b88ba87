package wire

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// What a parser accepts, written again and read again, must be the same: nothing is half understood.

func FuzzMessage(f *testing.F) {
	when := time.UnixMilli(1_800_000_000_000)
	for typ, body := range map[byte][]byte{
		MsgOpen:     Open{"token"}.Append(nil),
		MsgFinish:   Finish{3, bytes.Repeat([]byte{9}, 32)}.Append(nil),
		MsgPause:    AppendPause(nil, true),
		MsgCancel:   AppendCancel(nil, 70_000),
		MsgWelcome:  Welcome{2, 1 << 40, 9000}.Append(nil),
		MsgManifest: append([]byte{2}, Entry{ID: "b", Name: "é", Size: 9, Have: []Range{{0, 4}, {5, 9}}}.Append(Entry{ID: "a", Size: 0}.Append(nil))...),
		MsgReceipt:  Receipt{1, nil, when}.Append(nil),
		MsgRefused:  Refused{1, 10, "no"}.Append(nil),
	} {
		f.Add(typ, body)
	}
	f.Add(byte(MsgManifest), []byte{0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, typ byte, b []byte) {
		again := func(got any, err error, out []byte, parse func([]byte) (any, error)) {
			t.Helper()
			if err != nil {
				return
			}
			got2, err := parse(out)
			if err != nil || !reflect.DeepEqual(got, got2) {
				t.Fatalf("%+v became %+v, %v", got, got2, err)
			}
		}
		switch typ {
		case MsgOpen:
			m, err := ParseOpen(b)
			again(m, err, m.Append(nil), func(b []byte) (any, error) { return ParseOpen(b) })
		case MsgFinish:
			m, err := ParseFinish(b)
			again(m, err, m.Append(nil), func(b []byte) (any, error) { return ParseFinish(b) })
		case MsgPause:
			m, err := ParsePause(b)
			again(m, err, AppendPause(nil, m), func(b []byte) (any, error) { return ParsePause(b) })
		case MsgCancel:
			m, err := ParseCancel(b)
			again(m, err, AppendCancel(nil, m), func(b []byte) (any, error) { return ParseCancel(b) })
		case MsgWelcome:
			m, err := ParseWelcome(b)
			again(m, err, m.Append(nil), func(b []byte) (any, error) { return ParseWelcome(b) })
		case MsgManifest:
			m, err := ParseManifest(b)
			if err != nil {
				return
			}
			var out []byte
			for _, e := range m {
				at := int64(-1)
				for _, r := range e.Have {
					if r.Start <= at || r.End <= r.Start || r.End > e.Size {
						t.Fatalf("ranges %v of %d bytes", e.Have, e.Size)
					}
					at = r.End
				}
				out = e.Append(out)
			}
			out = append(appendCount(len(m)), out...)
			again(m, err, out, func(b []byte) (any, error) { return ParseManifest(b) })
		case MsgReceipt:
			m, err := ParseReceipt(b)
			again(m, err, m.Append(nil), func(b []byte) (any, error) { return ParseReceipt(b) })
		case MsgRefused:
			m, err := ParseRefused(b)
			again(m, err, m.Append(nil), func(b []byte) (any, error) { return ParseRefused(b) })
		}
	})
}

func appendCount(n int) []byte { return AppendCancel(nil, n) }

func FuzzReadMessage(f *testing.F) {
	f.Add([]byte{1, 0, 0, 2, 9, 9})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadMessage(bytes.NewReader(b), 1000)
		if err != nil {
			return
		}
		if len(m.Body) > 1000 {
			t.Fatalf("%d bytes", len(m.Body))
		}
		var out bytes.Buffer
		if err := WriteMessage(&out, m.Type, m.Body); err != nil || !bytes.HasPrefix(b, out.Bytes()) {
			t.Fatalf("%x became %x, %v", b, out.Bytes(), err)
		}
	})
}

func FuzzPacket(f *testing.F) {
	data := make([]byte, DataOverhead+3)
	DataHeader{Session: 7, Number: 1 << 40, Settled: 1<<40 - 5, Position: 1 << 47}.Put(data)
	f.Add(data)
	hello := make([]byte, HeaderSize, 2000)
	Header{TypeHello, 7, 0}.Put(hello)
	f.Add(append(Hello{1300, 5 * time.Millisecond}.Append(hello), make([]byte, TagSize)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			return
		}
		out := make([]byte, HeaderSize)
		if h.Put(out); !bytes.Equal(out, b[:HeaderSize]) {
			t.Fatalf("%x became %x", b, out)
		}
		switch h.Type {
		case TypeData:
			d, err := ParseDataHeader(b)
			if err != nil {
				return
			}
			out := make([]byte, DataHeaderSize)
			if d.Put(out); d.Settled > d.Number || !bytes.Equal(out, b[:DataHeaderSize]) {
				t.Fatalf("%x became %x", b, out)
			}
		case TypeHello:
			body := b[HeaderSize : len(b)-TagSize]
			m, err := ParseHello(body, len(b))
			if err == nil && !bytes.Equal(m.Append(nil)[:4], body[:4]) {
				t.Fatalf("%x became %+v", body, m)
			}
		}
	})
}

func FuzzFeedback(f *testing.F) {
	full := Feedback{
		Flags: 1, Priority: 2, Datagram: 1472, Rate: NoLimit, Received: 1 << 40, Late: 3, Clock: 4,
		Echoes: []Echo{{900, time.Millisecond}, {890, 2 * time.Millisecond}}, Start: 100, Runs: []uint64{0, 5, 700, 1},
	}
	f.Add(full.Append(nil))
	f.Add((&Feedback{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, m2 Feedback
		if m.Parse(b) != nil {
			return
		}
		if err := m2.Parse(m.Append(nil)); err != nil || !reflect.DeepEqual(m, m2) {
			t.Fatalf("%+v became %+v, %v", m, m2, err)
		}
		at := m.Start
		for _, r := range m.Runs {
			if at += r; at > MaxNumber+1 {
				t.Fatalf("runs beyond the last number: %+v", m)
			}
		}
	})
}
