package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"

	"isthmus/transfer"
	"isthmus/transfer/rate"
)

// sendArgs are those of the role "send": the sending side of isthmus, tcp, quic and the browser.
type sendArgs struct {
	Proto, Addr, Key string
	File             string
	Flow             int
	Policy           string       // isthmus
	Target           rate.BitRate // isthmus; 0: the default
	Digest           bool         // isthmus: the SHA-256 too
	Congestion       string       // tcp; "": the system's
	Page             order        // browser
	Profile          string       // browser: folder for what it keeps
}

// sent is what "send" prints when the receiver has confirmed the file.
type sent struct {
	Seconds float64 // from before the handshake
	Sent    int64   // isthmus: bytes of payload
	CPU     float64 // browser: seconds, without its start
}

func send(ctx context.Context, a sendArgs) error {
	start := time.Now()
	var done sent
	var err error
	switch a.Proto {
	case "isthmus":
		done, err = sendFast(ctx, a)
	case "tcp":
		err = sendTCP(ctx, a)
	case "quic":
		err = sendQUIC(ctx, a)
	case "browser":
		done, err = sendInBrowser(ctx, a)
	default:
		err = fmt.Errorf("protocol %q", a.Proto)
	}
	if err != nil {
		return err
	}
	if done.Seconds == 0 {
		done.Seconds = time.Since(start).Seconds()
	}
	return json.NewEncoder(os.Stdout).Encode(done)
}

func sendFast(ctx context.Context, a sendArgs) (sent, error) {
	policy, err := rate.ParsePolicy(a.Policy)
	if err != nil {
		return sent{}, err
	}
	key, err := hex.DecodeString(a.Key)
	if err != nil || len(key) != len(transfer.KeyHash{}) {
		return sent{}, fmt.Errorf("key %q", a.Key)
	}
	s := transfer.NewSender(transfer.SenderConfig{
		Ticket:   transfer.Ticket{Token: strconv.Itoa(a.Flow), Address: a.Addr, KeyHash: transfer.KeyHash(key)},
		Open:     func(transfer.Upload) (transfer.File, error) { return os.Open(a.File) },
		Rate:     rate.Config{Policy: policy, Target: a.Target},
		NoDigest: !a.Digest,
	})
	results, err := s.Send(ctx)
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	return sent{Sent: s.Progress().Sent}, err
}

// anyone accepts the receiver's key as it comes: it was made a moment ago on this machine.
func anyone() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}}
}

func sendTCP(ctx context.Context, a sendArgs) error {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if a.Congestion == "" {
			return nil
		}
		return errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, a.Congestion)
		}), err)
	}}
	raw, err := d.DialContext(ctx, "tcp", a.Addr)
	if err != nil {
		return err
	}
	conf := anyone()
	conf.NextProtos = nil
	c := tls.Client(raw, conf)
	defer func() { _ = c.Close() }()
	context.AfterFunc(ctx, func() { _ = raw.Close() })
	return pour(c, a)
}

func sendQUIC(ctx context.Context, a sendArgs) error {
	conf := windows()
	conf.KeepAlivePeriod = 4 * time.Second
	c, err := quic.DialAddr(ctx, a.Addr, anyone(), conf)
	if err != nil {
		return err
	}
	defer func() { _ = c.CloseWithError(0, "") }()
	s, err := c.OpenStream()
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = c.CloseWithError(0, "") })
	return pour(s, a)
}

// pour writes a flow's number and its file, and waits for the receiver's word.
func pour(c io.ReadWriter, a sendArgs) error {
	f, err := os.Open(a.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := binary.Write(c, binary.BigEndian, uint32(a.Flow)); err != nil {
		return err
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{f}, make([]byte, copySize)); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}
