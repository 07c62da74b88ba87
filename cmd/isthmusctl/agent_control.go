package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// How the commands of a person reach their agent: by the same port, with a token that the agent makes for
// this run and leaves in a file that only they can read. It is worth nothing once the agent has ended, so
// a program that takes the port afterwards gains nothing by hearing it.

// agentRunning is that file.
type agentRunning struct {
	Port  int    `json:"port"`
	Token string `json:"token"`
	PID   int    `json:"pid"`
}

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
		st := controlStatus{Port: s.door.port, PID: os.Getpid(), Origins: unique(s.door.origins()), Jobs: s.agent.all()}
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
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:"+strconv.Itoa(run.Port)+"/control/"+what, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+run.Token)
	// Never by a proxy of the environment, which would learn the token.
	r, err := (&http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errNoAgent
	}
	defer func() { _ = r.Body.Close() }() // only read
	switch {
	case r.StatusCode == http.StatusForbidden || r.StatusCode == http.StatusMisdirectedRequest:
		return errNoAgent // another one, or another program
	case r.StatusCode >= 400:
		var p agentProblem
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			return err
		}
		return fail(exitFailed, p.Detail, p.NextStep)
	case out == nil:
		return nil
	}
	return json.NewDecoder(r.Body).Decode(out)
}

var errNoAgent = fail(exitUnreachable, "The agent does not run.", `Start it with "isthmusctl agent run", or install it as a service with "isthmusctl agent install".`)
