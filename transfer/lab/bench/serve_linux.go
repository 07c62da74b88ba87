package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer"
)

// What is sent is cut into flows, numbered from 0: one for a measurement of goodput, several for one of
// fairness. Each has one file, named by its number.

// serveArgs are those of the role "serve": the receiving side.
type serveArgs struct {
	Proto  string // isthmus, tcp (with TLS 1.3), quic (a stream), https, tus, webtransport
	Addr   string
	Dir    string // where files go; "": what comes is counted and forgotten
	Flows  int
	Size   int64 // of each file
	Digest bool  // isthmus: read files for their SHA-256
}

// ready is the first line that "serve" prints; the others are tallies.
type ready struct {
	Addr string
	Key  string // isthmus: the key hash in hex; webtransport: the certificate's
}

const tallyEvery = 100 * ms

type sink struct {
	serveArgs
	came []atomic.Int64
}

// serve receives until ctx ends.
func serve(ctx context.Context, a serveArgs) error {
	cert, err := transfer.NewCertificate()
	if err != nil {
		return err
	}
	s := &sink{serveArgs: a, came: make([]atomic.Int64, a.Flows)}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
	var at ready
	var run func() error
	switch a.Proto {
	case "isthmus":
		at, run, err = s.isthmus(ctx, cert)
	case "quic":
		at, run, err = s.quic(ctx, conf)
	case "webtransport":
		at, run, err = s.webTransport(ctx)
	case "tcp", "https", "tus":
		at, run, err = s.tcp(ctx, conf)
	default:
		return fmt.Errorf("protocol %q", a.Proto)
	}
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(at); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- run() }()
	tick := time.NewTicker(tallyEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				err = nil // closed because it was asked to
			}
			return err
		case <-tick.C:
			t := tally{At: time.Now(), Bytes: make([]int64, a.Flows)}
			for i := range t.Bytes {
				t.Bytes[i] = s.came[i].Load()
			}
			if err := out.Encode(t); err != nil {
				return err
			}
		}
	}
}

// isthmus is the fast path's server.
func (s *sink) isthmus(ctx context.Context, cert tls.Certificate) (ready, func() error, error) {
	files := counted{Files: forget{}, came: s.came}
	if s.Dir != "" {
		files.Files = transfer.OpenDir(s.Dir, !s.Digest)
	}
	srv, err := transfer.Listen(s.Addr, transfer.Config{Certificate: cert, Tickets: s, Files: files})
	if err != nil {
		return ready{}, nil, err
	}
	key, err := transfer.HashKey(cert)
	return ready{srv.Addr().String(), hex.EncodeToString(key[:])}, func() error { return srv.Serve(ctx) }, err
}

// Open implements transfer.Tickets: a token is a flow's number.
func (s *sink) Open(_ context.Context, token string) (transfer.Grant, error) {
	if flow, err := strconv.Atoi(token); err != nil || flow < 0 || flow >= s.Flows {
		return transfer.Grant{}, &transfer.Error{Code: transfer.CodeTicket, Text: "no such flow"}
	}
	return transfer.Grant{
		Uploads: []transfer.Upload{{ID: token, Name: token, Size: s.Size}},
		Expires: time.Now().Add(24 * time.Hour),
	}, nil
}

// counted counts what comes.
type counted struct {
	transfer.Files
	came []atomic.Int64
}

func (c counted) WriteAt(ctx context.Context, id string, p []byte, offset int64) error {
	flow, err := strconv.Atoi(id)
	if err != nil {
		return err
	}
	c.came[flow].Add(int64(len(p)))
	return c.Files.WriteAt(ctx, id, p, offset)
}

// forget keeps nothing: for flows that last as long as somebody looks at them.
type forget struct{}

func (forget) Durable(context.Context, string) ([]transfer.Range, error)     { return nil, nil }
func (forget) WriteAt(context.Context, string, []byte, int64) error          { return nil }
func (forget) Sync(context.Context, string) error                            { return nil }
func (forget) Finish(context.Context, string, int64, []byte) ([]byte, error) { return nil, nil }
func (forget) Cancel(context.Context, string) error                          { return nil }

// quic takes a stream per connection.
func (s *sink) quic(ctx context.Context, conf *tls.Config) (ready, func() error, error) {
	conf.NextProtos = []string{alpn}
	l, err := quic.ListenAddr(s.Addr, conf, windows())
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
				stream, err := c.AcceptStream(ctx)
				if err == nil {
					err = s.take(stream)
				}
				complain(err)
			}()
		}
	}
	return ready{Addr: l.Addr().String()}, run, nil
}

const alpn = "bench"

// windows let one stream fill the longest link of the bench.
func windows() *quic.Config {
	return &quic.Config{MaxStreamReceiveWindow: 64 << 20, MaxConnectionReceiveWindow: 128 << 20}
}

// tcp takes streams as quic does, or files by PUT.
func (s *sink) tcp(ctx context.Context, conf *tls.Config) (ready, func() error, error) {
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return ready{}, nil, err
	}
	context.AfterFunc(ctx, func() { _ = l.Close() })
	at := ready{Addr: l.Addr().String()}
	if s.Proto != "tcp" {
		conf.NextProtos = []string{"http/1.1"} // a connection for each stream, no second flow control
		srv := &http.Server{Handler: map[string]http.HandlerFunc{"https": s.put, "tus": s.tus}[s.Proto], TLSConfig: conf, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
		return at, func() error { return srv.ServeTLS(l, "", "") }, nil
	}
	l = tls.NewListener(l, conf)
	run := func() error {
		for {
			c, err := l.Accept()
			if err != nil {
				return err
			}
			go func() {
				defer func() { _ = c.Close() }()
				complain(s.take(c))
			}()
		}
	}
	return at, run, nil
}

// put takes PUT /flow.
func (s *sink) put(w http.ResponseWriter, r *http.Request) {
	flow, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil || flow < 0 || flow >= s.Flows || r.Method != http.MethodPut {
		http.Error(w, "PUT /0", http.StatusBadRequest)
		return
	}
	if err := s.store(flow, r.Body, s.Size); err != nil {
		complain(err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// take reads a flow's number, then its file, and says that it has it.
func (s *sink) take(c io.ReadWriter) error {
	var flow uint32
	if binary.Read(c, binary.BigEndian, &flow) != nil {
		return nil // somebody only looked whether a connection can be had
	}
	if int(flow) >= s.Flows {
		return fmt.Errorf("flow %d", flow)
	}
	if err := s.store(int(flow), c, s.Size); err != nil {
		return err
	}
	_, err := c.Write([]byte{1})
	return err
}

// store writes size bytes to a flow's file.
func (s *sink) store(flow int, r io.Reader, size int64) (err error) {
	to := io.Discard
	if s.Dir != "" {
		f, err := os.Create(filepath.Join(s.Dir, strconv.Itoa(flow)))
		if err != nil {
			return err
		}
		defer func() {
			if e := f.Close(); err == nil {
				err = e
			}
		}()
		to = f
	}
	n, err := io.CopyBuffer(&countedWriter{to, &s.came[flow]}, struct{ io.Reader }{io.LimitReader(r, size)}, make([]byte, copySize))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

const copySize = 256 << 10

type countedWriter struct {
	io.Writer
	n *atomic.Int64
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.n.Add(int64(n))
	return n, err
}

// complain says what went wrong with one flow; whoever started this process shows it if the run fails.
func complain(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
