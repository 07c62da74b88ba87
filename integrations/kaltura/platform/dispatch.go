package platform

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Who may call an action.
const (
	anybody = iota // also without a session
	anySession
	userSession // not a widget session
	adminOnly
	operatorOnly // the operator's console or batch, acting for an account
	consoleOnly
)

// The operator's own accounts, numbered as in the original. Their sessions name in partnerId the
// account that they act for.
const (
	batchPartner   = -1
	consolePartner = -2
)

// action is one action of a service.
type action struct {
	service, name string
	who           int
	needs         []string // mandatory parameters; "x{}" is an object, "x@" a file
	operators     bool     // the operator may call it for an account; all else is closed to the operator
	run           func(c *call) (any, error)
}

// call is one action being run.
type call struct {
	context.Context
	*Platform
	act      *action
	args     args
	file     map[string]*upload
	account  *account // of the session or of the partner asked for; nil when anonymous
	ks       *ks      // nil when anonymous
	operator int64    // batchPartner or consolePartner when one of them calls, else 0
	now      time.Time
	uri      string
	address  string // of the caller
	marks    *marks
}

// marks are what an action wants to say in headers.
type marks struct {
	app   string // X-Kaltura-App
	error string // X-Kaltura
	bare  bool   // XML without declaration: answered by the short cut for sessions
}

// partner gives the partner that the call acts for, 0 when anonymous.
func (c *call) partner() int64 {
	if c.account == nil {
		return 0
	}
	return c.account.Partner
}

// user gives the user of the session.
func (c *call) user() string {
	if c.ks == nil {
		return ""
	}
	return c.ks.user
}

func (c *call) admin() bool { return c.ks != nil && c.ks.admin() }

func (c *call) tables() Tables { return c.Records.Kaltura() }

func (p *Platform) register() {
	p.actions, p.services = map[string]*action{}, map[string]bool{"multirequest": true}
	for _, group := range [][]*action{
		systemActions(), sessionActions(), appTokenActions(), userActions(), uploadActions(),
		entryActions("media"), entryActions("baseEntry"), flavorActions(), profileActions(), partnerActions(),
		dropFolderActions(), dropFileActions(), bulkActions("bulkupload_bulk"), bulkActions("bulkUpload"), categoryActions(), captionActions(),
		thumbActions(), metadataActions(),
	} {
		for _, a := range group {
			p.actions[strings.ToLower(a.service+"."+a.name)] = a
			p.services[strings.ToLower(a.service)] = true
		}
	}
}

const noStore = "no-store, no-cache, must-revalidate, post-check=0, pre-check=0"

var callbackName = regexp.MustCompile(`^[0-9_a-zA-Z.]+$`)

