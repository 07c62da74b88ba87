package transfer

// Refuse ends one upload of the session that sends it, if there is one: its client learns why, the session's
// other uploads go on. A session that is still naming its uploads is left alone: Files refuses what comes.
func (s *Server) Refuse(uploadID string, why *Error) {
	s.mu.Lock()
	ss := s.writers[uploadID]
	ready := ss != nil && ss.listed
	s.mu.Unlock()
	if !ready {
		return
	}
	for i, u := range ss.grant.Uploads {
		if u.ID == uploadID && ss.store.refuse(i) {
			ss.in.forgo(ss.tape.bounds(i))
			ss.receipt(i, nil, why)
		}
	}
}

// refuse says that an upload is over; false: it is already, or being finished.
func (s *store) refuse(upload int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state[upload].over {
		return false
	}
	s.state[upload].over = true
	s.alone(upload)
	delete(s.dirty, upload)
	return true
}

// forgo waits no more for what is missing of a part of the tape; what comes of it is ignored.
func (r *receiver) forgo(b Range) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.have.missing(b.Start, b.End, func(m Range) { r.missing -= m.End - m.Start })
	r.have.add(b.Start, b.End)
}
