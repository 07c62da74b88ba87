package transfer

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"

	"isthmus/transfer/udp"
	"isthmus/transfer/wire"
)

// Config is what a Server needs.
type Config struct {
	Certificate tls.Certificate // whose KeyHash clients pin
	Tickets     Tickets
	Files       Files

	// H3 gets the connections that asked for HTTP/3; nil: they are refused. It runs in a goroutine of its
	// own and owns the connection. H3TLS is their TLS configuration; nil: the same certificate.
	H3    func(*quic.Conn)
	H3TLS *tls.Config

	// Secret keeps clients of a server that restarts from waiting for the timeout: give the same one
	// again. None: a random one.
	Secret []byte
	Limits Limits
	Log    *slog.Logger // nil: slog.Default

	// OneSocket forgoes a socket per session, as systems have to that cannot share a port.
	OneSocket bool
}

// Server receives files. All methods are safe for concurrent use.
type Server struct {
	cfg       Config
	log       *slog.Logger
	gate      gate
	socket    *net.UDPConn
	demux     *demux // nil: sessions have sockets of their own
	transport *quic.Transport
	listener  *quic.Listener
	running   sync.WaitGroup

	mu       sync.Mutex
	sessions map[uint32]*session
	writers  map[string]*session // by upload id
	claims   uint64
}

// Listen opens the UDP port; Serve begins to answer.
func Listen(addr string, cfg Config) (*Server, error) {
	if cfg.Tickets == nil || cfg.Files == nil || len(cfg.Certificate.Certificate) == 0 {
		return nil, errors.New("transfer: Config needs Certificate, Tickets and Files")
	}
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{
		cfg: cfg, log: cfg.Log, gate: gate{limits: cfg.Limits},
		sessions: map[uint32]*session{}, writers: map[string]*session{},
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.cfg.Secret == nil {
		s.cfg.Secret = make([]byte, 32)
		_, _ = rand.Read(s.cfg.Secret) // never fails
	}
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	if s.socket, err = s.bind(a); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, errors.Join(err, s.socket.Close())
	}
	return s, nil
}

// bind opens the port on an address; without one on all, of both families where there are two.
func (s *Server) bind(a *net.UDPAddr) (*net.UDPConn, error) {
	if a.IP != nil {
		return s.bindTo(a.AddrPort())
	}
	c, err := s.bindTo(netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(a.Port)))
	if errors.Is(err, syscall.EAFNOSUPPORT) {
		return s.bindTo(netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(a.Port)))
	}
	return c, err
}

func (s *Server) bindTo(ap netip.AddrPort) (*net.UDPConn, error) {
	shared := udp.CanShare && !s.cfg.OneSocket
	if shared {
		// Sockets that share a port do not mind other processes': a second server would silently take half of the packets.
		alone, err := udp.Listen(ap, false)
		if err != nil {
			return nil, err
		}
		ap = netip.AddrPortFrom(ap.Addr(), alone.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		if err := alone.Close(); err != nil {
			return nil, err
		}
	}
	return udp.Listen(ap, shared)
}

func (s *Server) listen() error {
	reset, err := hkdf.Key(sha256.New, s.cfg.Secret, nil, "stateless reset", 32)
	if err != nil {
		return err
	}
	token, err := hkdf.Key(sha256.New, s.cfg.Secret, nil, "address token", 32)
	if err != nil {
		return err
	}
	s.transport = &quic.Transport{
		Conn:                s.socket,
		StatelessResetKey:   (*quic.StatelessResetKey)(reset),
		TokenGeneratorKey:   (*quic.TokenGeneratorKey)(token),
		VerifySourceAddress: s.gate.suspect,
		ConnContext:         s.gate.admit,
	}
	if !udp.CanShare || s.cfg.OneSocket {
		if s.demux, err = newDemux(s.socket, s.route); err != nil {
			return err
		}
		s.transport.Conn = s.demux
	}
	l := s.cfg.Limits
	s.listener, err = s.transport.Listen(s.tls(), &quic.Config{
		HandshakeIdleTimeout:           l.Handshake,
		MaxIdleTimeout:                 l.Idle,
		MaxIncomingStreams:             16,
		MaxIncomingUniStreams:          4,
		InitialStreamReceiveWindow:     128 << 10,
		MaxStreamReceiveWindow:         4 << 20,
		InitialConnectionReceiveWindow: 256 << 10,
		MaxConnectionReceiveWindow:     6 << 20,
		AllowConnectionWindowIncrease:  s.gate.grow,
		Tracer:                         qlog.DefaultConnectionTracer, // writes where QLOGDIR says, if it does
	})
	return err
}

// tls chooses the configuration by what the client asks for.
func (s *Server) tls() *tls.Config {
	own := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{s.cfg.Certificate}, NextProtos: []string{ALPN},
		SessionTicketsDisabled: true,
	}
	h3 := s.cfg.H3TLS
	if h3 == nil {
		h3 = own
	}
	h3 = h3.Clone()
	h3.NextProtos = []string{"h3"}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			switch {
			case slices.Contains(hello.SupportedProtos, ALPN):
				return own, nil
			case s.cfg.H3 != nil && slices.Contains(hello.SupportedProtos, "h3"):
				return h3, nil
			}
			return nil, errors.New("no common protocol")
		},
	}
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.socket.LocalAddr().(*net.UDPAddr).AddrPort() }

