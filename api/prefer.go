package api

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// maxWait is how long an answer is held back at most, whatever a client prefers: proxies cut what is
// silent for a minute.
const maxWait = 50 * time.Second

// preference is what the field Prefer asks of an operation that starts or watches work (RFC 7240).
type preference struct {
	wait  time.Duration // until the work is over or the time is
	async bool          // answer at once or after wait, not only when it is done: which is what we do anyhow
}

func prefers(field *string) (p preference) {
	for one := range strings.SplitSeq(deref(field), ",") {
		one, _, _ = strings.Cut(one, ";") // parameters mean nothing to us
		name, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "wait":
			if n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`)); err == nil && n > 0 && p.wait == 0 {
				p.wait = min(time.Duration(min(n, 3600))*time.Second, maxWait)
			}
		case "respond-async":
			p.async = true
		}
	}
	return p
}

// prefer says what of Prefer is taken into account, by the operations that name the parameter.
func prefer(op operation) echo.MiddlewareFunc {
	takes := slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Name == "Prefer" })
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if !takes {
			return next
		}
		return func(c echo.Context) error {
			h := c.Request().Header.Get("Prefer")
			if applied := prefers(&h).applied(); applied != "" {
				c.Response().Header().Set("Preference-Applied", applied)
			}
			return next(c)
		}
	}
}

// applied is the field Preference-Applied; empty when there is nothing to apply.
func (p preference) applied() string {
	var out []string
	if p.async {
		out = append(out, "respond-async")
	}
	if p.wait > 0 {
		out = append(out, "wait="+strconv.Itoa(int(p.wait.Seconds())))
	}
	return strings.Join(out, ", ")
}

// await asks look until it says that it is over, as long as the caller prefers to wait. It looks again
// when something happens in the hub that the caller may hear of, and every few seconds all the same.
func (s *Server) await(ctx context.Context, a gateway.Actor, p preference, look func(context.Context) (over bool, _ error)) error {
	over, err := look(ctx)
	if over || err != nil || p.wait == 0 {
		return err
	}
	leave, ok := s.streams.enter("wait "+a.HubID+" "+a.Subject(), maxStreams)
	if !ok {
		return nil // too many wait already: the answer is as of now
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	stop := context.AfterFunc(s.closing, cancel)
	defer stop()
	news, err := s.events.Listen(ctx, a, gateway.FromNow)
	if err != nil {
		return err
	}
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		// Looked at once more after the listening began, so that nothing falls between.
		if over, err := look(context.WithoutCancel(ctx)); over || err != nil {
			return err
		}
		select {
		case _, ok := <-news:
			if !ok {
				return nil
			}
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
