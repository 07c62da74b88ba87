package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// agentPorts are where an agent listens: the first that is free. The page knows the same list
// (web/src/transfer/agent.ts), and its content policy allows no others (api/middleware.go).
var agentPorts = []int{27710, 27711, 27712}

// Bounds of what a page may ask.
const (
	mostBody    = 1 << 20
	mostStreams = 32
	refresh     = 300 * time.Millisecond // between two states of a stream
	beat        = 20 * time.Second       // of a stream on which nothing happens
)

// agentServer answers pages, and the commands of the person on this computer.
type agentServer struct {
	agent   *agent
	door    *agentDoor
	control string // key of the commands, for this run
	streams chan struct{}
}

// listenAgent takes the first free port, on both loopback addresses where there are two: nobody else shall
// answer for "localhost".
func listenAgent(ports []int) ([]net.Listener, int, error) {
	var last error
	for _, port := range ports {
		four, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			last = err
			continue
		}
		port = four.Addr().(*net.TCPAddr).Port
		six, err := net.Listen("tcp6", "[::1]:"+strconv.Itoa(port))
		if err == nil {
			return []net.Listener{four, six}, port, nil
		}
		if any, none := net.Listen("tcp6", "[::1]:0"); none != nil { // no IPv6 here
			return []net.Listener{four}, port, nil
		} else {
			err = errors.Join(err, any.Close())
		}
		last = errors.Join(err, four.Close())
	}
	return nil, 0, fail(exitFailed, "None of the agent's ports is free: "+last.Error()+".", "End the program that uses them.")
}

// handler checks, in this order: the Host (a name that was bent to this computer is not ours), then who
// asks. Commands of this computer prove a key from a file of the person and carry never an Origin; pages carry
// an Origin that a person paired, and a token that proves the paired browser. Everything else is refused
// without a word that a page could read.
func (s *agentServer) handler() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("POST /v1/pair", s.pair)
	pages.HandleFunc("POST /v1/challenge", s.challenge)
	pages.HandleFunc("POST /v1/session", s.session)
	s.routes(pages)
	control := http.NewServeMux()
	s.controlRoutes(control)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		if !s.ours(r.Host) {
			w.WriteHeader(http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		origin, named := r.Header["Origin"]
		if strings.HasPrefix(r.URL.Path, "/control/") {
			if named || r.Header.Get("Sec-Fetch-Site") != "" { // a browser
				w.WriteHeader(http.StatusForbidden)
				return
			}
			s.asCommand(w, r, control)
			return
		}
		if len(origin) != 1 || !s.door.allowed(origin[0]) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin[0])
		h.Set("Vary", "Origin")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", "600")
			// Browsers that know Local Network Access ask the person instead; those before it asked for this.
			if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
				h.Set("Access-Control-Allow-Private-Network", "true")
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		// A form or an image of a page can send neither: what gets here was allowed by a preflight.
		if r.Method == http.MethodPost && r.ContentLength != 0 && r.Header.Get("Content-Type") != "application/json" {
			writeProblem(w, badRequest("The request has another form than JSON."))
			return
		}
		pages.ServeHTTP(w, r)
	})
}

func (s *agentServer) ours(host string) bool {
	name, port, err := net.SplitHostPort(host)
	return err == nil && port == strconv.Itoa(s.door.port) && (name == "127.0.0.1" || name == "::1" || name == "localhost")
}

// visitor is a page that proved its pairing.
type visitor struct {
	server string // its origin, which is that of the server it came from
	key    []byte
}

// page makes a handler for paired pages of one that answers with a value or an error.
func (s *agentServer) page(f func(r *http.Request, v visitor) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visitor(r)
		var out any
		if err == nil {
			out, err = f(r, v)
		}
		s.answer(w, r, out, err)
	}
}

func (s *agentServer) visitor(r *http.Request) (visitor, error) {
	origin := r.Header.Get("Origin")
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return visitor{}, errUnpaired
	}
	key, err := s.door.enter(origin, token)
	return visitor{origin, key}, err
}

func (s *agentServer) answer(w http.ResponseWriter, r *http.Request, out any, err error) {
	switch {
	case err != nil:
		p := asAgentProblem(err)
		if p.Status == http.StatusInternalServerError {
			slog.Error("agent", "path", r.URL.Path, "error", err)
		}
		writeProblem(w, p)
	case out == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		writeJSON(w, http.StatusOK, out)
	}
}

// pair, challenge and session are all that a page may ask without a token.

func (s *agentServer) pair(w http.ResponseWriter, r *http.Request) {
	var in struct{ Code, Key string }
	out, err := func() (any, error) {
		if err := readJSON(r, &in); err != nil {
			return nil, err
		}
		key, err := readKey(in.Key)
		if err != nil {
			return nil, err
		}
		mine, err := s.door.pair(r.Header.Get("Origin"), in.Code, key)
		return map[string]string{"agent_key": base64.RawURLEncoding.EncodeToString(mine)}, err
	}()
	s.answer(w, r, out, err)
}

