package gateway

import "time"

// CandidateState is what became of an entry that looks spherical.
type CandidateState string

// The states.
const (
	CandidateOffered   CandidateState = "offered"   // waits for a person
	CandidateMarking   CandidateState = "marking"   // a run is about to tag it
	CandidateMarked    CandidateState = "marked"    // tagged
	CandidateUndoing   CandidateState = "undoing"   // a run is about to take the tag back
	CandidateDismissed CandidateState = "dismissed" // a person said that it is flat; never offered again
)

// SphericalCandidate is an entry that looks spherical and does not carry the tag. Unique by
// integration and entry.
type SphericalCandidate struct {
	Row
	IntegrationID string         `bun:"integration_id"`
	EntryID       string         `bun:"entry_id"`
	Name          string         `bun:"name"`
	Type          MediaType      `bun:"type"`
	OwnerID       string         `bun:"owner_id"`    // platform user id
	CategoryID    int64          `bun:"category_id"` // as the platform said when it was looked at
	Width         int            `bun:"width"`
	Height        int            `bun:"height"`
	Likely        bool           `bun:"likely"`   // more than one sign, or a sure one
	Evidence      []string       `bun:"evidence"` // in words, the strongest first; stored as JSON
	State         CandidateState `bun:"state"`
	JobID         string         `bun:"job_id"` // the run that marked it last
	Tagged        bool           `bun:"tagged"` // the tag is ours, so undo may take it back
	ErrorCode     string         `bun:"error_code"`
	ErrorText     string         `bun:"error_text"`
	NextStep      string         `bun:"next_step"`
}

// SphericalScan is how far a look for untagged 360° media is.
type SphericalScan struct {
	AskedAt    time.Time `json:"asked_at"` // an admin asked for it; zero = by schedule
	StartedAt  time.Time `json:"started_at"`
	EndedAt    time.Time `json:"ended_at"`    // zero = under way, or never begun
	Since      time.Time `json:"since"`       // entries changed before were looked at by an earlier scan
	Cursor     string    `json:"cursor"`      // where it goes on
	CategoryID int64     `json:"category_id"` // that it was limited to
	Looked     int       `json:"looked"`
	Found      int       `json:"found"`
	Problem    *Problem  `json:"problem,omitempty"`
}

func (s SphericalScan) underWay() bool { return !s.StartedAt.IsZero() && s.EndedAt.IsZero() }

// markRetry is the pause of a run whose platform does not answer: somebody looks at its progress.
const markRetry = 15 * time.Second

// busy tells whether a run is about to change the tag.
func (s CandidateState) busy() bool { return s == CandidateMarking || s == CandidateUndoing }

// before gives the state that a run began from, after the one that it leads to.
func (s CandidateState) before() CandidateState {
	if s == CandidateMarking {
		return CandidateOffered
	}
	return CandidateMarked
}

func (s CandidateState) after() CandidateState {
	if s == CandidateMarking {
		return CandidateMarked
	}
	return CandidateOffered
}
