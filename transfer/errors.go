package transfer

import (
	"errors"
	"fmt"

	"github.com/quic-go/quic-go"
)

// Code says why a session or an upload ended (PROTOCOL.md, 8).
type Code uint64

// The codes.
const (
	CodeDone Code = iota
	CodeProtocol
	CodeTicket
	CodeTakenOver
	CodeBusy
	CodeStorage
	CodeCancelled
	CodeRetry
	CodeSlow
	CodeTooLarge
	CodeDigest
	CodeChanged
	CodeRefused
	CodeInternal
	CodeRate
	CodeBlocked // never on the wire: this network does not let the packets through
)

var codeNames = [...]string{
	"done", "protocol", "ticket", "taken_over", "busy", "storage", "cancelled", "retry", "slow", "too_large", "digest",
	"changed", "refused", "internal", "rate", "blocked",
}

// String is the code's name in PROTOCOL.md.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint64(c))
}

// Again tells whether trying again may help.
func (c Code) Again() bool {
	return c == CodeBusy || c == CodeStorage || c == CodeRetry || c == CodeInternal || c == CodeBlocked
}

// Error is a failure that both sides know by its code.
type Error struct {
	Code Code
	Text string // for people; it goes to the other side
	Err  error  // the cause; it does not
}

func (e *Error) Error() string {
	s := "transfer: " + e.Code.String()
	if e.Text != "" {
		s += ": " + e.Text
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf is the code of an error: CodeInternal when it has none, CodeDone of nil.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return CodeDone
	case errors.As(err, &e):
		return e.Code
	}
	return CodeInternal
}

func fail(code Code, text string) *Error { return &Error{Code: code, Text: text} }

// asError gives err as an *Error; what has no code gets this one, and its text stays here.
func asError(err error, code Code, text string) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: code, Text: text, Err: err}
}

// closed translates the end of a QUIC connection: what the other side said, or that it broke (CodeRetry).
func closed(err error) error {
	var app *quic.ApplicationError
	if errors.As(err, &app) {
		if app.Remote && app.ErrorCode == 0 {
			return fail(CodeRetry, "the other side closed the connection")
		}
		return &Error{Code: Code(app.ErrorCode), Text: app.ErrorMessage}
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Code: CodeRetry, Text: "the connection broke", Err: err}
}
