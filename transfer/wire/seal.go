package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// ExporterLabel and ExporterSize are what the TLS exporter is asked for.
const (
	ExporterLabel = "EXPORTER-isthmus-transfer-1"
	ExporterSize  = 4 + 2*secretSize
	secretSize    = 32
	epochBits     = 22 // packets per key: 2^22 of 9000 bytes stay far below what AES-GCM allows
)

// Secrets is what both sides of a session share.
type Secrets struct {
	Session        uint32
	Client, Server []byte // of what the client, the server sends
}

// SplitSecrets divides the ExporterSize bytes of the TLS exporter.
func SplitSecrets(exported []byte) (Secrets, error) {
	if len(exported) != ExporterSize {
		return Secrets{}, ErrFormat
	}
	return Secrets{
		Session: binary.BigEndian.Uint32(exported),
		Client:  exported[4 : 4+secretSize],
		Server:  exported[4+secretSize:],
	}, nil
}

// ErrForged means that a packet's tag is wrong, or its number so far off that nobody looked.
var ErrForged = errors.New("packet is not authentic")

// ErrNumbersUsedUp ends a session after 2^48 packets.
var ErrNumbersUsedUp = errors.New("no packet numbers left")

type epochKey struct {
	epoch uint64
	aead  cipher.AEAD
	iv    [12]byte
}

func newEpochKey(secret []byte, epoch uint64) (*epochKey, error) {
	info := func(name string) string {
		return string(binary.BigEndian.AppendUint32([]byte(name), uint32(epoch)))
	}
	key, err := hkdf.Expand(sha256.New, secret, info("key"), 16)
	if err != nil {
		return nil, err
	}
	iv, err := hkdf.Expand(sha256.New, secret, info("iv"), 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	k := &epochKey{epoch: epoch, iv: [12]byte(iv)}
	k.aead, err = cipher.NewGCM(block)
	return k, err
}

func (k *epochKey) nonce(b *[12]byte, number uint64) []byte {
	*b = k.iv
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], number)
	for i, x := range n {
		b[4+i] ^= x
	}
	return b[:]
}

// Sealer seals what one side sends. It gives out the packet numbers, so that none is used twice.
// Not for concurrent use.
type Sealer struct {
	secret []byte
	next   uint64
	key    *epochKey
	nonce  [12]byte
}

// NewSealer begins at number 0. A secret must be given to one Sealer only.
func NewSealer(secret []byte) (*Sealer, error) { return NewSealerAt(secret, 0) }

// NewSealerAt begins at a number, all below which count as used.
func NewSealerAt(secret []byte, next uint64) (*Sealer, error) {
	key, err := newEpochKey(secret, next>>epochBits)
	return &Sealer{secret: secret, next: next, key: key}, err
}

// Next reserves a packet number: it belongs to the caller, who may seal one packet with it.
func (s *Sealer) Next() (uint64, error) {
	if s.next > MaxNumber {
		return 0, ErrNumbersUsedUp
	}
	n := s.next
	if n>>epochBits != s.key.epoch {
		key, err := newEpochKey(s.secret, n>>epochBits)
		if err != nil {
			return 0, err
		}
		s.key = key
	}
	s.next++
	return n, nil
}

// Seal appends the sealed body to dst, whose end must be the packet's header. number is from the latest Next.
func (s *Sealer) Seal(dst []byte, number uint64, body, header []byte) []byte {
	return s.key.aead.Seal(dst, s.key.nonce(&s.nonce, number), body, header)
}

// Opener opens what the other side sealed, and keeps the numbers it saw. Not for concurrent use.
type Opener struct {
	secret []byte
	keys   [3]*epochKey // by epoch modulo 3
	Seen   Window
	nonce  [12]byte
}

// NewOpener is for the other side's secret.
func NewOpener(secret []byte) (*Opener, error) {
	o := &Opener{secret: secret}
	_, err := o.key(0)
	return o, err
}

func (o *Opener) key(epoch uint64) (*epochKey, error) {
	slot := epoch % uint64(len(o.keys))
	if k := o.keys[slot]; k != nil && k.epoch == epoch {
		return k, nil
	}
	k, err := newEpochKey(o.secret, epoch)
	if err == nil {
		o.keys[slot] = k
	}
	return k, err
}

// Open appends the body of a packet to dst and counts the packet as seen. header is its authenticated
// part. It fails with ErrForged, or with ErrReplay when the number was seen or is too old: nothing
// of the packet may be used or answered then.
func (o *Opener) Open(dst []byte, number uint64, header, sealed []byte) ([]byte, error) {
	if o.Seen.Old(number) {
		return dst, ErrReplay
	}
	epoch, top := number>>epochBits, o.Seen.Highest()>>epochBits
	if epoch > top+1 || epoch+1 < top {
		return dst, ErrForged
	}
	k, err := o.key(epoch)
	if err != nil {
		return dst, err
	}
	out, err := k.aead.Open(dst, k.nonce(&o.nonce, number), sealed, header)
	if err != nil {
		return dst, ErrForged
	}
	o.Seen.Add(number)
	return out, nil
}
