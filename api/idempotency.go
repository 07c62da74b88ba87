package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// harmless are the POST operations that do the same when they run twice, so that one whose answer was
// lost in a crash may simply run again. What creates something new either keeps its answer in the
// transaction of the effect (keepAnswer) or is protected by gateway.MarkEffect.
var harmless = map[string]bool{
	"importMedia":         true, // the same entry of the same kind is the same item
	"finishUpload":        true, // repeated with the same values it changes nothing
	"extendUpload":        true,
	"retryUpload":         true,
	"renewTransferTicket": true,
	"verifyKaltura":       true, // only looks
	"probeKaltura":        true,
	"startReconciliation": true,
	"searchUntagged360":   true,
	"dismissUntagged360":  true,
	"markMedia360":        true,
	"tryDropFolder":       true, // only looks
	"testDropFolder":      true, // only looks
	"scanDropFolder":      true,
	"pauseDropFolder":     true,
	"resumeDropFolder":    true,
	"retryDropFile":       true,
	"takeDropFile":        true,
	"keepDropFile":        true,
	"ignoreDropFile":      true,
	"redeliverWebhook":    true, // receivers know the message by its id
	"replayWebhook":       true,
}

const maxKey = 255

// replayed are the header fields that belong to an answer; the rest is about the connection or the moment.
var replayed = []string{"Content-Type", "Location", "ETag", "Link", "Preference-Applied"}

// held keeps an answer back until it is stored: who has seen it can rely on it.
type held struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *held) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *held) Write(b []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(b)
}

// idempotent answers a repeated POST as the first one was. It runs after the policy, so that a key
// belongs to one caller in one hub.
func (s *Server) idempotent(operation string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			key := r.Header.Get("Idempotency-Key")
			if key == "" || r.Method != http.MethodPost || policies[operation].public || operation == "validateDropManifest" { // only looks, at a body that may be large
				return next(c)
			}
			if len(key) > maxKey {
				return gateway.E(gateway.Invalid, reasonParameter, "The Idempotency-Key is too long.").
					Next("Use at most %d characters, for example a random UUID.", maxKey).At("Idempotency-Key")
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			ctx, once, had, err := s.once.Begin(r.Context(), gateway.KeyedRequest{
				HubID: actorOf(r.Context()).HubID, Caller: callerOf(r.Context()).name(), Operation: operation, Key: key,
				Fingerprint: sha256.Sum256(append([]byte(r.URL.RequestURI()+"\n"), body...)), Natural: harmless[operation],
			})
			if err != nil {
				return err
			}
			if had != nil {
				return replay(c, *had)
			}
			c.SetRequest(r.WithContext(ctx))
			out := c.Response()
			real := out.Writer
			rec := &held{ResponseWriter: real}
			out.Writer = rec
			defer func() { // a panic leaves nothing behind: the next try may do better
				if p := recover(); p != nil {
					_ = once.End(context.WithoutCancel(ctx), gateway.KeptAnswer{})
					out.Writer = real
					panic(p)
				}
			}()
			if err := next(c); err != nil {
				s.renderError(err, c)
			}
			out.Writer = real
			if err := once.End(context.WithoutCancel(ctx), gateway.KeptAnswer{Status: rec.status, Header: keptHeader(out.Header()), Body: rec.body.Bytes()}); err != nil {
				s.log.WarnContext(ctx, "the answer to a request with an Idempotency-Key could not be kept", "error", err)
			}
			real.WriteHeader(rec.status)
			_, err = real.Write(rec.body.Bytes())
			return err
		}
	}
}

func keptHeader(h http.Header) map[string]string {
	kept := map[string]string{}
	for _, name := range replayed {
		if v := h.Get(name); v != "" {
			kept[name] = v
		}
	}
	return kept
}

func replay(c echo.Context, a gateway.KeptAnswer) error {
	h := c.Response().Header()
	for name, v := range a.Header {
		h.Set(name, v)
	}
	h.Set("Idempotency-Replayed", "true")
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	c.Response().WriteHeader(a.Status)
	_, err := c.Response().Write(a.Body)
	return err
}

// keepAnswer says what the answer to a creating operation will be, given what its service makes, so
// that the service can keep it in the transaction of the effect. header are pairs of name and value.
func keepAnswer[T any](ctx context.Context, status int, render func(T) (body any, header []string)) {
	gateway.AnswerWith(ctx, func(v T) (gateway.KeptAnswer, error) {
		body, header := render(v)
		a := gateway.KeptAnswer{Status: status, Header: map[string]string{"Content-Type": "application/json"}}
		for i := 0; i+1 < len(header); i += 2 {
			a.Header[header[i]] = header[i+1]
		}
		raw, err := json.Marshal(body)
		a.Body = append(raw, '\n') // as the generated code writes it
		return a, err
	})
}
