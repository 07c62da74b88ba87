package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// A browser sends one file in parts, each to its place in the file of flow 0.

// place writes what comes, from an offset on.
func (s *sink) place(r io.Reader, offset int64) (n int64, err error) {
	f, err := os.OpenFile(filepath.Join(s.Dir, "0"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	to := &countedWriter{io.NewOffsetWriter(f, offset), &s.came[0]}
	return io.CopyBuffer(to, struct{ io.Reader }{r}, make([]byte, copySize))
}

// tus takes the two requests of an upload of tus that go by the line when nothing breaks. The path is the part's
// place in the file.
func (s *sink) tus(w http.ResponseWriter, r *http.Request) {
	part, err := strconv.ParseInt(r.URL.Path[1:], 10, 64)
	if err != nil {
		http.Error(w, "/offset", http.StatusBadRequest)
		return
	}
	w.Header().Set("Tus-Resumable", "1.0.0")
	switch r.Method {
	case http.MethodPost:
		w.Header().Set("Location", r.URL.Path)
		w.WriteHeader(http.StatusCreated)
	case http.MethodPatch:
		offset, err := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
		if err != nil {
			http.Error(w, "Upload-Offset", http.StatusBadRequest)
			return
		}
		n, err := s.place(r.Body, part+offset)
		if err != nil {
			complain(err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Upload-Offset", strconv.FormatInt(offset+n, 10))
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "POST or PATCH", http.StatusMethodNotAllowed)
	}
}

// WebTransport as the drafts of draft-ietf-webtrans-http3 have it, as far as one page needs it: a session is a CONNECT
// request, a stream begins with streamType and the request's number. (webtransport-go lags behind quic-go's API.)
const (
	settingEnabled        = 0x2c7cf000
	settingEnabledDraft02 = 0x2b603742 // what Chromium looks for
	streamType            = 0x41
)

// webTransport takes streams, each a part of the file, and counts datagrams.
func (s *sink) webTransport(ctx context.Context) (ready, func() error, error) {
	cert, err := briefCertificate()
	if err != nil {
		return ready{}, nil, err
	}
	enough := make(chan struct{})
	h3 := &http3.Server{
		EnableDatagrams:    true,
		AdditionalSettings: map[uint64]uint64{settingEnabled: 1, settingEnabledDraft02: 1},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodConnect {
				http.Error(w, "CONNECT", http.StatusMethodNotAllowed)
				return
			}
			w.WriteHeader(http.StatusOK)
			session, err := w.(http3.HTTPStreamer).HTTPStream()
			if err != nil {
				complain(err)
				return
			}
			go s.datagrams(ctx, session, enough)
		}),
	}
	conf := windows()
	conf.EnableDatagrams, conf.EnableStreamResetPartialDelivery = true, true
	l, err := quic.ListenAddr(s.Addr, http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}}), conf)
	if err != nil {
		return ready{}, nil, err
	}
	run := func() error {
		defer func() { _ = l.Close() }()
		for {
			c, err := l.Accept(ctx)
			if err != nil {
				return err
			}
			go func() {
				if err := s.connection(ctx, c, h3, enough); ctx.Err() == nil && c.Context().Err() == nil {
					complain(err)
				}
			}()
		}
	}
	hash := sha256.Sum256(cert.Certificate[0])
	return ready{l.Addr().String(), hex.EncodeToString(hash[:])}, run, nil
}

// connection tells WebTransport's streams from those of HTTP/3.
func (s *sink) connection(ctx context.Context, c *quic.Conn, h3 *http3.Server, enough <-chan struct{}) error {
	http, err := h3.NewRawServerConn(c)
	if err != nil {
		return err
	}
	go func() {
		for {
			stream, err := c.AcceptUniStream(ctx)
			if err != nil {
				return
			}
			go http.HandleUnidirectionalStream(stream)
		}
	}()
	for {
		stream, err := c.AcceptStream(ctx)
		if err != nil {
			return err
		}
		go func() {
			kind, err := quicvarint.Peek(stream)
			if err == nil && kind != streamType {
				http.HandleRequestStream(stream)
				return
			}
			if err := s.part(stream, enough); ctx.Err() == nil && c.Context().Err() == nil {
				complain(err)
			}
		}()
	}
}

// part takes a stream: where its bytes belong, then the bytes. One byte goes back when they are all here. A stream
// for the end of the file waits for enough datagrams.
func (s *sink) part(stream *quic.Stream, enough <-chan struct{}) error {
	r := quicvarint.NewReader(stream)
	for range 2 { // type and session
		if _, err := quicvarint.Read(r); err != nil {
			return err
		}
	}
	var offset uint64
	if err := binary.Read(r, binary.BigEndian, &offset); err != nil {
		return err
	}
	if int64(offset) == s.Size {
		<-enough
	} else if _, err := s.place(stream, int64(offset)); err != nil {
		return err
	}
	if _, err := stream.Write([]byte{1}); err != nil {
		return err
	}
	return stream.Close()
}

// datagrams counts them until they hold as many bytes as the file.
func (s *sink) datagrams(ctx context.Context, session *http3.Stream, enough chan<- struct{}) {
	for s.came[0].Load() < s.Size {
		p, err := session.ReceiveDatagram(ctx)
		if err != nil {
			return
		}
		s.came[0].Add(int64(len(p)))
	}
	close(enough)
}

// briefCertificate is one that a browser accepts by its hash: ECDSA, valid for at most two weeks, not without
// extensions.
func briefCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"bench"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
