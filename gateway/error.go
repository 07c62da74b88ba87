package gateway

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Code says what kind of thing went wrong. Each protocol maps it once: problem+json in api,
// RFC 6749 in OAuth, a Kaltura exception on the embedded platform.
type Code string

// The complete list of codes.
const (
	Invalid         Code = "invalid"
	Unauthenticated Code = "unauthenticated"
	Forbidden       Code = "forbidden"
	NotFound        Code = "not_found"
	Conflict        Code = "conflict"
	Gone            Code = "gone" // was there and will not come back
	TooLarge        Code = "too_large"
	Precondition    Code = "precondition"
	RateLimited     Code = "rate_limited"
	Unavailable     Code = "unavailable"
	Internal        Code = "internal"
)

// Error is the one error type that leaves a service. Message and NextStep are written for the
// person who reads them and never hold a secret; Err is the cause and only ever logged.
type Error struct {
	Code     Code
	Reason   string   // stable slug finer than Code, e.g. "plan_too_low"; empty = Code
	Message  string   // what happened, one sentence
	NextStep string   // what to do about it, one sentence
	Field    string   // JSON pointer of the offending input, if one is to blame
	More     []*Error // about other inputs of the same request, each with its Field
	Retry    time.Duration
	Err      error
}

// E makes an Error. Reason may be empty.
func E(code Code, reason, message string) *Error {
	return &Error{Code: code, Reason: reason, Message: message}
}

// Next adds what the reader should do.
func (e *Error) Next(format string, args ...any) *Error {
	e.NextStep = fmt.Sprintf(format, args...)
	return e
}

// At names the offending input as a JSON pointer.
func (e *Error) At(pointer string) *Error { e.Field = pointer; return e }

// mostMore is how many inputs one error names.
const mostMore = 1000

// and adds what is wrong with another input of the same request; a nil e becomes that.
func (e *Error) and(other Error) *Error {
	if e == nil {
		return &other
	}
	if len(e.More) < mostMore-1 {
		e.More = append(e.More, &other)
	}
	return e
}

// After says when a repeat is worth while.
func (e *Error) After(d time.Duration) *Error { e.Retry = d; return e }

// RetryAfter is Retry in whole seconds, rounded up, as the HTTP header of that name has it.
func (e *Error) RetryAfter() string {
	return strconv.Itoa(int((e.Retry + time.Second - 1) / time.Second))
}

// Because attaches the cause, for the log only.
func (e *Error) Because(err error) *Error { e.Err = err; return e }

// Error includes the cause and is therefore for logs, not for people.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	s += ": " + e.Message
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError gives the Error inside err; anything else becomes an internal one with a fixed sentence.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{
		Code: Internal, Message: "Something went wrong on our side.",
		NextStep: "Try again in a moment; if it happens again, report the trace id.", Err: err,
	}
}

// CodeOf gives the code of err, Internal for a foreign error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}

// IsReason tells whether err carries the given reason.
func IsReason(err error, reason string) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == reason
}
