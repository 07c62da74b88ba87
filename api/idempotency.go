package api

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// repeatable are the operations that create or start something and therefore take an Idempotency-Key.
var repeatable = map[string]bool{"createInvite": true, "importMedia": true, "createUpload": true, "finishUpload": true}

const (
	keepAnswers    = 24 * time.Hour
	maxAnswers     = 10_000 // the oldest go first
	maxAnswerBytes = 64 << 10
)

// answers remembers what was answered to requests with an Idempotency-Key, so that a client that
// lost an answer can ask again without creating twice. It is kept in this process only: after a
// restart a repeated request is a new one. The zero value is ready; safe for concurrent use.
type answers struct {
	mu    sync.Mutex
	byKey map[string]*answered
	order []string
}

type answered struct {
	request [sha256.Size]byte
	at      time.Time
	done    bool
	status  int
	header  http.Header
	body    []byte
}

// begin gives the earlier answer, or nil after noting that this request is under way.
func (a *answers) begin(key string, request [sha256.Size]byte, now time.Time) *answered {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byKey == nil {
		a.byKey = map[string]*answered{}
	}
	for len(a.order) > 0 {
		oldest := a.byKey[a.order[0]]
		if oldest != nil && len(a.order) <= maxAnswers && now.Sub(oldest.at) < keepAnswers {
			break
		}
		delete(a.byKey, a.order[0])
		a.order = a.order[1:]
	}
	if had := a.byKey[key]; had != nil {
		same := *had
		return &same
	}
	a.byKey[key] = &answered{request: request, at: now}
	a.order = append(a.order, key)
	return nil
}

// end keeps an answer, or forgets the request when it may well succeed next time.
func (a *answers) end(key string, status int, header http.Header, body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	one := a.byKey[key]
	if one == nil {
		return
	}
	if status == 0 || status >= 500 || status == http.StatusTooManyRequests || len(body) > maxAnswerBytes {
		delete(a.byKey, key) // its place in order goes when it is the oldest
		return
	}
	one.done, one.status, one.header, one.body = true, status, header, body
}

// recorder copies what is answered.
type recorder struct {
	http.ResponseWriter
	body bytes.Buffer
}

func (r *recorder) Write(b []byte) (int, error) {
	r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// idempotent answers a repeated request as the first one was. Runs after the policy, so that a key
// belongs to one caller in one hub.
func (s *Server) idempotent(operation string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			key := r.Header.Get("Idempotency-Key")
			if key == "" || !repeatable[operation] {
				return next(c)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			a := actorOf(r.Context())
			key = a.HubID + " " + a.Subject() + " " + operation + " " + key
			request := sha256.Sum256(append([]byte(r.URL.Path+"\n"), body...))
			if had := s.answers.begin(key, request, time.Now()); had != nil {
				return replay(c, had, request)
			}
			finished := false
			defer func() {
				if !finished { // a panic: the next try may do better
					s.answers.end(key, 0, nil, nil)
				}
			}()
			rec := &recorder{ResponseWriter: c.Response().Writer}
			c.Response().Writer = rec
			if err := next(c); err != nil {
				c.Error(err)
			}
			finished = true
			s.answers.end(key, c.Response().Status, c.Response().Header().Clone(), rec.body.Bytes())
			return nil
		}
	}
}

func replay(c echo.Context, had *answered, request [sha256.Size]byte) error {
	switch {
	case had.request != request:
		return gateway.E(gateway.Invalid, reasonKeyReused, "This Idempotency-Key was used for another request.").
			Next("Use a new key for a new request.").At("Idempotency-Key")
	case !had.done:
		return gateway.E(gateway.Conflict, "request_in_progress", "The first request with this Idempotency-Key is still under way.").
			Next("Repeat it in a moment.").After(time.Second)
	}
	h := c.Response().Header()
	for _, name := range []string{"Content-Type", "Location", "ETag"} {
		if v := had.header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	h.Set("Idempotency-Replayed", "true")
	c.Response().WriteHeader(had.status)
	_, err := c.Response().Write(had.body)
	return err
}
