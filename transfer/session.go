package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

// session is one client on the server: its control connection, data path and store.
type session struct {
	s      *Server
	conn   *quic.Conn
	stream *quic.Stream
	grant  Grant
	tape   tape
	turn   uint64 // of those that claim uploads
	in     *receiver
	store  *store
	ended  chan struct{} // everything taken is on disk

	failing sync.Once
	err     error

	outMu  sync.Mutex // messages are written whole
	pausMu sync.Mutex
	paused time.Time     // since when; zero: it is not
	rested time.Duration // paused since the last look

	listed bool // the client knows all uploads; guarded by Server.mu
}

// serve runs a session to its end.
func (s *Server) serve(conn *quic.Conn) {
	ss := &session{s: s, conn: conn, ended: make(chan struct{})}
	ss.fail(ss.run(conn.Context()))
	s.log.Debug("transfer session ended", "peer", conn.RemoteAddr(), "error", ss.err)
}

// fail closes the connection, once; the session ends by that.
func (ss *session) fail(err error) {
	ss.failing.Do(func() {
		ss.err = err
		e := asError(err, CodeInternal, "")
		code := e.Code
		if err == nil {
			code = CodeDone
		}
		_ = ss.conn.CloseWithError(quic.ApplicationErrorCode(code), wire.Clip(e.Text)) // it has to fit into a packet
	})
}

func (ss *session) run(ctx context.Context) error {
	secrets, err := sessionSecrets(ss.conn.ConnectionState().TLS)
	if err != nil {
		return err
	}
	if ss.in, err = newReceiver(secrets, time.Now()); err != nil {
		return err
	}
	ss.in.tape, ss.in.fail, ss.in.connect = &ss.tape, ss.fail, ss.connect
	defer close(ss.ended)
	if !ss.s.register(ss) {
		return fail(CodeRetry, "the session id is taken")
	}
	defer ss.s.forget(ss)
	defer ss.in.stop()

	token, err := ss.open(ctx)
	if err != nil {
		return err
	}
	ss.grant, err = ss.s.cfg.Tickets.Open(ctx, token)
	if err != nil {
		return asError(err, CodeTicket, "the ticket is not valid")
	}
	if ss.grant.Close != nil {
		defer ss.grant.Close()
	}
	if !ss.grant.Expires.IsZero() && !time.Now().Before(ss.grant.Expires) {
		return fail(CodeTicket, "the ticket has expired")
	}
	ss.in.share = ss.grant.Share
	for _, u := range ss.grant.Uploads {
		if !ss.tape.add(u.Size) || len(u.ID) > wire.MaxID || len(u.Name) > wire.MaxName {
			return fmt.Errorf("grant: upload %q is not possible", u.ID)
		}
	}
	if err := ss.s.claim(ctx, ss); err != nil {
		return err
	}
	if ss.grant.Start != nil {
		if err := ss.grant.Start(ctx, &Session{ss}); err != nil {
			return asError(err, CodeRefused, "the uploads cannot be sent now")
		}
	}
	return ss.receive(ctx)
}

// open waits for the ticket. A second stream is against the protocol.
func (ss *session) open(ctx context.Context) (string, error) {
	octx, cancel := context.WithTimeout(ctx, ss.s.cfg.Limits.Handshake)
	defer cancel()
	stream, err := ss.conn.AcceptStream(octx)
	if err != nil {
		return "", &Error{Code: CodeProtocol, Text: "no Open came", Err: err}
	}
	ss.stream = stream
	ss.s.running.Go(func() {
		if _, err := ss.conn.AcceptStream(ctx); err == nil {
			ss.fail(fail(CodeProtocol, "one stream only"))
		}
	})
	ss.s.running.Go(func() {
		if _, err := ss.conn.AcceptUniStream(ctx); err == nil {
			ss.fail(fail(CodeProtocol, "one stream only"))
		}
	})
	if err := stream.SetReadDeadline(time.Now().Add(ss.s.cfg.Limits.Handshake)); err != nil {
		return "", err
	}
	m, err := wire.ReadMessage(stream, wire.MaxClientBody)
	if err != nil {
		return "", readError(err)
	}
	if m.Type != wire.MsgOpen {
		return "", fail(CodeProtocol, "the first message must be Open")
	}
	open, err := wire.ParseOpen(m.Body)
	if err != nil {
		return "", readError(err)
	}
	return open.Ticket, stream.SetReadDeadline(time.Time{})
}

