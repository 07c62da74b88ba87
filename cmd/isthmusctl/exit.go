package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"isthmus/openapi"
)

// Exit codes of the program; docs/isthmusctl.md explains them to people, and scripts rely on them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2   // the command line is wrong, or names files that do not exist
	exitSignIn      = 3   // nobody is signed in, or the sign-in has ended
	exitSome        = 4   // some files were sent and some were not
	exitPaused      = 5   // stopped on request; the same command with --resume goes on
	exitUnreachable = 6   // the server does not answer
	exitRefused     = 7   // the server answered no
	exitInterrupted = 130 // stopped at once by a second Ctrl-C
)

// failure is an error for people: what happened, what to do next, and the exit code.
type failure struct {
	code int
	text string
	next string
	slug string // the server's code of the problem, if it is one
	err  error

	retry bool // the same may succeed later, says the server
}

func (f *failure) Error() string {
	s := f.text
	if f.next != "" {
		s += " " + f.next
	}
	return s
}

func (f *failure) Unwrap() error { return f.err }

func fail(code int, text, next string) *failure { return &failure{code: code, text: text, next: next} }

func (f *failure) because(err error) *failure {
	f.err = err
	return f
}

// exitCode is the code of a command's end.
func exitCode(err error) int {
	var f *failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &f):
		return f.code
	case errors.Is(err, context.Canceled):
		return exitPaused
	}
	return exitFailed
}

// refused gives the server's problem as a failure.
func refused(p *openapi.Problem) *failure {
	f := &failure{code: exitRefused, text: p.Title, slug: p.Code, retry: p.Retryable}
	if p.Detail != nil && *p.Detail != "" {
		f.text = *p.Detail
	}
	if p.NextStep != nil {
		f.next = *p.NextStep
	}
	if p.Status == http.StatusUnauthorized {
		f.code, f.next = exitSignIn, `Sign in with "isthmusctl login".`
	}
	return f
}

// answer takes what the generated client gives: the body of the answer that was hoped for, or why not.
func answer[T any](body *T, p *openapi.Problem, r *http.Response) (*T, error) {
	switch {
	case body != nil:
		return body, nil
	case p != nil:
		return nil, refused(p)
	case r != nil && r.StatusCode == http.StatusNotFound:
		return nil, fail(exitRefused, "The server does not know this request.", "It may be older than this program; update the server.")
	case r != nil:
		return nil, fail(exitFailed, "The server answered "+r.Status+".", "Is the address of an Isthmus server? Try again later.")
	}
	return nil, fail(exitFailed, "The server gave no answer.", "Try again.")
}

// unreachable makes what went wrong on the way to a server's answer an error for people: who asked has ended it,
// the sign-in has, or the connection broke.
func unreachable(err error) error {
	var f *failure
	var re *oauth2.RetrieveError
	var ue *url.Error
	var ne net.Error
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &re):
		return signInEnded(re)
	case errors.As(err, &ue):
		host := ue.URL
		if u, perr := url.Parse(ue.URL); perr == nil {
			host = u.Host
		}
		return fail(exitUnreachable, "The server "+host+" cannot be reached: "+strings.TrimPrefix(ue.Err.Error(), "dial tcp: ")+".",
			"Check the address and the connection, then try again.").because(err)
	case errors.As(err, &ne):
		return fail(exitUnreachable, "The server cannot be reached: "+err.Error()+".", "Check the connection, then try again.").because(err)
	}
	return fail(exitUnreachable, "The server's answer broke off: "+err.Error()+".", "Check the connection, then try again.").because(err)
}

// lost tells whether an error is the network's, so that trying again may help.
func lost(err error) bool { return exitCode(err) == exitUnreachable }
