package wire

import (
	"encoding/binary"
	"errors"
	"time"
)

// ErrFormat means that the bytes are not what PROTOCOL.md allows.
var ErrFormat = errors.New("bytes against the protocol")

// First bytes of packets. RFC 9443 leaves 4 to 15 unassigned, so QUIC, STUN, DTLS and RTP stay
// distinguishable on the port.
const (
	TypeData     = 0x04
	TypeFeedback = 0x05
	TypeHello    = 0x06
)

const (
	HeaderSize     = 11 // of every packet: type, session, number
	DataHeaderSize = 20
	TagSize        = 16
	DataOverhead   = DataHeaderSize + TagSize

	MinHello    = 1200
	MaxDatagram = 9000
	MaxFeedback = 1200
	BaseSize    = 1232 // datagram that every path carries: 1280 less IPv6 and UDP headers

	MaxNumber   = 1<<48 - 1 // of a packet
	MaxPosition = 1<<48 - 1 // on the tape
	maxBack     = 1<<24 - 1
)

// Header is what every packet begins with.
type Header struct {
	Type    byte
	Session uint32
	Number  uint64 // 48 bits
}

func put48(b []byte, v uint64) {
	binary.BigEndian.PutUint16(b, uint16(v>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(v))
}

func get48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}

// Put writes h to b, which must hold HeaderSize bytes.
func (h Header) Put(b []byte) {
	b[0] = h.Type
	binary.BigEndian.PutUint32(b[1:], h.Session)
	put48(b[5:], h.Number)
}

// ParseHeader reads the header of a packet of ours.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize+TagSize || b[0] < TypeData || b[0] > TypeHello {
		return Header{}, ErrFormat
	}
	return Header{b[0], binary.BigEndian.Uint32(b[1:]), get48(b[5:])}, nil
}

// DataHeader is the whole header of a Data packet.
type DataHeader struct {
	Session  uint32
	Number   uint64
	Settled  uint64 // lowest number the sender still asks about, at most Number
	Position uint64
}

// Put writes h to b, which must hold DataHeaderSize bytes. A Settled too far below is not sent as such
// but as the farthest that fits: it is only advice.
func (h DataHeader) Put(b []byte) {
	Header{TypeData, h.Session, h.Number}.Put(b)
	back := min(h.Number-min(h.Settled, h.Number), maxBack)
	b[11], b[12], b[13] = byte(back>>16), byte(back>>8), byte(back)
	put48(b[14:], h.Position)
}

// ParseDataHeader reads the header of a packet whose type is Data.
func ParseDataHeader(b []byte) (DataHeader, error) {
	h, err := ParseHeader(b)
	if err != nil || h.Type != TypeData || len(b) < DataOverhead {
		return DataHeader{}, ErrFormat
	}
	back := uint64(b[11])<<16 | uint64(b[12])<<8 | uint64(b[13])
	if back > h.Number {
		return DataHeader{}, ErrFormat
	}
	return DataHeader{h.Session, h.Number, h.Number - back, get48(b[14:])}, nil
}

// Hello is the body of a Hello packet, which is padded to Size.
type Hello struct {
	Size     uint16        // of the whole datagram in bytes
	Interval time.Duration // between two feedbacks, whole ms, 1 ms to 1 s
}

// Append appends the body with its padding; the tag is still to come.
func (h Hello) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, h.Size)
	b = binary.BigEndian.AppendUint16(b, uint16(h.Interval/time.Millisecond))
	return append(b, make([]byte, max(0, int(h.Size)-HeaderSize-TagSize-4))...)
}

// ParseHello reads the opened body of a datagram of size bytes.
func ParseHello(body []byte, size int) (Hello, error) {
	if len(body) < 4 {
		return Hello{}, ErrFormat
	}
	h := Hello{binary.BigEndian.Uint16(body), time.Duration(binary.BigEndian.Uint16(body[2:])) * time.Millisecond}
	if int(h.Size) != size || size < MinHello || size > MaxDatagram || h.Interval < time.Millisecond || h.Interval > time.Second {
		return Hello{}, ErrFormat
	}
	return h, nil
}