// serveAPI answers one request of the API. Errors have status 200, as Kaltura sends them.
func (p *Platform) serveAPI(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	h := w.Header()
	forget(h)
	q, err := p.decode(r)
	defer q.close()
	m := &marks{}
	format := q.params.numOr("format", 2)
	callback := q.direct["callback"]
	switch {
	case format != 1 && format != 2 && format != 3 && format != 9:
		h.Set("X-Kaltura", "error- UNKNOWN_RESPONSE_FORMAT")
		h.Set("X-Kaltura-App", "exiting on error UNKNOWN_RESPONSE_FORMAT - Response format provided ["+strconv.FormatInt(format, 10)+"] is not recognized by server")
		h.Set("Content-Type", "text/html; charset=UTF-8")
		return
	case format == 9 && !callbackName.MatchString(callback):
		h.Set("X-Kaltura", "error- MANDATORY_PARAMETER_MISSING")
		h.Set("X-Kaltura-App", "exiting on error MANDATORY_PARAMETER_MISSING - Mandatory parameter missing [callback]")
		h.Set("Content-Type", "text/html; charset=UTF-8")
		return
	}
	var answer any
	if err == nil {
		if strings.EqualFold(q.params.str("service"), "multirequest") {
			answer, err = p.batch(q, m)
		} else {
			answer, err = p.call(q, q.params, q.file, m)
		}
	}
	if errors.Is(err, errBatchLost) {
		h.Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if err != nil {
		answer = p.fault(r.Context(), err)
	}
	if m.bare {
		// Which answers are short is seen in the header too; the name of the cache line is ours.
		h.Set("X-Kaltura", "cached-dispatcher,"+randomHex()+","+strconv.FormatFloat(time.Since(started).Seconds(), 'g', -1, 64))
	}
	if m.error != "" {
		h.Set("X-Kaltura", m.error)
	}
	if m.app != "" {
		h.Set("X-Kaltura-App", m.app)
	}
	if d, ok := answer.(*document); ok {
		d.write(h, w, p.Clock())
		return
	}
	var b strings.Builder
	switch format {
	case 1:
		h.Set("Content-Type", "application/json")
		writeJSON(&b, answer)
	case 9:
		h.Set("Content-Type", "application/javascript")
		b.WriteString(callback + "(")
		writeJSON(&b, answer)
		b.WriteString(");")
	case 3:
		h.Set("Content-Type", "text/html; charset=UTF-8")
		writePHP(&b, answer)
	default:
		h.Set("Content-Type", "text/xml;charset=UTF-8")
		if !m.bare {
			b.WriteString(`<?xml version="1.0" encoding="utf-8"?>`)
		}
		b.WriteString("<xml><result>")
		writeXML(&b, answer, q.params.flag("ignoreNull", false))
		b.WriteString("</result><executionTime>" + strconv.FormatFloat(time.Since(started).Seconds(), 'g', -1, 64) + "</executionTime></xml>")
	}
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = w.Write([]byte(b.String())) // the client may be gone; nothing to do about it
}

// document is an answer that is a file of its own, whatever format was asked for.
type document struct {
	kind string        // content type
	keep time.Duration // 0 = must not be kept
	body string
}

func (d *document) write(h http.Header, w io.Writer, now time.Time) {
	h.Set("Content-Type", d.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	if d.keep != 0 {
		keep(h, "public", d.keep, now)
		h.Set("Last-Modified", "Sun, 19 Nov 2000 08:52:00 GMT")
		h.Set("Accept-Ranges", "bytes")
		h.Del("Pragma")
	}
	h.Set("Content-Length", strconv.Itoa(len(d.body)))
	_, _ = io.WriteString(w, d.body) // the client may be gone; nothing to do about it
}

// fault translates an error and logs what the client is not told.
func (p *Platform) fault(ctx context.Context, err error) *fault {
	f := asFault(err)
	if f.code == "INTERNAL_SERVERL_ERROR" {
		p.failed(ctx, "call", err)
	}
	return f
}

// call runs one action: session, parameters, state of the session, permission, action.
func (p *Platform) call(q *request, a args, files map[string]*upload, m *marks) (any, error) {
	ctx := q.http.Context()
	c := &call{Context: ctx, Platform: p, args: a, file: files, now: p.Clock(), uri: q.http.URL.Path, marks: m}
	if host, _, err := net.SplitHostPort(q.http.RemoteAddr); err == nil {
		c.address = host
	}
	service, name := a.str("service"), a.str("action")
	if service == "" {
		return nil, refuse("SERVICE_NOT_SPECIFIED")
	}
	if !p.services[strings.ToLower(service)] {
		return nil, refuse("SERVICE_DOES_NOT_EXISTS", "SRV_NAME", service)
	}
	c.act = p.actions[strings.ToLower(service+"."+name)]
	if c.act == nil {
		return nil, refuse("ACTION_DOES_NOT_EXISTS", "ACTION_NAME", name, "SERVICE_NAME", service)
	}
	full := service + "->" + name
	starting := c.act.service == "session" && c.act.name == "start"
	if text := a.str("ks"); text != "" && !starting {
		if err := c.open(text); err != nil {
			return nil, err
		}
	}
	if err := c.mandatory(); err != nil {
		return nil, err
	}
	if c.ks != nil {
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	if c.forbidden() {
		m.error = "error-SERVICE_FORBIDDEN"
		m.app = "exiting on error SERVICE_FORBIDDEN - The access to service [" + full + "] is forbidden"
		return nil, refuse("SERVICE_FORBIDDEN", "SERVICE", full)
	}
	answer, err := c.act.run(c)
	if err != nil {
		return nil, err
	}
	return profiled(answer, a.tree("responseProfile")), nil
}

// mandatory checks that the parameters which the action cannot do without are there.
func (c *call) mandatory() error {
	for _, need := range c.act.needs {
		if name, ok := strings.CutSuffix(need, "@"); ok {
			if c.file[name] == nil {
				return refuse("MISSING_MANDATORY_PARAMETER", "PARAM_NAME", name)
			}
			continue
		}
		name, object := strings.CutSuffix(need, "{}")
		if !c.args.has(name) {
			return refuse("MISSING_MANDATORY_PARAMETER", "PARAM_NAME", name)
		}
		if object && c.args.tree(name) == nil {
			return refuse("PROPERTY_VALIDATION_WRONG_FORMAT", "PROP_NAME", name, "FORMAT", "array")
		}
	}
	for _, name := range []string{"filter", "pager"} {
		if c.args.has(name) && c.args.tree(name) == nil && text(c.args[name]) != "" {
			return refuse("PROPERTY_VALIDATION_WRONG_FORMAT", "PROP_NAME", name, "FORMAT", "array")
		}
	}
	return nil
}

// forbidden tells whether the session may not call the action.
func (c *call) forbidden() bool {
	if c.ks != nil {
		for _, name := range []string{"partnerId", "p"} {
			asked := c.args.num(name)
			if asked != 0 && asked != c.partner() && c.act.who != anybody {
				return true
			}
		}
	}
	if c.operator != 0 && !c.act.operators {
		return true
	}
	switch c.act.who {
	case operatorOnly:
		return c.operator == 0 || !c.admin()
	case consoleOnly:
		return c.operator != consolePartner || !c.admin()
	case anySession:
		return c.ks == nil
	case userSession:
		return c.ks == nil || c.ks.widget() && !c.admin()
	case adminOnly:
		return !c.admin()
	}
	return false
}

// profiled applies a response profile given with the request: include or exclude members. In a
// list it applies to the objects.
func profiled(answer any, profile args) any {
	o, ok := answer.(*object)
	if !ok || profile == nil || !profile.has("fields") {
		return answer
	}
	named := map[string]bool{}
	for _, f := range words(profile.str("fields")) {
		named[f] = true
	}
	include := profile.numOr("type", 1) == 1
	// type stays in any case: clients need it to choose a class.
	keep := func(name string) bool { return named[name] == include || include && name == "type" }
	items, isList := o.get("objects").([]any)
	if !isList {
		return o.only(keep)
	}
	out := newObject(o.class).set("totalCount", o.get("totalCount"))
	cut := make([]any, len(items))
	for i, e := range items {
		cut[i] = e
		if sub, ok := e.(*object); ok {
			cut[i] = sub.only(keep)
		}
	}
	return out.set("objects", cut)
}
