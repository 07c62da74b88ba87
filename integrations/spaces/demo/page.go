package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"isthmus/gateway"
)

const style = `
:root{color-scheme:light dark;--line:#8b93a7;--accent:#2457d6;--on:#fff}
@media (prefers-color-scheme:dark){:root{--accent:#9db8ff;--on:#0b1020}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;font:16px/1.5 system-ui,sans-serif}
main{width:100%;max-width:26rem}
h1{font-size:1.4rem;margin:0 0 .25rem}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input{width:100%;padding:.6rem .7rem;font:inherit;border:1px solid var(--line);border-radius:.5rem}
button{width:100%;margin-top:1.25rem;padding:.7rem;font:inherit;font-weight:600;border:0;border-radius:.5rem;background:var(--accent);color:var(--on);cursor:pointer}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.wrong{border-left:4px solid #d33;padding:.25rem .75rem;margin:1rem 0 0}
ul{padding-left:1.1rem}
`

var page = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · demo spaces platform</title><style>` + style + `</style></head>
<body><main>
<h1>Demo spaces platform</h1>
<p>Sign in to go on to Isthmus. The passwords were printed when the demo started and are in its demo.json.</p>
{{if .Wrong}}<p class="wrong" role="alert">This e-mail and password do not go together.</p>{{end}}
<form method="post" action="{{.Action}}">
<input type="hidden" name="id" value="{{.ID}}">
<label for="email">E-mail</label>
<input id="email" name="email" type="email" autocomplete="username" required value="{{.Email}}"{{if not .Wrong}} autofocus{{end}}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{{if .Wrong}} autofocus{{end}}>
<button type="submit">Sign in</button>
</form>
<h2>People of this demo</h2>
<ul>{{range .People}}<li>{{.Name}}: {{.Email}}</li>{{end}}</ul>
</main></body></html>
`))

var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
}()

type pageData struct {
	ID, Email, Action string
	Wrong             bool
	People            []Person
}

func (p *Provider) show(w http.ResponseWriter, status int, d pageData) {
	u, err := url.Parse(p.cfg.Issuer)
	if err != nil {
		http.Error(w, "the issuer is no address", http.StatusInternalServerError)
		return
	}
	d.Action, d.People = u.JoinPath("login").Path, p.cfg.People
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	if err := page.Execute(w, d); err != nil {
		p.cfg.Log.Debug("demo login page not delivered", "error", err)
	}
}

func (p *Provider) pending(id string) (login, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.logins[id]
	return l, ok && time.Now().Before(l.until)
}

func (p *Provider) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	l, ok := p.pending(id)
	if !ok {
		http.Error(w, "This sign-in has expired. Go back and begin again.", http.StatusBadRequest)
		return
	}
	p.show(w, http.StatusOK, pageData{ID: id, Email: l.request.LoginHint})
}

func (p *Provider) takeLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	id, email := r.PostFormValue("id"), r.PostFormValue("email")
	l, ok := p.pending(id)
	if !ok {
		http.Error(w, "This sign-in has expired. Go back and begin again.", http.StatusBadRequest)
		return
	}
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	done, err := p.attempts.Begin(strings.ToLower(email), address)
	if err != nil {
		w.Header().Set("Retry-After", gateway.AsError(err).RetryAfter())
		http.Error(w, "There were too many wrong attempts. Wait a moment, then try again.", http.StatusTooManyRequests)
		return
	}
	l.person = p.person(email, r.PostFormValue("password"))
	done(l.person != nil)
	if l.person == nil {
		p.show(w, http.StatusUnauthorized, pageData{ID: id, Email: email, Wrong: true})
		return
	}
	code := gateway.NewToken()
	l.at = time.Now()
	l.until = l.at.Add(codeLife)
	p.mu.Lock()
	delete(p.logins, id)
	p.codes[code] = l
	p.mu.Unlock()
	to, err := url.Parse(l.request.RedirectURI)
	if err != nil {
		http.Error(w, "The redirect address is no address.", http.StatusBadRequest)
		return
	}
	q := to.Query()
	q.Set("code", code)
	q.Set("state", l.request.State)
	q.Set("iss", p.cfg.Issuer)
	to.RawQuery = q.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}
