package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"isthmus/transfer"
)

// receiver starts one for a browser, on loopback, for a file of that size.
func receiver(t *testing.T, proto string, size int64) (*sink, ready) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	s := &sink{serveArgs: serveArgs{Proto: proto, Addr: "127.0.0.1:0", Dir: t.TempDir(), Flows: 1, Size: size}, came: make([]atomic.Int64, 1)}
	cert, err := transfer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	start := func() (ready, func() error, error) {
		return s.tcp(ctx, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	}
	if proto == "webtransport" {
		start = func() (ready, func() error, error) { return s.webTransport(ctx) }
	}
	at, run, err := start()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = run()
		close(ended)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return s, at
}

// inParts sends a file in three parts, the last one first, and looks whether they come to their places.
func inParts(t *testing.T, s *sink, send func(part []byte, offset int64) error) {
	t.Helper()
	file := make([]byte, s.Size)
	_, _ = rand.Read(file)
	third := s.Size / 3
	for i := int64(2); i >= 0; i-- {
		if err := send(file[i*third:min((i+1)*third, s.Size)], i*third); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(s.Dir, "0")); err != nil || !bytes.Equal(got, file) {
		t.Errorf("another file of %d bytes: %v", len(got), err)
	}
	if n := s.came[0].Load(); n != s.Size {
		t.Errorf("%d bytes were counted", n)
	}
}

func TestParsePeers(t *testing.T) {
	chosen, err := parsePeers("quic,browser,tcp-bbr")
	if err != nil || len(chosen) < 5 || chosen[0].name != "quic" || chosen[len(chosen)-1].name != "tcp-bbr" {
		t.Fatalf("%+v, %v", chosen, err)
	}
	for _, p := range chosen[1 : len(chosen)-1] {
		if !p.inBrowser() {
			t.Errorf("%s is no browser", p.name)
		}
	}
	for _, bad := range []string{"", "brows", "quic,,tcp"} {
		if _, err := parsePeers(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestTus(t *testing.T) {
	s, at := receiver(t, "tus", 300_000)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	ask := func(method, path string, offset int, body []byte) error {
		r, err := http.NewRequestWithContext(t.Context(), method, "https://"+at.Addr+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Upload-Offset", fmt.Sprint(offset))
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		if answer.StatusCode/100 != 2 {
			err = fmt.Errorf("%s: %s", method, answer.Status)
		}
		return errors.Join(err, answer.Body.Close())
	}
	inParts(t, s, func(part []byte, offset int64) error {
		path := fmt.Sprintf("/%d", offset)
		half := len(part) / 2
		return errors.Join(ask("POST", path, 0, nil), ask("PATCH", path, 0, part[:half]), ask("PATCH", path, half, part[half:]))
	})
}

func TestWebTransport(t *testing.T) {
	s, at := receiver(t, "webtransport", 300_000)
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	conf := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}
	c, err := quic.DialAddr(ctx, at.Addr, conf, &quic.Config{EnableDatagrams: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseWithError(0, "") }()
	hash := sha256.Sum256(c.ConnectionState().TLS.PeerCertificates[0].Raw)
	if hex.EncodeToString(hash[:]) != at.Key {
		t.Error("not the certificate whose hash was told")
	}
	h3 := (&http3.Transport{EnableDatagrams: true}).NewClientConn(c)
	<-h3.ReceivedSettings()
	if set := h3.Settings(); !set.EnableDatagrams || !set.EnableExtendedConnect || set.Other[settingEnabledDraft02] != 1 {
		t.Errorf("a browser would not open a session: %+v", set)
	}
	session, err := h3.OpenRequestStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	open := &http.Request{Method: http.MethodConnect, Proto: "webtransport", Host: at.Addr, URL: &url.URL{Scheme: "https", Host: at.Addr, Path: "/"}, Header: http.Header{}}
	if err := session.SendRequestHeader(open); err != nil {
		t.Fatal(err)
	}
	if answer, err := session.ReadResponse(); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v", answer, err)
	}
	// ask sends a stream for a place in the file and waits for the answer.
	ask := func(part []byte, offset int64) error {
		stream, err := c.OpenStreamSync(ctx)
		if err != nil {
			return err
		}
		head := quicvarint.Append(quicvarint.Append(nil, streamType), uint64(session.StreamID()))
		_, err = stream.Write(append(binary.BigEndian.AppendUint64(head, uint64(offset)), part...))
		if err := errors.Join(err, stream.Close()); err != nil {
			return err
		}
		_, err = io.ReadFull(stream, make([]byte, 1))
		return err
	}
	inParts(t, s, ask)

	// Where datagrams come, a stream for the end of the file is answered when there were enough.
	s.came[0].Store(s.Size - 1000)
	if err := session.SendDatagram(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := ask(nil, s.Size); err != nil {
		t.Error(err)
	}
}
