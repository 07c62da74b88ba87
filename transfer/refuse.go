package transfer

// Session is one client that was let in, for the application that let it in: what is said here reaches this client
// and no other, also when a newer one has taken its uploads over. After Grant.Close nothing happens any more. Safe
// for concurrent use.
type Session struct{ of *session }

// Refuse ends one upload: the client learns why, its other uploads go on. It waits for a write that is under way. While the
// client is still being told its uploads nothing happens: Files refuses what comes.
func (s *Session) Refuse(uploadID string, why *Error) {
	ss := s.of
	ss.s.mu.Lock()
	ready := ss.listed
	ss.s.mu.Unlock()
	if !ready {
		return
	}
	for i, u := range ss.grant.Uploads {
		if u.ID == uploadID {
			ss.refuse(i, why)
		}
	}
}

// End ends the session with all its uploads: the client learns why.
func (s *Session) End(why *Error) { s.of.fail(why) }

// Info tells how it goes.
func (s *Session) Info() SessionInfo { return s.of.info() }

// refuse gives up one upload, once.
func (ss *session) refuse(upload int, why error) {
	if ss.store.refuse(upload) {
		ss.in.forgo(ss.tape.bounds(upload))
		ss.receipt(upload, nil, why)
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

// lost takes what a write or sync of an upload answered: what concerns that upload alone ends it, and is no error.
func (s *store) lost(upload int, err error) error {
	switch CodeOf(err) {
	case CodeTakenOver, CodeCancelled, CodeRefused:
		s.refused(upload, err)
		return nil
	}
	return err
}

// forgo waits no more for what is missing of a part of the tape; what comes of it is ignored.
func (r *receiver) forgo(b Range) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.have.missing(b.Start, b.End, func(m Range) { r.missing -= m.End - m.Start })
	r.have.add(b.Start, b.End)
}
