package transfer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"time"

	"isthmus/transfer/wire"
)

// KeyHash is the SHA-256 of a certificate's SubjectPublicKeyInfo: what a client pins.
type KeyHash [sha256.Size]byte

// NewCertificate makes a key with a self-signed certificate. Names and dates in it mean nothing: clients go by KeyHash.
func NewCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: no end
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// HashKey gives the KeyHash of a certificate.
func HashKey(c tls.Certificate) (KeyHash, error) {
	if len(c.Certificate) == 0 {
		return KeyHash{}, errors.New("transfer: no certificate")
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return KeyHash{}, err
	}
	return sha256.Sum256(leaf.RawSubjectPublicKeyInfo), nil
}

// clientTLS accepts the one key and nothing else. TLS proves that the server holds it.
func clientTLS(pin KeyHash) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		NextProtos:         []string{ALPN},
		InsecureSkipVerify: true, // replaced by the pin
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("transfer: the server showed no certificate")
			}
			have := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if subtle.ConstantTimeCompare(have[:], pin[:]) != 1 {
				return errors.New("transfer: the server's key is not the one in the ticket")
			}
			return nil
		},
	}
}

// sessionSecrets derives what both sides of a connection share.
func sessionSecrets(s tls.ConnectionState) (wire.Secrets, error) {
	b, err := s.ExportKeyingMaterial(wire.ExporterLabel, nil, wire.ExporterSize)
	if err != nil {
		return wire.Secrets{}, err
	}
	return wire.SplitSecrets(b)
}