func readError(err error) error {
	var n net.Error
	if errors.Is(err, wire.ErrFormat) || errors.As(err, &n) && n.Timeout() {
		return &Error{Code: CodeProtocol, Text: "a message that cannot be read", Err: err}
	}
	return closed(err)
}

// receive runs the data path and answers messages until the connection ends; then everything taken is
// written and synced.
func (ss *session) receive(ctx context.Context) error {
	st := newStore(context.WithoutCancel(ctx), ss.s.cfg.Files, ss.grant.Uploads, &ss.tape, ss.s.cfg.Limits.Buffer)
	st.steal, st.fail, st.receipt, st.refused = ss.in.take, ss.fail, ss.receipt, ss.refuse
	ss.store, ss.in.store = st, st
	var writing, finishing sync.WaitGroup
	writing.Go(st.write)
	finishing.Go(st.finishes)
	finishing.Go(func() { st.syncs(ss.in.done) })
	finishing.Go(ss.in.reports)
	finishing.Go(func() { ss.watch(ctx) })
	defer func() {
		ss.in.stop()
		st.end()
		writing.Wait()
		if err := st.flush(); err != nil {
			ss.s.log.Error("transfer: last bytes of a session", "error", err)
		}
		close(st.ready)
		finishing.Wait()
	}()
	if err := ss.welcome(ctx); err != nil {
		return err
	}
	for {
		m, err := wire.ReadMessage(ss.stream, wire.MaxClientBody)
		if err != nil {
			return readError(err)
		}
		if err := ss.message(m); err != nil {
			return err
		}
	}
}

func (ss *session) message(m wire.Message) error {
	switch m.Type {
	case wire.MsgFinish:
		f, err := wire.ParseFinish(m.Body)
		if err != nil {
			return readError(err)
		}
		return ss.store.finish(f)
	case wire.MsgPause:
		p, err := wire.ParsePause(m.Body)
		if err != nil {
			return readError(err)
		}
		ss.pause(p, time.Now())
		if p {
			ss.in.rest()
		} else {
			ss.in.authorise()
		}
	case wire.MsgCancel:
		u, err := wire.ParseCancel(m.Body)
		if err != nil {
			return readError(err)
		}
		if err := ss.store.cancel(u); err != nil {
			return err
		}
		ss.in.forgo(ss.tape.bounds(u))
	}
	return nil
}

// pause notes that the client pauses, or goes on.
func (ss *session) pause(paused bool, now time.Time) {
	ss.pausMu.Lock()
	defer ss.pausMu.Unlock()
	if paused == !ss.paused.IsZero() {
		return
	}
	if paused {
		ss.paused = now
		return
	}
	ss.rested += now.Sub(ss.paused)
	ss.paused = time.Time{}
}

// rest is how long the session was paused since the last call.
func (ss *session) rest(now time.Time) time.Duration {
	ss.pausMu.Lock()
	defer ss.pausMu.Unlock()
	if !ss.paused.IsZero() {
		ss.rested += now.Sub(ss.paused)
		ss.paused = now
	}
	d := ss.rested
	ss.rested = 0
	return d
}

func (ss *session) isPaused() bool {
	ss.pausMu.Lock()
	defer ss.pausMu.Unlock()
	return !ss.paused.IsZero()
}

func (ss *session) send(typ byte, body []byte) error {
	ss.outMu.Lock()
	defer ss.outMu.Unlock()
	return wire.WriteMessage(ss.stream, typ, body)
}

