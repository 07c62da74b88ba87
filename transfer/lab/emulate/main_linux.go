package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"isthmus/transfer/lab"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "emulate:", err)
		os.Exit(1)
	}
}

func realtime() {
	if err := lab.Realtime(); err != nil {
		fmt.Fprintln(os.Stderr, "emulate: without real-time priority packets may be late:", err)
	}
}

func check(cfg lab.Config) error {
	m, err := lab.Check(cfg, time.Second)
	if err == nil {
		m.Print(os.Stdout)
	}
	return err
}

func run() error {
	var cfg lab.Config
	flag.StringVar(&cfg.A, "a", "lab-a", "name of the namespace at 10.77.0.1")
	flag.StringVar(&cfg.B, "b", "lab-b", "name of the namespace at 10.77.0.2")
	flag.IntVar(&cfg.MTU, "mtu", 1500, "largest packet in bytes")
	flag.Uint64Var(&cfg.Seed, "seed", 1, "of loss and jitter")
	both := flag.String("link", "", "both directions: rate=100M,delay=50ms,queue=250000,loss=0.1,jitter=1ms")
	ab := flag.String("ab", "", "from a to b, on top of -link")
	ba := flag.String("ba", "", "from b to a, on top of -link")
	length := flag.Duration("for", 0, "end by itself after this time; 0: when interrupted")
	measure := flag.Bool("check", false, "measure the link instead: round trip, rate and loss from a to b, for two seconds")
	attach := flag.Bool("attach", false, "measure what joins the namespaces already, such as another emulator; -ab says what rate to offer")
	flag.Parse()
	link, err := lab.ParseLink(*both, lab.Link{})
	if err != nil {
		return err
	}
	if cfg.AB, err = lab.ParseLink(*ab, link); err != nil {
		return err
	}
	if cfg.BA, err = lab.ParseLink(*ba, link); err != nil {
		return err
	}
	if *attach {
		realtime()
		return check(cfg)
	}
	n, err := lab.Open(cfg)
	if err != nil {
		return err
	}
	realtime()
	if *measure {
		err := check(cfg)
		c := n.Counters()
		fmt.Printf("emulator: %d lost, %d dropped, at most %v late\n", c[0].Lost, c[0].Dropped, c[0].LateMax)
		return errors.Join(err, n.Close())
	}
	fmt.Printf("ready: %s 10.77.0.1, %s 10.77.0.2\n", cfg.A, cfg.B)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	var end <-chan time.Time
	if *length > 0 {
		end = time.After(*length)
	}
	select {
	case <-stop:
	case <-end:
	}
	c := n.Counters()
	if err := n.Close(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]lab.Counters{"ab": c[0], "ba": c[1]})
}