// Serve answers until ctx ends; then it closes all sessions, writes what they took to disk and returns.
func (s *Server) Serve(ctx context.Context) error {
	if s.demux == nil {
		s.running.Go(func() { s.readHellos(ctx) })
	}
	var err error
	for {
		var conn *quic.Conn
		if conn, err = s.listener.Accept(ctx); err != nil {
			break
		}
		leave, ok := s.gate.enter(conn)
		if !ok {
			_ = conn.CloseWithError(quic.ApplicationErrorCode(CodeBusy), "too many connections from this address")
			continue
		}
		s.running.Go(func() {
			defer leave()
			if conn.ConnectionState().TLS.NegotiatedProtocol == ALPN {
				s.serve(conn)
				return
			}
			s.cfg.H3(conn)
			<-conn.Context().Done()
		})
	}
	for _, ss := range s.all() {
		ss.fail(fail(CodeRetry, "the server stops"))
	}
	err = errors.Join(s.listener.Close(), s.transport.Close(), s.socket.Close())
	s.running.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Server) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*session
	for _, ss := range s.sessions {
		all = append(all, ss)
	}
	return all
}

// Sessions lists the clients that are sending now.
func (s *Server) Sessions() []SessionInfo {
	s.mu.Lock()
	sessions := map[*session]bool{}
	for _, ss := range s.writers { // only those whose ticket was accepted
		sessions[ss] = true
	}
	s.mu.Unlock()
	var all []SessionInfo
	for ss := range sessions {
		all = append(all, ss.info())
	}
	return all
}

// readHellos gets what is not QUIC from the listening socket: Hellos of sessions that have no socket yet, or whose
// address changed.
func (s *Server) readHellos(ctx context.Context) {
	b := make([]byte, 2048)
	for {
		n, from, err := s.transport.ReadNonQUICPacket(ctx, b)
		if err != nil {
			return
		}
		if a, ok := from.(*net.UDPAddr); ok {
			ap := a.AddrPort()
			s.route(b[:n], netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()))
		}
	}
}

// route brings a packet from the listening socket to its session. The tag is checked there.
func (s *Server) route(b []byte, from netip.AddrPort) {
	h, err := wire.ParseHeader(b)
	if err != nil {
		return
	}
	s.mu.Lock()
	ss := s.sessions[h.Session]
	s.mu.Unlock()
	if ss != nil {
		ss.in.packet(b, from, time.Now())
	}
}

// register makes a session reachable for its packets; false: its id is taken.
func (s *Server) register(ss *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[ss.in.session] != nil {
		return false
	}
	s.sessions[ss.in.session] = ss
	return true
}

var errTaken = fail(CodeTakenOver, "another client is sending this upload now")

// claim makes ss the only writer of its uploads. Whoever is writing one of them is told and ends first. Of several that
// wait for that the one that came last wins: the others may be connections that their client gave up.
func (s *Server) claim(ctx context.Context, ss *session) error {
	s.mu.Lock()
	s.claims++
	ss.turn = s.claims
	s.mu.Unlock()
	for {
		other := s.tryClaim(ss)
		if other == nil {
			return nil
		}
		if other.turn > ss.turn {
			return errTaken
		}
		other.fail(errTaken)
		select {
		case <-other.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Server) tryClaim(ss *session) (other *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range ss.grant.Uploads {
		if o := s.writers[u.ID]; o != nil && o != ss {
			return o
		}
	}
	for _, u := range ss.grant.Uploads {
		s.writers[u.ID] = ss
	}
	return nil
}

// forget undoes register and claim.
func (s *Server) forget(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[ss.in.session] == ss {
		delete(s.sessions, ss.in.session)
	}
	for _, u := range ss.grant.Uploads {
		if s.writers[u.ID] == ss {
			delete(s.writers, u.ID)
		}
	}
}