// welcome sends Welcome and the manifest, page by page, so that a client with many files can begin soon.
func (ss *session) welcome(ctx context.Context) error {
	w := wire.Welcome{Uploads: len(ss.grant.Uploads), Tape: ss.tape.end, Datagram: wire.MaxDatagram}
	if err := ss.send(wire.MsgWelcome, w.Append(nil)); err != nil {
		return closed(err)
	}
	ss.in.authorise()
	const pageEntries, pageBytes = 500, 64 << 10
	var page []byte
	var ended []int
	count := 0
	flush := func() error {
		if count == 0 {
			return nil
		}
		body := append(binary.AppendUvarint(nil, uint64(count)), page...)
		page, count = page[:0], 0
		if err := ss.send(wire.MsgManifest, body); err != nil {
			return err
		}
		for _, i := range ended { // of a page that is known now
			ss.receiptOf(i)
		}
		ended = ended[:0]
		return nil
	}
	for i, u := range ss.grant.Uploads {
		have, over, err := ss.had(ctx, u)
		if err != nil {
			return err
		}
		b := ss.tape.bounds(i)
		ss.in.list(have, b.Start, b.End)
		if over {
			ss.store.over(i)
			ended = append(ended, i)
		}
		ss.store.had(i, ranges(have).total())
		page = wire.Entry{ID: u.ID, Name: u.Name, Size: u.Size, Have: have}.Append(page)
		if count++; count == pageEntries || len(page) > pageBytes {
			if err := flush(); err != nil {
				return closed(err)
			}
		}
	}
	if err := flush(); err != nil {
		return closed(err)
	}
	ss.s.mu.Lock()
	defer ss.s.mu.Unlock()
	ss.listed = true
	return nil
}

// had gives what the server has of an upload; over: it has ended, nothing of it is wanted.
func (ss *session) had(ctx context.Context, u Upload) (have []Range, over bool, err error) {
	if _, over := ss.grant.Ended[u.ID]; over {
		return fit([]Range{{Start: 0, End: u.Size}}, u.Size), true, nil
	}
	if have, err = ss.s.cfg.Files.Durable(ctx, u.ID); err != nil {
		return nil, false, asError(err, CodeStorage, "the server could not read what it has")
	}
	if have = fit(have, u.Size); len(have) > 10_000 {
		have = have[:10_000] // the rest comes again; a page stays small
	}
	return have, false, nil
}

// receiptOf repeats how an upload ended.
func (ss *session) receiptOf(upload int) {
	if end := ss.grant.Ended[ss.grant.Uploads[upload].ID]; end.Err != nil {
		ss.receipt(upload, nil, end.Err)
	} else {
		ss.receipt(upload, end.SHA256, nil)
	}
}

// fit leaves out of a Files' answer what the protocol cannot say.
func fit(have []Range, size int64) []Range {
	var out ranges
	for _, h := range have {
		out.add(max(h.Start, 0), min(h.End, size))
	}
	return out
}

func (ss *session) receipt(upload int, sum []byte, err error) {
	var serr error
	if err == nil {
		serr = ss.send(wire.MsgReceipt, wire.Receipt{Upload: upload, SHA256: sum, Time: time.Now()}.Append(nil))
	} else {
		e := asError(err, CodeInternal, "the server could not finish this upload")
		if e.Err != nil {
			ss.s.log.Error("transfer: upload not finished", "upload", ss.grant.Uploads[upload].ID, "error", err)
		}
		serr = ss.send(wire.MsgRefused, wire.Refused{Upload: upload, Code: uint64(e.Code), Text: e.Text}.Append(nil))
	}
	if serr != nil {
		ss.fail(closed(serr))
	}
}

