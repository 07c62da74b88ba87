package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// faultProxy stands between a gateway and a Kaltura server and does what a bad day does. It listens
// on a real socket, passes on what no fault wants, puts its own address in the place of the
// server's, and counts.
type faultProxy struct {
	t        testing.TB
	upstream string // base URL of the server
	addr     string // host:port
	tls      func() *tls.Certificate
	client   *http.Client

	mu     sync.Mutex
	srv    *http.Server
	fault  fault
	calls  map[string]int
	raw    int   // first bytes of connections that were not TLS
	sent   int64 // bytes of chunks
	ks     map[string]bool
	dead   map[string]bool // sessions that have expired
	cookie bool            // a request brought a cookie
}

// fault handles an exchange, or leaves it alone and answers false.
type fault func(*exchange) bool

// exchange is one request at the proxy.
type exchange struct {
	http.ResponseWriter
	r     *http.Request
	p     *faultProxy
	op    string // service.action in lower case, "" beside the API
	body  []byte
	param map[string]any
	chunk int // bytes of the file in it
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

func newFaultProxy(t testing.TB, upstream string, cert func() *tls.Certificate) *faultProxy {
	t.Helper()
	p := &faultProxy{
		t: t, upstream: strings.TrimSuffix(upstream, "/"), addr: "127.0.0.1:0", tls: cert,
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		calls:  map[string]int{}, ks: map[string]bool{}, dead: map[string]bool{},
	}
	p.up()
	t.Cleanup(p.down)
	return p
}

func (p *faultProxy) url() string {
	if p.tls != nil {
		return "https://" + p.addr
	}
	return "http://" + p.addr
}

// up listens, again on the same address after a down.
func (p *faultProxy) up() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.addr = l.Addr().String()
	if p.tls != nil {
		l = tls.NewListener(&plainCounter{l, p}, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.tls(), nil }})
	}
	srv := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	srv.ErrorLog = discardLog
	p.mu.Lock()
	p.srv = srv
	p.mu.Unlock()
	go func() { _ = srv.Serve(l) }()
}

// down refuses connections and breaks off those that are there.
func (p *faultProxy) down() {
	p.mu.Lock()
	srv := p.srv
	p.mu.Unlock()
	_ = srv.Close()
}

// set begins a fault; nil ends it.
func (p *faultProxy) set(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

func (p *faultProxy) count(op string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[strings.ToLower(op)]
}

func (p *faultProxy) total() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		n += c
	}
	return n
}

func (p *faultProxy) chunkBytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// expire makes all sessions seen so far expired.
func (p *faultProxy) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ks := range p.ks {
		p.dead[ks] = true
	}
}

func (p *faultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	x := &exchange{ResponseWriter: w, r: r, p: p, body: body}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/api_v3/service/"); ok {
		x.op = strings.ToLower(strings.Replace(rest, "/action/", ".", 1))
	}
	x.parse()
	ks, _ := x.param["ks"].(string)
	p.mu.Lock()
	f, dead := p.fault, p.dead[ks]
	if !dead {
		p.calls[x.op]++
		p.sent += int64(x.chunk)
	}
	p.cookie = p.cookie || r.Header.Get("Cookie") != ""
	if ks != "" {
		p.ks[ks] = true
	}
	p.mu.Unlock()
	if dead {
		x.exception("INVALID_KS", map[string]string{"KSID": "EXPIRED", "ERR_CODE": "-8", "ERR_DESC": "KS_EXPIRED"})
		return
	}
	if f == nil || !f(x) {
		x.write(x.forward())
	}
}

func (x *exchange) parse() {
	kind, p, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	raw := x.body
	if kind == "multipart/form-data" {
		form, err := multipart.NewReader(bytes.NewReader(x.body), p["boundary"]).ReadForm(64 << 20)
		if err != nil {
			return
		}
		if f := form.File["fileData"]; len(f) > 0 {
			x.chunk = int(f[0].Size)
		}
		if len(form.Value["json"]) > 0 {
			raw = []byte(form.Value["json"][0])
		}
	}
	_ = json.Unmarshal(raw, &x.param)
}

// forward asks the server and gives its answer, with our address in the place of its own.
func (x *exchange) forward() reply {
	req, err := http.NewRequestWithContext(x.r.Context(), x.r.Method, x.p.upstream+x.r.URL.RequestURI(), bytes.NewReader(x.body))
	if err != nil {
		return reply{status: http.StatusBadGateway}
	}
	req.Header = x.r.Header.Clone()
	req.Header.Set("Accept-Encoding", "identity")
	res, err := x.p.client.Do(req)
	if err != nil {
		return reply{status: http.StatusBadGateway}
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{status: http.StatusBadGateway}
	}
	if x.op != "" {
		for _, form := range []func(string) string{func(s string) string { return s }, func(s string) string { return strings.ReplaceAll(s, "/", `\/`) }} {
			body = bytes.ReplaceAll(body, []byte(form(x.p.upstream)), []byte(form(x.p.url())))
		}
	}
	res.Header.Del("Content-Length")
	return reply{res.StatusCode, res.Header, body}
}

func (x *exchange) write(a reply) {
	for k, v := range a.header {
		x.Header()[k] = v
	}
	x.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	x.WriteHeader(a.status)
	_, _ = x.Write(a.body)
}

// say answers with a body of a type.
func (x *exchange) say(status int, kind, body string) {
	x.Header().Set("Content-Type", kind)
	x.WriteHeader(status)
	_, _ = io.WriteString(x, body)
}

func (x *exchange) exception(code string, args map[string]string) {
	b, _ := json.Marshal(map[string]any{"objectType": "KalturaAPIException", "code": code, "message": code, "args": args})
	x.say(http.StatusOK, "application/json", string(b))
}

// hang keeps the connection open and silent until the other side gives up.
func (x *exchange) hang() {
	_ = http.NewResponseController(x).Flush()
	<-x.r.Context().Done()
}

// cut breaks the connection off.
func (x *exchange) cut() { panic(http.ErrAbortHandler) }

// mutate passes on an answer whose JSON was changed.
func (x *exchange) mutate(change func(any) any) bool {
	if x.op == "" {
		return false
	}
	a := x.forward()
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) == nil {
		a.body, _ = json.Marshal(change(v))
	}
	x.write(a)
	return true
}

// each calls f for every object inside v and gives v back.
func each(v any, f func(map[string]any)) any {
	switch v := v.(type) {
	case map[string]any:
		f(v)
		for _, c := range v {
			each(c, f)
		}
	case []any:
		for _, c := range v {
			each(c, f)
		}
	}
	return v
}

// plainCounter counts connections whose first byte is not that of a TLS handshake.
type plainCounter struct {
	net.Listener
	p *faultProxy
}

func (l *plainCounter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &firstByte{Conn: c, p: l.p}, nil
}

type firstByte struct {
	net.Conn
	p    *faultProxy
	once sync.Once
}

func (c *firstByte) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.once.Do(func() {
			if b[0] != 0x16 {
				c.p.mu.Lock()
				c.p.raw++
				c.p.mu.Unlock()
			}
		})
	}
	return n, err
}
