package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Types of control messages.
const (
	MsgOpen     = 0x01
	MsgFinish   = 0x02
	MsgPause    = 0x03
	MsgCancel   = 0x04
	MsgWelcome  = 0x11
	MsgManifest = 0x12
	MsgReceipt  = 0x13
	MsgRefused  = 0x14
)

// Bounds of a message's body in bytes.
const (
	MaxClientBody = 64 << 10
	MaxServerBody = 1 << 20
	MaxTicket     = 32 << 10
	MaxID         = 128
	MaxName       = 4 << 10
	MaxText       = 1 << 10
	maxUploads    = 1 << 24
)

// Message is a control message before its body is understood.
type Message struct {
	Type byte
	Body []byte
}

// WriteMessage writes one message in one call.
func WriteMessage(w io.Writer, typ byte, body []byte) error {
	if len(body) > MaxServerBody {
		return fmt.Errorf("message of %d bytes: %w", len(body), ErrFormat)
	}
	b := make([]byte, 0, 4+len(body))
	b = append(b, typ, byte(len(body)>>16), byte(len(body)>>8), byte(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

// ReadMessage reads one message whose body has at most limit bytes; a longer one is ErrFormat. Memory
// is taken as the body comes, not as its length promises.
func ReadMessage(r io.Reader, limit int) (Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Message{}, err
	}
	n := int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	if n > limit {
		return Message{}, fmt.Errorf("message of %d bytes: %w", n, ErrFormat)
	}
	body := make([]byte, 0, min(n, 4096))
	for len(body) < n {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		m, err := io.ReadFull(r, body[len(body):min(n, cap(body))])
		body = body[:len(body)+m]
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return Message{}, err
		}
	}
	return Message{head[0], body}, nil
}

func appendBytes[T []byte | string](b []byte, v T) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func (r *reader) err() error {
	if r.bad {
		return ErrFormat
	}
	return nil
}

func (r *reader) digest() []byte {
	d := r.bytes(32)
	if len(d) != 0 && len(d) != 32 {
		r.bad = true
	}
	return d
}

// Open is the client's first message.
type Open struct{ Ticket string }

// Append appends the body.
func (m Open) Append(b []byte) []byte { return appendBytes(b, m.Ticket) }

// ParseOpen reads the body.
func ParseOpen(b []byte) (Open, error) {
	r := reader{b: b}
	return Open{string(r.bytes(MaxTicket))}, r.err()
}

// Finish says that an upload is the whole file and what it should be.
type Finish struct {
	Upload int
	SHA256 []byte // 32 bytes, or none
}

// Append appends the body.
func (m Finish) Append(b []byte) []byte {
	return appendBytes(binary.AppendUvarint(b, uint64(m.Upload)), m.SHA256)
}

// ParseFinish reads the body.
func ParseFinish(b []byte) (Finish, error) {
	r := reader{b: b}
	return Finish{int(r.number(maxUploads)), r.digest()}, r.err()
}

// ParsePause reads the body of Pause.
func ParsePause(b []byte) (paused bool, err error) {
	if len(b) < 1 || b[0] > 1 {
		return false, ErrFormat
	}
	return b[0] == 1, nil
}

// AppendPause appends the body of Pause.
func AppendPause(b []byte, paused bool) []byte {
	if paused {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendCancel appends the body of Cancel.
func AppendCancel(b []byte, upload int) []byte { return binary.AppendUvarint(b, uint64(upload)) }

// ParseCancel reads the body of Cancel.
func ParseCancel(b []byte) (upload int, err error) {
	r := reader{b: b}
	return int(r.number(maxUploads)), r.err()
}

// Welcome says that the ticket is good.
type Welcome struct {
	Uploads  int   // how many the manifest will list
	Tape     int64 // bytes of all of them
	Datagram int   // largest datagram accepted
}

// Append appends the body.
func (m Welcome) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(m.Uploads))
	b = binary.AppendUvarint(b, uint64(m.Tape))
	return binary.AppendUvarint(b, uint64(m.Datagram))
}

// ParseWelcome reads the body.
func ParseWelcome(b []byte) (Welcome, error) {
	r := reader{b: b}
	m := Welcome{int(r.number(maxUploads)), int64(r.number(MaxPosition)), int(r.number(65535))}
	if m.Datagram < MinHello {
		r.bad = true
	}
	return m, r.err()
}

// Range is the bytes [Start, End).
type Range struct{ Start, End int64 }

// Entry is one upload in a manifest.
type Entry struct {
	ID, Name string
	Size     int64
	Have     []Range // on the server's disk, ascending, not touching
}

// Append appends the entry.
func (e Entry) Append(b []byte) []byte {
	b = appendBytes(b, e.ID)
	b = appendBytes(b, e.Name)
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = binary.AppendUvarint(b, uint64(len(e.Have)))
	at := int64(0)
	for _, r := range e.Have {
		b = binary.AppendUvarint(b, uint64(r.Start-at))
		b = binary.AppendUvarint(b, uint64(r.End-r.Start))
		at = r.End
	}
	return b
}

// ParseManifest reads one page.
func ParseManifest(b []byte) ([]Entry, error) {
	r := reader{b: b}
	n := r.number(maxUploads)
	if n > uint64(len(r.b)/4) { // an entry has four bytes at least
		return nil, ErrFormat
	}
	entries := make([]Entry, 0, n)
	for range n {
		e := Entry{ID: string(r.bytes(MaxID)), Name: string(r.bytes(MaxName)), Size: int64(r.number(MaxPosition))}
		ranges := r.number(MaxServerBody)
		if r.bad || ranges > uint64(len(r.b)/2) || !utf8.ValidString(e.Name) {
			return nil, ErrFormat
		}
		e.Have = make([]Range, 0, ranges)
		at := int64(0)
		for i := range ranges {
			gap, length := r.number(MaxPosition), r.number(MaxPosition)
			start := at + int64(gap)
			at = start + int64(length)
			if r.bad || length == 0 || gap == 0 && i > 0 || at > e.Size {
				return nil, ErrFormat
			}
			e.Have = append(e.Have, Range{start, at})
		}
		entries = append(entries, e)
	}
	return entries, r.err()
}

// Receipt says that an upload is complete, on disk and accepted.
type Receipt struct {
	Upload int
	SHA256 []byte    // that was checked; 32 bytes, or none
	Time   time.Time // of the server's clock, whole ms
}

// Append appends the body.
func (m Receipt) Append(b []byte) []byte {
	b = appendBytes(binary.AppendUvarint(b, uint64(m.Upload)), m.SHA256)
	return binary.BigEndian.AppendUint64(b, uint64(m.Time.UnixMilli()))
}

// ParseReceipt reads the body.
func ParseReceipt(b []byte) (Receipt, error) {
	r := reader{b: b}
	m := Receipt{Upload: int(r.number(maxUploads)), SHA256: r.digest()}
	m.Time = time.UnixMilli(int64(binary.BigEndian.Uint64(r.fixed(8))))
	return m, r.err()
}

// Refused says that an upload was not accepted.
type Refused struct {
	Upload int
	Code   uint64
	Text   string // for people
}

// Clip cuts a long text for people to MaxText bytes.
func Clip(text string) string {
	if len(text) <= MaxText {
		return text
	}
	return strings.ToValidUTF8(text[:MaxText], "")
}

// Append appends the body; a long text is cut.
func (m Refused) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(m.Upload))
	b = binary.AppendUvarint(b, m.Code)
	return appendBytes(b, Clip(m.Text))
}

// ParseRefused reads the body.
func ParseRefused(b []byte) (Refused, error) {
	r := reader{b: b}
	return Refused{int(r.number(maxUploads)), r.number(1 << 32), string(r.bytes(MaxText))}, r.err()
}
