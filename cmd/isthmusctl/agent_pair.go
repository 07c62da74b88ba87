package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what strangers on this computer can make the agent keep.
const (
	codeLife       = 10 * time.Minute
	codeTries      = 5
	challengeLife  = time.Minute
	sessionLife    = 12 * time.Hour // without a request
	mostChallenges = 64
	mostSessions   = 64
)

// codeLetters leaves out what looks alike; 32 of them, so that eight make 40 bits.
const codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// agentDoor decides who may talk to the agent. A page is let in for the origin that its key was paired
// for: a person typed the code there that their agent showed for that very origin. The key stays in the
// browser; the agent keeps its public half and gives tokens that end with this process.
type agentDoor struct {
	queue *queue
	key   ed25519.PrivateKey
	ports []int
	port  int
	now   func() time.Time

	mu         sync.Mutex
	pairings   map[string]queuePairing // by key
	code       pairCode
	challenges map[string]pageChallenge
	sessions   map[[sha256.Size]byte]pageSession // by the token's hash
}

type pairCode struct {
	text, origin string
	until        time.Time
	tries        int
	state        string // "", "open", "paired", "spent"
}

type pageChallenge struct {
	origin string
	until  time.Time
}

type pageSession struct {
	origin string
	key    string
	until  time.Time
}

func newAgentDoor(q *queue, ports []int, port int) (*agentDoor, error) {
	key, err := q.key()
	if err != nil {
		return nil, err
	}
	known, err := q.pairings()
	if err != nil {
		return nil, err
	}
	d := &agentDoor{
		queue: q, key: key, ports: ports, port: port, now: time.Now, pairings: map[string]queuePairing{},
		challenges: map[string]pageChallenge{}, sessions: map[[sha256.Size]byte]pageSession{},
	}
	for _, p := range known {
		d.pairings[string(p.Key)] = p
	}
	return d, nil
}

// open makes a code for one origin; an earlier one is void. Its first character tells the page the port,
// so that no other program that listens on one of the others learns the code.
func (d *agentDoor) open(origin string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	text := []byte{byte('0' + 1 + d.portIndex())}
	for _, b := range random {
		text = append(text, codeLetters[int(b)%len(codeLetters)])
	}
	d.code = pairCode{text: string(text), origin: origin, until: d.now().Add(codeLife), tries: codeTries, state: "open"}
	return string(text[:1]) + "-" + string(text[1:5]) + "-" + string(text[5:])
}

func (d *agentDoor) portIndex() int {
	for i, p := range d.ports {
		if p == d.port {
			return i
		}
	}
	return 0
}

// codeState is "open", "paired", "spent" (too many wrong tries) or "over".
func (d *agentDoor) codeState() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.code.state == "open" && d.now().After(d.code.until) || d.code.state == "" {
		return "over"
	}
	return d.code.state
}

// allowed tells whether pages of an origin are answered at all.
func (d *agentDoor) allowed(origin string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.code.state == "open" && d.code.origin == origin && !d.now().After(d.code.until) {
		return true
	}
	for _, p := range d.pairings {
		if p.Origin == origin {
			return true
		}
	}
	return false
}

// pair takes a page's key for the code. A code works once, for its origin, and dies of five wrong tries.
func (d *agentDoor) pair(origin, code string, key ed25519.PublicKey) (agentKey ed25519.PublicKey, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.code.state != "open" || d.now().After(d.code.until) || d.code.origin != origin {
		return nil, &agentProblem{http.StatusForbidden, "no_code", "The agent is not waiting for a code from this page.", "Run isthmusctl agent pair for a new code."}
	}
	code = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
	if subtle.ConstantTimeCompare([]byte(code), []byte(d.code.text)) != 1 {
		if d.code.tries--; d.code.tries == 0 {
			d.code.state = "spent"
			return nil, &agentProblem{http.StatusForbidden, "code_spent", "The code was mistyped too often.", "Run isthmusctl agent pair for a new one."}
		}
		return nil, &agentProblem{http.StatusForbidden, "wrong_code", "The code is not right.", "Compare it with what isthmusctl agent pair shows."}
	}
	p := queuePairing{Origin: origin, Key: key, Created: d.now().UTC()}
	if err := d.queue.pair(p); err != nil {
		return nil, err
	}
	d.pairings[string(key)] = p
	d.code.state = "paired"
	return d.key.Public().(ed25519.PublicKey), nil
}

