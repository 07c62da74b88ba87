package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
	"isthmus/secrets"
)

// caller is who sent a request: a browser session, a token, or nobody.
type caller struct {
	session *gateway.Session
	token   *secrets.Access
}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey).(caller)
	return c
}

// actorOf gives the actor that the route's policy let through. Routes without a hub have none.
func actorOf(ctx context.Context) gateway.Actor {
	a, _ := ctx.Value(actorKey).(gateway.Actor)
	return a
}

func errSignIn() *gateway.Error {
	return gateway.E(gateway.Unauthenticated, "not_signed_in", "You are not signed in.").
		Next("Sign in at /auth/login, or send a bearer token from /oauth2/token.")
}

// challenge is the WWW-Authenticate header of RFC 6750 and 9728. Reason and scope may be empty.
func (s *Server) challenge(reason, scope string) string {
	h := `Bearer realm="isthmus"`
	if reason != "" {
		h += `, error="` + reason + `"`
	}
	if scope != "" {
		h += `, scope="` + scope + `"`
	}
	return h + `, resource_metadata="` + s.base.String() + resourcePath + `"`
}

// authenticate finds out who calls. It refuses a bad token and a cross-site use of the cookie, and
// lets everybody else through: what they may do is the policy's question.
func (s *Server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		var who caller
		if h := r.Header.Get("Authorization"); h != "" {
			scheme, token, _ := strings.Cut(h, " ")
			if !strings.EqualFold(scheme, "bearer") {
				return gateway.E(gateway.Unauthenticated, "invalid_token", "Only bearer tokens are accepted here.").
					Next("Get a token from /oauth2/token and send it as \"Authorization: Bearer …\".")
			}
			t, err := s.tokens.Verify(r.Context(), strings.TrimSpace(token))
			if err != nil && gateway.CodeOf(err) != gateway.Unauthenticated {
				return err
			}
			if err != nil {
				return gateway.E(gateway.Unauthenticated, "invalid_token", "The access token is wrong or has expired.").
					Next("Get a new one from /oauth2/token.").Because(err)
			}
			who.token = &t
		} else {
			if err := s.sameOrigin.Check(r); err != nil {
				return gateway.E(gateway.Forbidden, "cross_origin", "Another site sent this request.").
					Next("Use the pages of this server, or a bearer token.").Because(err)
			}
			if ck, err := r.Cookie(s.cookieName); err == nil && ck.Value != "" {
				ses, err := s.access.Session(r.Context(), ck.Value)
				switch {
				case err == nil:
					who.session = &ses
				case gateway.CodeOf(err) != gateway.Unauthenticated:
					return err // the database is down, say: not the same as being signed out
				}
			}
		}
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), callerKey, who)))
		return next(c)
	}
}

// actorIn makes the actor of a caller in a hub. A hub that the caller is not in answers as one that does not exist.
func (s *Server) actorIn(ctx context.Context, who caller, hubID string, p policy) (gateway.Actor, error) {
	switch {
	case who.session != nil:
		return s.hubs.ActorIn(ctx, *who.session, hubID)
	case who.token != nil:
		if hubID != who.token.HubID {
			// Asked for in the name of nobody, so that the answer is the very one an unknown hub gets.
			_, err := s.hubs.ActorIn(ctx, gateway.Session{}, hubID)
			if err == nil {
				err = errors.New("nobody is in no hub")
			}
			return gateway.Actor{}, err
		}
		scopes, err := s.access.Stands(ctx, who.token.Bearer(), who.token.Scopes)
		if err != nil {
			return gateway.Actor{}, err
		}
		if who.token.ParticipantID != "" { // with the rights they have now, not those of when it was issued
			a, err := s.hubs.ActorFor(ctx, hubID, who.token.ParticipantID)
			a.ClientID, a.Scopes = who.token.ClientID, scopes
			return a, err
		}
		a := gateway.Actor{
			HubID: hubID, ClientID: who.token.ClientID, Role: gateway.RoleParticipant, Scopes: scopes,
		}
		// A client is no admin; an :admin scope makes it one for just the routes that ask for that scope.
		if p.admin && a.Has(p.scope) {
			a.Role = gateway.RoleAdmin
		}
		return a, nil
	}
	return gateway.Actor{}, errSignIn()
}

// sessionCookie is the name and the Secure mark of the cookie for a base URL. Browsers keep the
// __Host- prefix (bound to this very host, never sent in clear) for https and for this machine;
// over plain http to another machine a Secure cookie would not come back at all.
func sessionCookie(base *url.URL) (name string, secure bool) {
	host := base.Hostname()
	if base.Scheme == "https" || host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1" {
		return "__Host-isthmus", true
	}
	return "isthmus", false
}

// SignIn brings the hubs up to date with a verified identity, starts a session and sets its cookie.
// It is called by the sign-in routes of integrations/spaces.
func (s *Server) SignIn(w http.ResponseWriter, r *http.Request, id gateway.Identity) error {
	if _, err := s.hubs.SignIn(r.Context(), id); err != nil {
		return err
	}
	if old, err := r.Cookie(s.cookieName); err == nil { // never let an older session live on beside the new one
		if err := s.access.EndSession(r.Context(), old.Value); err != nil {
			return err
		}
	}
	token, ses, err := s.access.StartSession(r.Context(), id)
	if err != nil {
		return err
	}
	s.setCookie(w, token, int(time.Until(ses.ExpiresAt).Seconds()))
	return nil
}

// SignOut ends the session of the request's cookie and clears it.
func (s *Server) SignOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.sameOrigin.Check(r); err != nil {
		return gateway.E(gateway.Forbidden, "cross_origin", "Another site sent this request.").
			Next("Use the pages of this server.").Because(err)
	}
	if ck, err := r.Cookie(s.cookieName); err == nil {
		if err := s.access.EndSession(r.Context(), ck.Value); err != nil {
			return err
		}
	}
	s.setCookie(w, "", -1)
	return nil
}

// Problem renders an error as every other of this server: for handlers that are mounted into it.
func (s *Server) Problem(w http.ResponseWriter, r *http.Request, err error) {
	s.writeProblem(w, r, err)
}

func (s *Server) setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName, Value: value, Path: "/", MaxAge: age,
		Secure: s.cookieSecure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