func (s *agentServer) challenge(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, map[string]string{"challenge": s.door.challenge(r.Header.Get("Origin"))}, nil)
}

func (s *agentServer) session(w http.ResponseWriter, r *http.Request) {
	var in struct{ Key, Challenge, Signature, Nonce string }
	out, err := func() (any, error) {
		if err := readJSON(r, &in); err != nil {
			return nil, err
		}
		key, err := readKey(in.Key)
		if err != nil {
			return nil, err
		}
		signature, err := base64.RawURLEncoding.DecodeString(in.Signature)
		if err != nil || len(in.Nonce) < 16 || len(in.Nonce) > 100 {
			return nil, badRequest("The page's signature cannot be read.")
		}
		token, proof, err := s.door.session(r.Header.Get("Origin"), key, in.Challenge, signature, in.Nonce)
		return map[string]string{"token": token, "proof": base64.RawURLEncoding.EncodeToString(proof)}, err
	}()
	s.answer(w, r, out, err)
}

func readJSON(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badRequest("The request cannot be read.")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest("The request goes on after its end.")
	}
	return nil
}

// routes are what paired pages may ask.
func (s *agentServer) routes(mux *http.ServeMux) {
	a := s.agent
	mux.HandleFunc("DELETE /v1/pair", s.page(func(_ *http.Request, v visitor) (any, error) { return nil, s.door.unpair(v.key) }))
	mux.HandleFunc("GET /v1/state", s.page(func(_ *http.Request, v visitor) (any, error) { return a.state(v.server) }))
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("POST /v1/login", s.page(func(r *http.Request, v visitor) (any, error) { return a.login(r.Context(), v.server) }))
	mux.HandleFunc("POST /v1/dialog", s.page(func(r *http.Request, v visitor) (any, error) {
		var in struct{ Kind string }
		if err := readJSON(r, &in); err != nil {
			return nil, err
		}
		return picked(a.picks.dialog(r.Context(), v.server, in.Kind))
	}))
	mux.HandleFunc("GET /v1/folders/{id}", s.page(func(r *http.Request, _ visitor) (any, error) {
		return a.picks.list(r.PathValue("id"), r.URL.Query().Get("path"))
	}))
	mux.HandleFunc("POST /v1/folders/{id}", s.page(func(r *http.Request, v visitor) (any, error) {
		var in struct{ Paths []string }
		if err := readJSON(r, &in); err != nil {
			return nil, err
		}
		return picked(a.picks.choose(v.server, r.PathValue("id"), in.Paths))
	}))
	mux.HandleFunc("POST /v1/paths", s.page(func(r *http.Request, v visitor) (any, error) {
		var in struct{ Paths []string }
		if err := readJSON(r, &in); err != nil {
			return nil, err
		}
		return picked(a.picks.choosePaths(v.server, in.Paths))
	}))
	mux.HandleFunc("POST /v1/jobs", s.page(func(r *http.Request, v visitor) (any, error) {
		var in jobInput
		if err := readJSON(r, &in); err != nil {
			return nil, err
		}
		return a.add(v.server, in)
	}))
	for name, act := range map[string]func(server, id string) (jobView, error){
		"pause": a.pause, "resume": a.resume, "first": a.first, "cancel": a.cancel,
	} {
		mux.HandleFunc("POST /v1/jobs/{id}/"+name, s.page(func(r *http.Request, v visitor) (any, error) {
			return act(v.server, r.PathValue("id"))
		}))
	}
	mux.HandleFunc("DELETE /v1/jobs/{id}", s.page(func(r *http.Request, v visitor) (any, error) {
		return nil, a.remove(v.server, r.PathValue("id"))
	}))
}

func picked(picks []pickView, err error) (any, error) {
	if picks == nil {
		picks = []pickView{}
	}
	return map[string]any{"picks": picks}, err
}

// events streams the state now and after every change, as server-sent events.
func (s *agentServer) events(w http.ResponseWriter, r *http.Request) {
	v, err := s.visitor(r)
	if err != nil {
		writeProblem(w, asAgentProblem(err))
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		writeProblem(w, &agentProblem{http.StatusTooManyRequests, "too_many", "Too many pages watch the agent.", "Close some."})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	silent := time.NewTimer(beat)
	defer silent.Stop()
	for {
		changed := s.agent.changed()
		state, err := s.agent.state(v.server)
		if err != nil {
			slog.Error("agent", "error", err)
			return
		}
		text, err := json.Marshal(state)
		if err != nil {
			slog.Error("agent", "error", err)
			return
		}
		if _, err := w.Write([]byte("data: " + string(text) + "\n\n")); err != nil || out.Flush() != nil {
			return
		}
		silent.Reset(beat)
		select {
		case <-changed:
		case <-silent.C:
		case <-r.Context().Done():
			return
		}
		select { // no more often than people can see
		case <-time.After(refresh):
		case <-r.Context().Done():
			return
		}
		if _, err := s.visitor(r); err != nil { // unpaired meanwhile
			return
		}
	}
}
