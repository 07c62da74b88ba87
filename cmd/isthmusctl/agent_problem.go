package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
)

// agentProblem is an error for people, in the form in which the server's API gives its own (RFC 9457).
type agentProblem struct {
	Status   int    `json:"status"`
	Code     string `json:"code"`
	Detail   string `json:"detail"`
	NextStep string `json:"next_step"`
}

func (p *agentProblem) Error() string { return p.Detail }

var (
	errUnpaired = &agentProblem{http.StatusUnauthorized, "unpaired", "The agent does not know this browser.", "Run isthmusctl agent pair and type its code on the page."}
	errNoJob    = &agentProblem{http.StatusNotFound, "not_found", "There is no such transfer in the agent's queue.", "Reload the list."}
	errNoPick   = &agentProblem{http.StatusNotFound, "pick_over", "The choice of files is too old or was used already.", "Choose the files again."}
	errOutside  = &agentProblem{http.StatusForbidden, "outside", "This does not lie in a folder that the agent may open to pages.", "Choose with the file dialog, or allow the folder with isthmusctl agent install --folder."}
	errNoLogin  = &agentProblem{http.StatusConflict, "signed_out", "The agent is not signed in at this server.", "Sign it in on the page, or run isthmusctl login."}
)

func badRequest(detail string) *agentProblem {
	return &agentProblem{http.StatusBadRequest, "invalid", detail, "Reload the page; if it happens again, update isthmusctl."}
}

// asAgentProblem makes an error fit to be shown; what has no words for people stays in the log.
func asAgentProblem(err error) *agentProblem {
	var p *agentProblem
	if errors.As(err, &p) {
		return p
	}
	var f *failure
	if errors.As(err, &f) {
		return &agentProblem{http.StatusConflict, cmp.Or(f.slug, "failed"), f.text, f.next}
	}
	return &agentProblem{http.StatusInternalServerError, "internal", "Something went wrong in the agent.", "Look at what it wrote to its log."}
}

func writeProblem(w http.ResponseWriter, p *agentProblem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the reader is gone: nobody to tell
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
