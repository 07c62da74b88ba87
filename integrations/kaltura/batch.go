package kaltura

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
)

// sub is one call of several that travel together. Its params may refer to an earlier result as
// "{1:result:id}".
type sub struct {
	op     string
	params params
}

// subAnswer is what became of it.
type subAnswer struct {
	sub
	answer
	err error
}

func (s subAnswer) decode(out any) error {
	if s.err != nil {
		return s.err
	}
	return s.answer.decode(s.op, out)
}

// together posts calls as one multirequest: done one after the other by the server whether or not
// we hear of it, and not repeated. A call that fails does not stop those after it.
func (p *Platform) together(ctx context.Context, w who, calls []sub) ([]subAnswer, error) {
	const op = "multirequest"
	body := params{}
	for i, c := range calls {
		service, action, _ := strings.Cut(c.op, ".")
		one := params{"service": service, "action": action}
		for k, v := range c.params {
			one[k] = v
		}
		body[strconv.Itoa(i+1)] = one
	}
	var out []subAnswer
	err := p.with(ctx, w, func(s session) error {
		a, err := p.guard.once(ctx, op, func(ctx context.Context) (answer, error) { return p.call(ctx, op, body, s.ks.Reveal()) })
		if err != nil {
			return err
		}
		var parts []json.RawMessage
		if err := a.decode(op, &parts); err != nil {
			return err
		}
		if len(parts) != len(calls) {
			return &fault{Op: op, Kind: faultGarbled, Status: 200}
		}
		out = out[:0]
		for i, part := range parts {
			out = append(out, subAnswer{calls[i], answer{body: part, date: a.date}, check(calls[i].op, part)})
		}
		return firstRefusal(out)
	})
	return out, err
}

// firstRefusal is an error of the session itself: then nothing was done, and all may be done again
// with a new one.
func firstRefusal(got []subAnswer) error {
	if renewable(got[0].err) {
		return got[0].err
	}
	return nil
}
