package transfer

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer/rate"
)

// The loopback benchmarks move one file from a folder to another, both in this process, without a
// digest: TCP with TLS 1.3, a stream of quic-go, and the fast path. They report Mbit/s and the CPU
// seconds of both sides per GB (10^9 bytes). BENCH_MIB is the file's size, BENCH_GBIT the target rate of the fast
// path with the fixed policy (0: policy high).
//
//	TMPDIR=/dev/shm go test ./transfer -run ^$ -bench Loopback -benchtime 3x

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// measure runs f b.N times; each moves n bytes.
func measure(b *testing.B, n int, f func(i int)) {
	b.SetBytes(int64(n))
	before, start := cpu(), time.Now()
	b.ResetTimer()
	for i := range b.N {
		f(i)
	}
	b.StopTimer()
	used, took := cpu()-before, time.Since(start)
	gb := float64(n) * float64(b.N) / 1e9
	b.ReportMetric(gb*8e3/took.Seconds(), "Mbit/s")
	b.ReportMetric(used.Seconds()/gb, "cpu-s/GB")
}

func benchFile(b *testing.B) (w *world, n int) {
	n = number("BENCH_MIB", 256) << 20
	return newWorld(b, n), n
}

func BenchmarkLoopbackFast(b *testing.B) {
	w, n := benchFile(b)
	w.noDigest = true
	u := w.uploads[0]
	for i := range b.N {
		id := "run_" + strconv.Itoa(i)
		w.tickets.grants[id] = Grant{Uploads: []Upload{{ID: id, Size: u.Size}}}
	}
	w.start()
	measure(b, n, func(i int) {
		c := w.sender(w.server.Addr())
		c.NoDigest = true
		c.Ticket.Token = "run_" + strconv.Itoa(i)
		c.Open = func(Upload) (File, error) { return w.open(u) }
		if g := number("BENCH_GBIT", 0); g > 0 {
			c.Rate = rate.Config{Policy: rate.Fixed, Target: rate.BitRate(g) * rate.Gbit}
		}
		s := NewSender(c)
		if _, err := s.Send(context.Background()); err != nil {
			b.Fatal(err)
		}
		p := s.Progress()
		b.ReportMetric(float64(p.Repeated)/float64(p.Sent)*100, "repeated-%")
		b.StopTimer()
		w.must(os.Remove(filepath.Join(w.in, "run_"+strconv.Itoa(i))))
		b.StartTimer()
	})
}

// sink writes what a stream brings to a file and answers with one byte.
func sink(w *world, rw io.ReadWriter, name string, n int) error {
	f, err := os.Create(filepath.Join(w.in, name))
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	defer func() { _ = f.Close() }()
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(rw, int64(n)), make([]byte, 256<<10)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	_, err = rw.Write([]byte{1})
	return err
}

func pour(w *world, rw io.ReadWriter) error {
	f, err := w.open(w.uploads[0])
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := io.CopyBuffer(struct{ io.Writer }{rw}, f.(*os.File), make([]byte, 256<<10)); err != nil {
		return err
	}
	_, err = io.ReadFull(rw, make([]byte, 1))
	return err
}

func BenchmarkLoopbackTCP(b *testing.B) {
	w, n := benchFile(b)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{w.cfg.Certificate}, MinVersion: tls.VersionTLS13})
	w.must(err)
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if err := sink(w, c, "tcp", n); err != nil {
				b.Error(err)
			}
			_ = c.Close()
		}
	}()
	measure(b, n, func(int) {
		raw, err := net.Dial("tcp", l.Addr().String())
		w.must(err)
		conf := clientTLS(w.key)
		conf.NextProtos = nil
		c := tls.Client(raw, conf)
		w.must(pour(w, c))
		_ = c.Close()
	})
}

func BenchmarkLoopbackQUIC(b *testing.B) {
	w, n := benchFile(b)
	l, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{w.cfg.Certificate}, NextProtos: []string{ALPN}}, &quic.Config{
		MaxStreamReceiveWindow: 64 << 20, MaxConnectionReceiveWindow: 128 << 20,
	})
	w.must(err)
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			s, err := c.AcceptStream(context.Background())
			if err == nil {
				err = sink(w, s, "quic", n)
			}
			if err != nil {
				b.Error(err)
			}
		}
	}()
	measure(b, n, func(int) {
		c, err := quic.DialAddr(context.Background(), l.Addr().String(), clientTLS(w.key), nil)
		w.must(err)
		s, err := c.OpenStream()
		w.must(err)
		w.must(pour(w, s))
		_ = c.CloseWithError(0, "")
	})
}
