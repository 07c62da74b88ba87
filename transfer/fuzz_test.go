package transfer

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"isthmus/transfer/wire"
)

// counted is a way back that counts.
type counted struct{ n *int }

func (p counted) send(b []byte) { *p.n += len(b) }
func (p counted) close()        {}

// FuzzReceiver gives the server's data path packets that are sealed well and say anything: each step is a kind, a
// number, a position and a length. Whatever they are, the books agree, and no more than threefold is answered.
func FuzzReceiver(f *testing.F) {
	step := func(kind byte, number, position uint32, n uint16) []byte {
		b := binary.BigEndian.AppendUint32([]byte{kind}, number)
		return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(b, position), n)
	}
	f.Add(bytes.Join([][]byte{step(2, 0, 0, 0), step(0, 1, 0, 1000), step(0, 3, 500, 1000), step(0, 3, 500, 1000), step(1, 9, 0, 0)}, nil))
	f.Add(bytes.Join([][]byte{step(2, 0, 0, 0), step(0, 1<<23, 9_000, 1000), step(0, 1<<22, 99_000, 1000), step(3, 5, 0, 0), step(0, 6, 0, 60_000)}, nil))
	f.Add(bytes.Join([][]byte{step(0, 1, 0, 10), step(4, 0, 0, 0), step(2, 2, 0, 0), step(5, 0, 0, 0), step(0, 4, 1<<30, 1)}, nil))
	exported := make([]byte, wire.ExporterSize)
	sec, err := wire.SplitSecrets(exported)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		const size = 100_000
		now := time.Now().Add(-time.Hour)
		r, err := newReceiver(sec, now)
		if err != nil {
			t.Fatal(err)
		}
		var tp tape
		tp.add(40_000)
		tp.add(0)
		tp.add(size - 40_000)
		in, out, ended := 0, 0, false // bytes since the last move
		r.tape, r.fail = &tp, func(error) { ended = true }
		r.connect = func(netip.AddrPort) (path, error) { in, out = wire.MinHello, 0; return counted{&out}, nil }
		r.store = newStore(context.Background(), nil, make([]Upload, 3), &tp, 1<<20)
		r.authorise()
		r.list([]Range{{Start: 1000, End: 2000}}, 0, 40_000)
		r.list(nil, 40_000, size)
		from := netip.MustParseAddrPort("192.0.2.1:1")
		for ; len(steps) >= 11 && !ended; steps = steps[11:] {
			kind, number := steps[0], uint64(binary.BigEndian.Uint32(steps[1:]))
			position, n := binary.BigEndian.Uint32(steps[5:]), int(binary.BigEndian.Uint16(steps[9:]))
			sealer, err := wire.NewSealerAt(sec.Client, number)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = sealer.Next()
			var head, body []byte
			switch kind % 6 {
			case 0, 1:
				head, body = make([]byte, wire.DataHeaderSize, 1<<17), make([]byte, min(n, 60_000))
				wire.DataHeader{Session: sec.Session, Number: number, Settled: number / 2, Position: uint64(position)}.Put(head)
			case 2, 3:
				head = make([]byte, wire.HeaderSize, 1<<17)
				wire.Header{Type: wire.TypeHello, Session: sec.Session, Number: number}.Put(head)
				body = wire.Hello{Size: uint16(max(n, wire.MinHello)), Interval: time.Millisecond}.Append(nil)
				if kind%6 == 3 {
					from = netip.AddrPortFrom(from.Addr(), uint16(position))
				}
			case 4:
				r.rest()
				continue
			case 5:
				r.authorise()
				continue
			}
			b := sealer.Seal(head, number, body, head)
			now = now.Add(60 * time.Millisecond)
			if r.peer == from {
				in += len(b)
			}
			if r.packet(b, from, now); out > 3*in {
				t.Fatalf("%d bytes in, %d out", in, out)
			}
			if r.taken+r.missing != size-1000 || r.have.total() != r.taken+1000 {
				t.Fatalf("%d taken, %d missing, have %v", r.taken, r.missing, r.have)
			}
			for c := r.store.pop(); c != nil; c = r.store.pop() {
				c.free()
			}
		}
	})
}

// FuzzBlockMap reads a block map that holds anything: no more is durable than whole records say, and what follows is kept.
func FuzzBlockMap(f *testing.F) {
	f.Add([]byte{}, uint16(3))
	f.Add(bytes.Repeat([]byte{0}, 3*mapRecord), uint16(100))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, n uint16) {
		ctx := context.Background()
		d := OpenDir(dir, true)
		for _, suffix := range []string{".part", ".map"} {
			if err := os.WriteFile(filepath.Join(dir, "u"+suffix), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.WriteAt(ctx, "u", make([]byte, n), 1<<40); err != nil {
			t.Fatal(err)
		}
		if err := d.Sync(ctx, "u"); err != nil {
			t.Fatal(err)
		}
		before, err := d.Durable(ctx, "u")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = OpenDir(dir, true)
		after, err := d.Durable(ctx, "u")
		if err != nil || len(after) != len(before) || n > 0 && len(after) == 0 {
			t.Fatalf("%v became %v, %v", before, after, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
