package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"isthmus/gateway"
)

// The key outlives the process: tickets and pinned hashes go on. It is not made anew over one that somebody damaged.
func TestFastKeyStays(t *testing.T) {
	dir := t.TempDir()
	first, err := openFastKey(dir)
	must(t, err)
	again, err := openFastKey(dir)
	must(t, err)
	if first.hash != again.hash || string(first.secret) != string(again.secret) || len(first.secret) != 32 {
		t.Error("another key after a restart")
	}
	path := filepath.Join(dir, fastKeyName)
	st, err := os.Stat(path)
	must(t, err)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	must(t, os.Chmod(path, 0o640))
	if _, err := openFastKey(dir); !gateway.IsReason(err, "fast_key_permissions") {
		t.Error(err)
	}
	must(t, os.Chmod(path, 0o600))
	must(t, os.WriteFile(path, []byte("rubbish"), 0o600))
	if _, err := openFastKey(dir); !gateway.IsReason(err, "fast_key_damaged") {
		t.Error(err)
	}
}

// A port that the operator named must be free; without the default one everything still goes by HTTPS.
func TestFastPortTaken(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, taken.Close()) }()
	addr := taken.LocalAddr()
	c := serveCommand{dataFlags: dataFlags{Data: t.TempDir()}, BaseURL: "http://localhost:8080"}
	f, err := newFastPath(c, newMetrics(), &gateway.Uploads{}, &gateway.Transfers{}, newLogger(0))
	must(t, err)
	must(t, f.listen(c, addr, http.NotFoundHandler()))
	if addresses, _ := f.endpoint(); len(addresses) != 0 || f.health()["listening"] != false || f.health()["error"] == "" {
		t.Error(addresses, f.health())
	}
	c.FastAddr = addr.String()
	if err := f.listen(c, addr, http.NotFoundHandler()); !gateway.IsReason(err, "port_taken") {
		t.Error(err)
	}
	c.FastAddr = fastOff
	if f, err = newFastPath(c, newMetrics(), &gateway.Uploads{}, &gateway.Transfers{}, newLogger(0)); f != nil || err != nil {
		t.Error(f, err)
	}
	must(t, f.listen(c, addr, http.NotFoundHandler()))
}
