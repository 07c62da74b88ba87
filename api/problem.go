package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
	"isthmus/openapi"
)

// problemType is where the kinds of problem are explained; together with the code it never changes.
const problemType = "https://isthmus.dev/problems/"

// Reasons that this package itself gives.
const (
	reasonRoute     = "route_not_found"
	reasonMethod    = "method_not_allowed"
	reasonMediaType = "unsupported_media_type"
	reasonIfMatch   = "if_match_required"
	reasonStale     = "stale"

	reasonToken      = "invalid_token"
	reasonTusVersion = "tus_version"
	reasonKeyReused  = "idempotency_key_reused"
	reasonGone       = "events_gone"
	reasonBody       = "bad_body"
	reasonParameter  = "bad_parameter"
)

// failure is an error with several offending inputs.
type failure struct {
	whole  *gateway.Error
	fields []openapi.FieldError
}

func (f *failure) Error() string { return f.whole.Error() }
func (f *failure) Unwrap() error { return f.whole }

// statusOf is the one mapping from domain errors to HTTP.
func statusOf(e *gateway.Error) int {
	switch e.Reason {
	case reasonMethod:
		return http.StatusMethodNotAllowed
	case reasonMediaType:
		return http.StatusUnsupportedMediaType
	case reasonKeyReused:
		return http.StatusUnprocessableEntity
	case reasonIfMatch:
		return http.StatusPreconditionRequired
	case "setup_done", "setup_code_expired":
		return http.StatusGone
	case reasonGone:
		return http.StatusGone
	}
	switch e.Code {
	case gateway.Invalid:
		return http.StatusBadRequest
	case gateway.Unauthenticated:
		return http.StatusUnauthorized
	case gateway.Forbidden:
		return http.StatusForbidden
	case gateway.NotFound:
		return http.StatusNotFound
	case gateway.Conflict:
		return http.StatusConflict
	case gateway.TooLarge:
		return http.StatusRequestEntityTooLarge
	case gateway.Precondition:
		if e.Reason == reasonStale || e.Reason == reasonTusVersion {
			return http.StatusPreconditionFailed
		}
		// Not the request's If-Match failed but something that must be put right first, such as
		// credentials_invalid.
		return http.StatusConflict
	case gateway.RateLimited:
		return http.StatusTooManyRequests
	case gateway.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// nextSteps are for errors that say what is wrong but not what to do.
var nextSteps = map[gateway.Code]string{
	gateway.Invalid:         "Correct the request and repeat it.",
	gateway.Unauthenticated: "Sign in again.",
	gateway.Forbidden:       "Ask an admin of your hub.",
	gateway.NotFound:        "Check the address; it may have been removed.",
	gateway.Conflict:        "Load it again, look at its state and repeat.",
	gateway.TooLarge:        "Send less.",
	gateway.Precondition:    "Load it again and repeat.",
	gateway.RateLimited:     "Wait a moment, then repeat.",
	gateway.Unavailable:     "Try again in a moment; nothing is lost.",
	gateway.Internal:        "Try again; if it happens again, report the trace_id.",
}

// domainError turns what echo and net/http fail with into ours.
func domainError(err error) *gateway.Error {
	var own *gateway.Error
	if errors.As(err, &own) {
		return own
	}
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return gateway.E(gateway.TooLarge, "body_too_large", "The request body is too large.").Next("Send less in one request.")
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return gateway.E(gateway.Unavailable, "interrupted", "The request was interrupted.").Next("Try again in a moment.").Because(err)
	}
	var he *echo.HTTPError
	if errors.As(err, &he) {
		switch he.Code {
		case http.StatusNotFound:
			return gateway.E(gateway.NotFound, reasonRoute, "There is nothing at this address.").Next("Check the path; /openapi.yaml lists them all.")
		case http.StatusMethodNotAllowed:
			return gateway.E(gateway.Invalid, reasonMethod, "This address does not take this method.").Next("See the Allow header.")
		case http.StatusUnsupportedMediaType:
			return gateway.E(gateway.Invalid, reasonMediaType, "The body's content type is not understood here.").Next("Send application/json.")
		case http.StatusBadRequest: // the generated parameter parser: its text names the parameter
			text, _ := he.Message.(string)
			return gateway.E(gateway.Invalid, reasonParameter, text).Next("Check the parameter; /openapi.yaml describes the request.").Because(err)
		}
	}
	return gateway.AsError(err)
}

// renderError writes any error as problem+json. It is echo's error handler and used by the few
// handlers that are not echo's.
func (s *Server) renderError(err error, c echo.Context) {
	if c.Response().Committed {
		if !errors.Is(err, context.Canceled) {
			s.log.WarnContext(c.Request().Context(), "failed after the answer had begun", "error", err)
		}
		return
	}
	s.writeProblem(c.Response(), c.Request(), err)
}

func (s *Server) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	e := domainError(err)
	status := statusOf(e)
	t := traceOf(r.Context())
	if status >= 500 && !errors.Is(err, context.Canceled) { // mostly the client's going away
		s.log.ErrorContext(r.Context(), "request failed", "error", e.Error())
	} else if e.Err != nil {
		s.log.DebugContext(r.Context(), "request refused", "error", e.Error())
	}
	code := e.Reason
	if code == "" {
		code = string(e.Code)
	}
	next := e.NextStep
	if next == "" {
		next = nextSteps[e.Code]
	}
	p := openapi.Problem{
		Type: problemType + code, Title: http.StatusText(status), Status: status, Code: code, TraceID: t.trace,
		Retryable: e.Code == gateway.Unavailable || e.Code == gateway.RateLimited || e.Retry > 0,
		Detail:    text(e.Message), NextStep: text(next), Instance: text(t.instance),
	}
	var f *failure
	switch {
	case errors.As(err, &f):
		p.Errors = &f.fields
	case e.Field != "":
		fields := make([]openapi.FieldError, 0, 1+len(e.More))
		for _, f := range append([]*gateway.Error{e}, e.More...) {
			fields = append(fields, openapi.FieldError{Pointer: f.Field, Detail: f.Message})
		}
		p.Errors = &fields
	}
	h := w.Header()
	if e.Retry > 0 {
		h.Set("Retry-After", e.RetryAfter())
	} else if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", "5")
	}
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		reason := ""
		if e.Reason == reasonToken {
			reason = reasonToken
		}
		h.Set("WWW-Authenticate", s.challenge(reason, ""))
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	h.Del("Content-Length")
	body, merr := json.Marshal(p)
	if merr != nil {
		s.log.ErrorContext(r.Context(), "problem not rendered", "error", merr)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		if _, werr := w.Write(body); werr != nil {
			s.log.DebugContext(r.Context(), "problem not delivered", slog.Any("error", werr))
		}
	}
}

// text is nil for an empty text: absent fields are absent, not empty.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
