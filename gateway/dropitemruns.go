package gateway

import "sync"

// itemRuns are the runs of RunItems in this process.
type itemRuns struct {
	mu    sync.Mutex
	files map[string]bool
}

func (r *itemRuns) enter(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil {
		r.files = map[string]bool{}
	}
	if r.files[id] {
		return false
	}
	r.files[id] = true
	return true
}

func (r *itemRuns) leave(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.files, id)
}
