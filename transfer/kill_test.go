package transfer

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"isthmus/transfer/rate"
)

// A side that is to be killed runs in a process of its own: this test binary again.
const roleVar, planVar = "TRANSFER_TEST_ROLE", "TRANSFER_TEST_PLAN"

// plan is what such a process is told.
type plan struct {
	Addr    string // of the server
	Folder  string
	Uploads []Upload
	KeyHash KeyHash
	Cert    [][]byte
	Key     []byte // PKCS #8
}

func TestMain(m *testing.M) {
	var p plan
	if role := os.Getenv(roleVar); role != "" {
		go func() { // it ends with the test, however that ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(2)
		}()
		if err := json.Unmarshal([]byte(os.Getenv(planVar)), &p); err != nil {
			panic(err)
		}
		if err := map[string]func(plan) error{"server": p.serve, "sender": p.send}[role](p); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if code == 0 { // whatever way a session or a sender ended
		if err := leaked(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// noLeak gives what fails the test when goroutines of its own are left.
func noLeak(t *testing.T) func() {
	before := goleak.IgnoreCurrent()
	return func() {
		t.Helper()
		if err := leaked(before); err != nil {
			t.Error(err)
		}
	}
}

// leaked names the goroutines that do not end. The library waits for half a second only, in which a busy machine may
// end nothing.
func leaked(but ...goleak.Option) (err error) {
	eventually(func() bool {
		err = goleak.Find(but...)
		return err == nil
	})
	return err
}

func (plan) serve(p plan) error {
	cert, err := parseCertificate(p.Cert, p.Key)
	if err != nil {
		return err
	}
	s, err := Listen(p.Addr, Config{
		Certificate: cert, Files: OpenDir(p.Folder, false), Secret: []byte("the same after a restart"),
		Tickets: &tickets{grants: map[string]Grant{"good": {Uploads: p.Uploads}}},
	})
	if err != nil {
		return err
	}
	fmt.Println(s.Addr())
	return s.Serve(context.Background())
}

func (plan) send(p plan) error {
	s := NewSender(SenderConfig{
		Ticket: Ticket{Token: "good", Address: p.Addr, KeyHash: p.KeyHash},
		Open:   func(u Upload) (File, error) { return os.Open(filepath.Join(p.Folder, u.ID)) },
		Rate:   rate.Config{Policy: rate.Fixed, Target: 200 * rate.Mbit},
	})
	results, err := s.Send(context.Background())
	for _, r := range results {
		if r.Err != nil {
			return r.Err
		}
	}
	return err
}

// child is a process that can be killed without notice.
type child struct {
	cmd  *exec.Cmd
	line string // the first that it printed
	done chan error
}

func startChild(t *testing.T, role string, p plan) *child {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(os.Args[0]), done: make(chan error, 1)}
	c.cmd.Env = append(os.Environ(), roleVar+"="+role, planVar+"="+string(b))
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		_, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if role == "server" {
		c.line, err = bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		c.line = strings.TrimSpace(c.line)
	}
	go func() { c.done <- c.cmd.Wait() }()
	t.Cleanup(c.kill)
	return c
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	c.done <- <-c.done
}

// TestKillsAndCuts kills either side without notice, cuts the network and changes addresses, at random
// moments, over a path that loses, doubles, reorders and corrupts. TRANSFER_CUTS is how often.
func TestKillsAndCuts(t *testing.T) {
	t.Parallel()
	cuts := number("TRANSFER_CUTS", 4)
	seed := uint64(number("TRANSFER_SEED", 1))
	r := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, 10_000_000, 50_000, 5_000_000)
	pl := plan{Addr: "127.0.0.1:0", Uploads: w.uploads, KeyHash: w.key, Cert: w.cfg.Certificate.Certificate, Key: w.pkcs8()}
	var next []int
	for round := 0; cuts > 0; round++ {
		w.in = t.TempDir()
		sp := pl
		sp.Folder = w.in
		server := startChild(t, "server", sp)
		sp.Addr = server.line
		proxy := newProxy(t, mustAddr(t, server.line), faults{
			loss: r.Float64() * 0.2 * float64(r.IntN(2)), duplicate: 0.01, reorder: 0.02, corrupt: 0.01, spareQUIC: true,
		})
		cp := pl
		cp.Addr, cp.Folder = proxy.addr.String(), w.out
		sender := startChild(t, "sender", cp)
		// What a cut costs: what was under way, and if the server dies what it had not synced yet.
		const window = 5 << 20 // 200 Mbit/s for 2 RTT + windowSlack, and what waits in sockets
		allowed := window      // the machine may stop for a while
		var kinds [4]int       // cuts of each
		for alive := true; alive; {
			select {
			case err := <-sender.done:
				sender.done <- err
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				alive = false
			case <-time.After(time.Duration(50+r.IntN(250)) * time.Millisecond):
				if cuts == 0 {
					continue
				}
				cuts--
				allowed += window
				if len(next) == 0 {
					next = r.Perm(len(kinds)) // each kind as often
				}
				kind := next[0]
				next = next[1:]
				kinds[kind]++
				switch kind {
				case 0:
					sender.kill()
					sender = startChild(t, "sender", cp)
				case 1:
					allowed += syncBytes
					server.kill()
					server = startChild(t, "server", sp)
				case 2:
					proxy.cut.Store(true)
					time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
					proxy.cut.Store(false)
				case 3:
					proxy.rebind()
				}
			}
		}
		w.arrived()
		server.kill()
		// Lost and corrupted packets are repeated, and some that were overtaken.
		f := proxy.fault.Load()
		total := float64(15_050_000)
		most := int64(total*(1+1.5*(f.loss+f.corrupt+f.reorder)+0.05)) + int64(allowed)
		sent := proxy.bytes.Load()
		t.Logf("round %d, loss %.2f: %d senders and %d servers killed, %d cuts, %d changes of address: %.2f times the bytes", round, f.loss,
			kinds[0], kinds[1], kinds[2], kinds[3], float64(sent)/total)
		if sent > most {
			t.Errorf("round %d, loss %.2f: %d bytes left, %d allowed", round, f.loss, sent, most)
		}
	}
}