// watch ends a session that takes a place without using it, or more than its share.
func (ss *session) watch(ctx context.Context) {
	l := ss.s.cfg.Limits
	slow, fast := time.NewTicker(l.LeastOver), time.NewTicker(l.ExcessOver)
	defer slow.Stop()
	defer fast.Stop()
	taken, idle, carried := ss.in.progress()
	_, mostBefore, freeBefore := ss.in.spend(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case <-ss.in.done:
			return
		case <-slow.C:
			now, complete, _ := ss.in.progress()
			came := now - taken
			taken = now
			if complete && idle { // its digests may take long; that needs no socket and no buffer
				ss.in.rest()
			}
			idle = complete
			active := l.LeastOver - ss.rest(time.Now())
			share := ss.share()
			held := share >= 0 && share < int64(4*8*l.LeastRate) || ss.store.waiting() > 0 // slow on our own demand
			if active > l.LeastOver/4 && !complete && !held && came < int64(float64(l.LeastRate)*active.Seconds()) {
				ss.fail(fail(CodeSlow, "too slow for too long"))
				return
			}
		case <-fast.C:
			before := carried
			_, _, carried = ss.in.progress()
			allowed, most, free := ss.in.spend(time.Now())
			// A pacer's unevenness is forgiven, and what was under way when the share fell.
			allowed = 1.25*allowed + excessSlack + max(most, mostBefore)
			if !free && !freeBefore && float64(carried-before) > allowed {
				ss.fail(fail(CodeRate, "faster than the server allows"))
				return
			}
			mostBefore, freeBefore = most, free
		}
	}
}

// excessSlack is forgiven in each period, in bytes.
const excessSlack = 1 << 20

// share is the rate that the session may have now, in bit/s; negative: any.
func (ss *session) share() int64 {
	if ss.grant.Share == nil {
		return -1
	}
	return ss.grant.Share().Rate
}

// SessionInfo is one client of a server now.
type SessionInfo struct {
	Uploads []Upload
	Peer    netip.AddrPort // of the control connection
	Since   time.Time
	Taken   int64         // bytes of payload in this session
	Missing int64         // bytes to come
	Paused  bool          // by the client
	Carried int64         // bytes of all data packets that came, repeated ones too
	Forged  int64         // packets dropped: wrong tag, seen before, too old
	Late    int64         // packets that came when the client had taken them for lost
	Sent    int64         // packets that the client sent, as far as the newest one that came tells
	Came    int64         // of them that came
	RTT     time.Duration // of the control connection
	Storage bool          // the files hold it up: bytes or the ends of uploads wait for them
}

func (ss *session) info() SessionInfo {
	i := SessionInfo{Uploads: ss.grant.Uploads, Since: ss.in.started, Paused: ss.isPaused()}
	if a, ok := ss.conn.RemoteAddr().(*net.UDPAddr); ok {
		i.Peer = a.AddrPort()
	}
	ss.in.mu.Lock()
	defer ss.in.mu.Unlock()
	i.Taken, i.Missing, i.Carried = ss.in.taken, ss.in.missing, ss.in.carried
	if ss.in.listed > 0 { // since then it has a store
		i.Storage = ss.in.behind || i.Missing == 0 && ss.in.store.finishing()
	}
	i.Forged, i.Late = ss.in.forged, int64(ss.in.late)
	i.Sent, i.Came, i.RTT = int64(ss.in.opener.Seen.Next()), ss.in.came, ss.conn.ConnectionStats().SmoothedRTT
	return i
}

// connect opens the way to a peer: a socket of its own where the system can, otherwise the common one.
func (ss *session) connect(peer netip.AddrPort) (path, error) {
	if d := ss.s.demux; d != nil {
		return &commonPath{d.conn.UDPConn, peer}, nil
	}
	if ss.s.gate.talks(peer) { // whose packets the socket would take
		return nil, errors.New("a control connection comes from there")
	}
	local := ss.s.Addr()
	// The control connection knows which of our addresses the client sees, where the socket has all of them.
	if a, ok := ss.conn.LocalAddr().(*net.UDPAddr); ok && !a.IP.IsUnspecified() {
		local = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), local.Port())
	}
	c, err := udp.Connect(local, peer)
	if err != nil {
		ss.s.log.Warn("transfer: no socket for a peer", "error", err)
		return nil, err
	}
	p := &ownPath{conn: c}
	ss.s.running.Go(func() { p.read(ss.in) })
	return p, nil
}
