package api

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tus/tusd/v2/pkg/handler"
)

// deadlines is a connection that remembers what was asked of it.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = append(d.read, t); return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = append(d.write, t); return nil }

// A request that another one took over may be cut off before it is answered, and then its connection
// ends; never after, when the connection serves somebody else.
func TestTusCutsNoLaterRequest(t *testing.T) {
	conn := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	w := &tusWriter{ResponseWriter: conn}
	if err := w.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	w.WriteHeader(423)
	if conn.Header().Get("Connection") != "close" {
		t.Error("a connection that was cut off goes on")
	}

	conn = &deadlines{ResponseRecorder: httptest.NewRecorder()}
	w = &tusWriter{ResponseWriter: conn}
	if err := w.SetReadDeadline(time.Now().Add(time.Minute)); err != nil || len(conn.read) != 1 {
		t.Fatal(err, conn.read)
	}
	w.WriteHeader(204)
	if conn.Header().Get("Connection") != "" {
		t.Error("a good connection is closed")
	}
	_ = w.SetReadDeadline(time.Now())
	_ = w.SetWriteDeadline(time.Now())
	w.stopReading(handler.ErrServerShutdown)
	if len(conn.read) != 1 || len(conn.write) != 0 {
		t.Errorf("deadlines after the answer: %v %v", conn.read, conn.write)
	}
}
