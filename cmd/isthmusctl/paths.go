package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"isthmus/transfer/rate"
)

// pathMemory keeps for a day what the way to a server carried, so that the next transfer begins near its
// rate. It is a hint: when it cannot be read or kept, nothing is lost but a second.
type pathMemory struct{ vault vault }

type knownPath struct {
	Rate rate.BitRate  `json:"rate_bps"`
	RTT  time.Duration `json:"rtt_ns"`
	At   time.Time     `json:"at"`
}

var pathMu sync.Mutex

func (m pathMemory) file() string { return filepath.Join(m.vault.dir, "paths.json") }

func (m pathMemory) read() map[string]knownPath {
	all := map[string]knownPath{}
	b, err := os.ReadFile(m.file())
	if m.vault.dir == "" || err != nil || json.Unmarshal(b, &all) != nil {
		return map[string]knownPath{}
	}
	for server, p := range all {
		if time.Since(p.At) > 24*time.Hour {
			delete(all, server)
		}
	}
	return all
}

func (m pathMemory) recall(server string) rate.History {
	pathMu.Lock()
	defer pathMu.Unlock()
	p := m.read()[server]
	return rate.History{Rate: p.Rate, RTT: p.RTT}
}

func (m pathMemory) remember(server string, h rate.History) {
	if h == (rate.History{}) || m.vault.dir == "" {
		return
	}
	pathMu.Lock()
	defer pathMu.Unlock()
	all := m.read()
	all[server] = knownPath{h.Rate, h.RTT, time.Now().UTC()}
	if os.MkdirAll(m.vault.dir, 0o700) == nil {
		_ = writePrivate(m.file(), all)
	}
}