// Flags of Feedback.
const (
	FlagStorage = 1 << iota
	FlagBusy
)

// NoLimit is the rate of a server that sets none.
const NoLimit = 1<<64 - 1

// MaxEchoes bounds the echoes of one Feedback.
const MaxEchoes = 16

// Echo says when a packet came.
type Echo struct {
	Number uint64
	Held   time.Duration // between its arrival and the feedback, whole µs
}

// Feedback is the body of a Feedback packet.
type Feedback struct {
	Flags    byte
	Priority byte
	Datagram uint16 // size of the largest Hello that came from the present address
	Rate     uint64 // bit/s of whole IP packets; 0: stop; NoLimit
	Received uint64 // bytes of payload taken, each position once
	Late     uint32
	Clock    uint32 // µs of the server's clock at the newest packet's arrival
	Echoes   []Echo // newest first, descending numbers
	Start    uint64 // where Runs begin
	Runs     []uint64
}

const feedbackFixed = 1 + 1 + 2 + 8 + 8 + 4 + 4 + 1

// FeedbackRoom is how many bytes of a Feedback are left for runs when it has n echoes, at least.
func FeedbackRoom(n int) int {
	return MaxFeedback - HeaderSize - TagSize - feedbackFixed - n*(7+5) - 7
}

// Append appends the body.
func (f *Feedback) Append(b []byte) []byte {
	b = append(b, f.Flags, f.Priority)
	b = binary.BigEndian.AppendUint16(b, f.Datagram)
	b = binary.BigEndian.AppendUint64(b, f.Rate)
	b = binary.BigEndian.AppendUint64(b, f.Received)
	b = binary.BigEndian.AppendUint32(b, f.Late)
	b = binary.BigEndian.AppendUint32(b, f.Clock)
	b = append(b, byte(len(f.Echoes)))
	for i, e := range f.Echoes {
		n := e.Number
		if i > 0 {
			n = f.Echoes[i-1].Number - n
		}
		b = binary.AppendUvarint(b, n)
		b = binary.AppendUvarint(b, uint64(e.Held/time.Microsecond))
	}
	b = binary.AppendUvarint(b, f.Start)
	for _, r := range f.Runs {
		b = binary.AppendUvarint(b, r)
	}
	return b
}

// Parse fills f from an opened body; it reuses f's slices.
func (f *Feedback) Parse(b []byte) error {
	if len(b) < feedbackFixed {
		return ErrFormat
	}
	f.Flags, f.Priority = b[0], b[1]
	f.Datagram = binary.BigEndian.Uint16(b[2:])
	f.Rate = binary.BigEndian.Uint64(b[4:])
	f.Received = binary.BigEndian.Uint64(b[12:])
	f.Late = binary.BigEndian.Uint32(b[20:])
	f.Clock = binary.BigEndian.Uint32(b[24:])
	n := int(b[28])
	r := reader{b: b[feedbackFixed:]}
	if n > MaxEchoes {
		return ErrFormat
	}
	f.Echoes = f.Echoes[:0]
	for i := range n {
		number, held := r.number(MaxNumber), r.number(1<<40)
		if i > 0 {
			last := f.Echoes[i-1].Number
			if number == 0 || number > last {
				return ErrFormat
			}
			number = last - number
		}
		f.Echoes = append(f.Echoes, Echo{number, time.Duration(held) * time.Microsecond})
	}
	f.Start = r.number(MaxNumber)
	f.Runs = f.Runs[:0]
	at := f.Start
	for len(r.b) > 0 && !r.bad {
		v := r.number(MaxNumber)
		if at += v; at > MaxNumber+1 || v == 0 && len(f.Runs) > 0 {
			return ErrFormat
		}
		f.Runs = append(f.Runs, v)
	}
	if r.bad {
		return ErrFormat
	}
	return nil
}

// reader takes fields off the front; after the first that is not there everything is zero and bad is set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > limit {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(limit int) []byte {
	n := r.number(uint64(limit))
	if r.bad || n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) fixed(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}
