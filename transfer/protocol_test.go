package transfer

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"isthmus/transfer/wire"
)

func protocol(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestProtocolNamesTheCodes: the table of PROTOCOL.md and the code agree.
func TestProtocolNamesTheCodes(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| (\w+) \|.*\| (.*?) ?\|$`).FindAllStringSubmatch(protocol(t), -1)
	for i, r := range rows {
		n, _ := strconv.Atoi(r[1])
		c := Code(n)
		if n != i || c.String() != r[2] || c.Again() != (r[3] == "again") {
			t.Errorf("row %v; the code says %v, again %v", r[1:], c, c.Again())
		}
	}
	if Code(len(rows)) != CodeBlocked { // which is never on the wire
		t.Errorf("%d codes are described", len(rows))
	}
}

// TestProtocolVectors: the examples of PROTOCOL.md are what this implementation does.
func TestProtocolVectors(t *testing.T) {
	exported := make([]byte, wire.ExporterSize)
	for i := range exported {
		exported[i] = byte(i)
	}
	sec, err := wire.SplitSecrets(exported)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(secret []byte, number uint64, head func(n uint64) []byte, body []byte) string {
		s, err := wire.NewSealerAt(secret, number)
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		h := head(n)
		return hex.EncodeToString(s.Seal(h, n, body, h))
	}
	data := func(n uint64) []byte {
		h := make([]byte, wire.DataHeaderSize, 100)
		wire.DataHeader{Session: sec.Session, Number: n, Settled: n - 2, Position: 0x123456}.Put(h)
		return h
	}
	feedback := wire.Feedback{
		Datagram: 1472, Rate: wire.NoLimit, Received: 1 << 20, Late: 1, Clock: 5_000_000,
		Echoes: []wire.Echo{{Number: 300, Held: 1_000_000}, {Number: 290, Held: 3_000_000}}, Start: 280, Runs: []uint64{5, 2, 14},
	}
	want := map[string]string{
		"Data 2":       seal(sec.Client, 2, data, []byte("isthmus")),
		"Data 4194304": seal(sec.Client, 1<<22, data, []byte("isthmus")),
		"Feedback 1": seal(sec.Server, 1, func(n uint64) []byte {
			h := make([]byte, wire.HeaderSize, 200)
			wire.Header{Type: wire.TypeFeedback, Session: sec.Session, Number: n}.Put(h)
			return h
		}, feedback.Append(nil)),
		"Feedback body": hex.EncodeToString(feedback.Append(nil)),
		"Finish body":   hex.EncodeToString(wire.Finish{Upload: 300}.Append(nil)),
		"Manifest body": "01" + hex.EncodeToString(wire.Entry{
			ID: "upl_1", Name: "é.mp4", Size: 1000, Have: []Range{{Start: 0, End: 100}, {Start: 300, End: 1000}},
		}.Append(nil)),
	}
	text := strings.NewReplacer("\n", "", " ", "").Replace(protocol(t))
	for name, v := range want {
		if !strings.Contains(text, strings.ReplaceAll(name, " ", "")+":"+v) {
			t.Errorf("PROTOCOL.md does not have\n%s:\n%s", name, regexp.MustCompile(`.{100}`).ReplaceAllString(fmt.Sprint(v), "$0\n"))
		}
	}
}