// challenge is what a page of the origin has to sign next.
func (d *agentDoor) challenge(origin string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := rand.Text()
	makeRoom(d.challenges, mostChallenges, d.now(), func(c pageChallenge) time.Time { return c.until })
	d.challenges[text] = pageChallenge{origin, d.now().Add(challengeLife)}
	return text
}

// session lets a page in that signed its challenge, and proves by a signature over the page's nonce that
// this is the agent that it was paired with. Both name the port: a program on another one cannot pass
// either signature on.
func (d *agentDoor) session(origin string, key ed25519.PublicKey, challenge string, signature []byte, nonce string) (token string, proof []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, known := d.challenges[challenge]
	delete(d.challenges, challenge)
	p, paired := d.pairings[string(key)]
	if !known || d.now().After(c.until) || c.origin != origin || !paired || p.Origin != origin ||
		!ed25519.Verify(p.Key, statement("page", origin, d.port, challenge), signature) {
		return "", nil, errUnpaired
	}
	token = rand.Text() + rand.Text()
	makeRoom(d.sessions, mostSessions, d.now(), func(s pageSession) time.Time { return s.until })
	d.sessions[sha256.Sum256([]byte(token))] = pageSession{origin, string(key), d.now().Add(sessionLife)}
	return token, ed25519.Sign(d.key, statement("agent", origin, d.port, nonce)), nil
}

// enter checks a token and gives the key of the browser that it was made for. The look-up is by hash, so
// its time tells nothing of a token.
func (d *agentDoor) enter(origin, token string) (ed25519.PublicKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hash := sha256.Sum256([]byte(token))
	s, ok := d.sessions[hash]
	if !ok || s.origin != origin || d.now().After(s.until) {
		return nil, errUnpaired
	}
	s.until = d.now().Add(sessionLife)
	d.sessions[hash] = s
	return ed25519.PublicKey(s.key), nil
}

// unpair forgets one browser, and lets it in no more.
func (d *agentDoor) unpair(key ed25519.PublicKey) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.queue.unpair(key); err != nil {
		return err
	}
	delete(d.pairings, string(key))
	for hash, s := range d.sessions {
		if s.key == string(key) {
			delete(d.sessions, hash)
		}
	}
	return nil
}

// unpairOrigin forgets every browser of an origin, and the code that one more was to be paired by.
func (d *agentDoor) unpairOrigin(origin string) error {
	d.mu.Lock()
	if d.code.origin == origin {
		d.code = pairCode{}
	}
	var keys []ed25519.PublicKey
	for _, p := range d.pairings {
		if p.Origin == origin {
			keys = append(keys, p.Key)
		}
	}
	d.mu.Unlock()
	for _, k := range keys {
		if err := d.unpair(k); err != nil {
			return err
		}
	}
	return nil
}

// origins lists who was paired.
func (d *agentDoor) origins() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []string{}
	for _, p := range d.pairings {
		all = append(all, p.Origin)
	}
	return all
}

// makeRoom drops what is over and, when that is not enough, what ends first.
func makeRoom[K comparable, V any](m map[K]V, most int, now time.Time, until func(V) time.Time) {
	for k, v := range m {
		if now.After(until(v)) {
			delete(m, k)
		}
	}
	for len(m) >= most {
		var first K
		var at time.Time
		for k, v := range m {
			if at.IsZero() || until(v).Before(at) {
				first, at = k, until(v)
			}
		}
		delete(m, first)
	}
}

// statement is what a page (who = "page") or the agent signs.
func statement(who, origin string, port int, nonce string) []byte {
	return []byte(strings.Join([]string{"isthmus agent 1", who, origin, strconv.Itoa(port), nonce}, "\n"))
}

// parseOrigin makes the origin of a server's address. Plain http is for servers on this computer: any
// other network could put its own page there, and with it its own requests.
func parseOrigin(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return "", fmt.Errorf("%q is not the address of a server, such as https://isthmus.example.org", address)
	}
	scheme, host, port := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	local := host == "localhost" || strings.HasSuffix(host, ".localhost")
	if a, err := netip.ParseAddr(host); err == nil && a.IsLoopback() {
		local = true
	}
	if scheme != "https" && (scheme != "http" || !local) {
		return "", fmt.Errorf("%s: the agent talks to pages that come by https only, because anybody on the way could change others", address)
	}
	if port == "443" && scheme == "https" || port == "80" && scheme == "http" {
		port = ""
	}
	if port != "" {
		return scheme + "://" + net.JoinHostPort(host, port), nil
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host, nil
}

// readKey reads a public key as pages write it.
func readKey(text string) (ed25519.PublicKey, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, badRequest("The page's key cannot be read.")
	}
	return b, nil
}
