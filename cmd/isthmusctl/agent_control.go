package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// How the commands of a person reach their agent: by the same port, with a key that the agent makes for this run
// and leaves in a file that only they can read. Both sides prove that they have it, and it never leaves the file:
// a program that took the port of an agent that was killed neither learns anything nor is believed.

// agentRunning is that file.
type agentRunning struct {
	Port int    `json:"port"`
	Key  string `json:"key"`
	PID  int    `json:"pid"`
}

const (
	controlScheme = "Isthmus-Agent "
	controlNonce  = "Isthmus-Nonce"
	controlProof  = "Isthmus-Proof"
)

// controlSum is what only who has the key can make of a request (who = "command") or of its answer ("agent").
func controlSum(key, who, nonce, what string, body []byte) string {
	h := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(h, "isthmus agent control 1\n%s\n%s\n%s\n", who, nonce, what) // none of them has lines
	_, _ = h.Write(body)                                                      // never fails
	return hex.EncodeToString(h.Sum(nil))
}

func sameSum(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// asCommand lets a request in that proves the key, and proves it with the answer.
func (s *agentServer) asCommand(w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(r.Body)
	nonce := r.Header.Get(controlNonce)
	sum, ok := strings.CutPrefix(r.Header.Get("Authorization"), controlScheme)
	if err != nil || !ok || !sameSum(sum, controlSum(s.control, "command", nonce, r.Method+" "+r.URL.Path, body)) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &heldAnswer{ResponseWriter: w, status: http.StatusOK}
	next.ServeHTTP(answer, r)
	w.Header().Set(controlProof, controlSum(s.control, "agent", nonce, strconv.Itoa(answer.status), answer.body.Bytes()))
	w.WriteHeader(answer.status)
	_, _ = answer.body.WriteTo(w) // the reader is gone: nobody to tell
}

// heldAnswer keeps an answer until it is whole.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (a *heldAnswer) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *heldAnswer) Write(p []byte) (int, error) { return a.body.Write(p) }

func runFile(v vault) string { return filepath.Join(agentDir(v), "running.json") }

type controlOrigin struct {
	Origin string `json:"origin"`
}

type controlCode struct {
	Code string `json:"code"`
}

type controlState struct {
	State string `json:"state"`
}

type controlStatus struct {
	Port    int       `json:"port"`
	PID     int       `json:"pid"`
	Origins []string  `json:"pages"`
	Folders []string  `json:"folders"`
	Jobs    []jobView `json:"jobs"`
}

func (s *agentServer) controlRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /control/status", func(w http.ResponseWriter, r *http.Request) {
		st := controlStatus{Port: s.door.port, PID: os.Getpid(), Origins: unique(s.door.origins()), Jobs: s.agent.all(), Folders: []string{}}
		for _, f := range s.agent.picks.folders {
			st.Folders = append(st.Folders, f.path)
		}
		s.answer(w, r, st, nil)
	})
	mux.HandleFunc("POST /control/pair", s.forOrigin(func(origin string) (any, error) { return controlCode{s.door.open(origin)}, nil }))
	mux.HandleFunc("POST /control/unpair", s.forOrigin(func(origin string) (any, error) { return nil, s.door.unpairOrigin(origin) }))
	mux.HandleFunc("GET /control/pair", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, r, controlState{s.door.codeState()}, nil)
	})
}

func (s *agentServer) forOrigin(f func(origin string) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in controlOrigin
		err := readJSON(r, &in)
		var out any
		if err == nil {
			if in.Origin, err = parseOrigin(in.Origin); err != nil {
				err = badRequest(err.Error() + ".")
			} else {
				out, err = f(in.Origin)
			}
		}
		s.answer(w, r, out, err)
	}
}

// control asks the agent that runs for this person.
func (a *app) control(ctx context.Context, method, what string, in, out any) error {
	text, err := os.ReadFile(runFile(a.vault))
	if errors.Is(err, fs.ErrNotExist) {
		return errNoAgent
	}
	var run agentRunning
	if err == nil {
		err = json.Unmarshal(text, &run)
	}
	if err != nil {
		return err
	}
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	path, nonce := "/control/"+what, rand.Text()
	req, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:"+strconv.Itoa(run.Port)+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(controlNonce, nonce)
	req.Header.Set("Authorization", controlScheme+controlSum(run.Key, "command", nonce, method+" "+path, body))
	// Never by a proxy of the environment.
	r, err := (&http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}).Do(req)
	if err == nil {
		defer func() { _ = r.Body.Close() }() // only read
		text, err = io.ReadAll(io.LimitReader(r.Body, 64<<20))
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil, !sameSum(r.Header.Get(controlProof), controlSum(run.Key, "agent", nonce, strconv.Itoa(r.StatusCode), text)):
		return errNoAgent // or another program has its port now
	case r.StatusCode >= 400:
		var p agentProblem
		if err := json.Unmarshal(text, &p); err != nil {
			return err
		}
		return fail(exitFailed, p.Detail, p.NextStep)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

var errNoAgent = fail(exitUnreachable, "The agent does not run.", `Start it with "isthmusctl agent run", or install it as a service with "isthmusctl agent install".`)
