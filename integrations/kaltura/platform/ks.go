package platform

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the format prescribes it
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Types of a session.
const (
	sessionUser  = 0
	sessionAdmin = 2
)

// ks is a Kaltura session: who, what and until when, signed with the partner's administrator secret.
type ks struct {
	text       string
	hash       string // hex; what a logout remembers
	partner    int64
	master     string // partner that impersonates, if any
	user       string
	kind       int64
	expiry     int64 // unix seconds
	privileges string
}

var errKS = errors.New("not a session that this secret signed")

func (k *ks) admin() bool { return k.kind >= 1 }

// widget tells whether it is the anonymous session of a player.
func (k *ks) widget() bool { return k.has("widget", "1") }

// privilege is one name:value of the privilege text. Values are separated by slashes.
type privilege struct{ name, value string }

func parsePrivileges(s string) []privilege {
	var out []privilege
	for p := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(p, ":")
		if name != "" || value != "" {
			out = append(out, privilege{name, value})
		}
	}
	return out
}

// joinPrivileges writes privileges; one that is there twice gets the values of both.
func joinPrivileges(ps []privilege) string {
	var out []string
	at := map[string]int{}
	for _, p := range ps {
		i, again := at[p.name]
		switch {
		case !again:
			at[p.name] = len(out)
			out = append(out, p.name)
			if p.value != "" {
				out[at[p.name]] += ":" + p.value
			}
		case p.value != "" && !strings.Contains(out[i], ":"):
			out[i] += ":" + p.value
		case p.value != "":
			out[i] += "/" + p.value
		}
	}
	return strings.Join(out, ",")
}

// value gives the value of a privilege.
func (k *ks) value(name string) (string, bool) {
	for _, p := range parsePrivileges(k.privileges) {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// has tells whether the session holds name:value, name:* or everything. Whole names are compared:
// the original searches for a substring, and with it "editplaylist:*" opens all lists.
func (k *ks) has(name, value string) bool {
	for _, p := range parsePrivileges(k.privileges) {
		if name != "widget" && (p.name == "*" || p.name == "all" && p.value == "*") {
			return true
		}
		if p.name != name {
			continue
		}
		for v := range strings.SplitSeq(p.value, "/") {
			if v == "*" || v != "" && v == value {
				return true
			}
		}
	}
	return false
}

// issueKS makes a session string of version 2. k.privileges may be as a caller wrote them.
func issueKS(k ks, adminSecret string) ks {
	var q []string
	add := func(name, value string) { q = append(q, phpEncode(name)+"="+phpEncode(value)) }
	seen := map[string]int{}
	for p := range strings.SplitSeq(k.privileges, ",") {
		p = strings.TrimSpace(p)
		if p == "" {
			continue
		}
		if p == "*" {
			p = "all:*"
		}
		name, value, _ := strings.Cut(p, ":")
		if at, ok := seen[name]; ok {
			q[at] = phpEncode(name) + "=" + phpEncode(value)
			continue
		}
		seen[name] = len(q)
		add(name, value)
	}
	add("_e", strconv.FormatInt(k.expiry, 10))
	add("_t", strconv.FormatInt(k.kind, 10))
	add("_u", k.user)
	if k.master != "" {
		add("_m", k.master)
	}
	body := make([]byte, 16, 256)
	_, _ = rand.Read(body) // never fails since Go 1.24
	body = append(body, strings.Join(q, "&")...)
	sum := sha1.Sum(body) //nolint:gosec // the format prescribes it
	plain := append(sum[:], body...)
	for len(plain)%aes.BlockSize != 0 {
		plain = append(plain, 0)
	}
	crypt(adminSecret, plain, true)
	raw := append([]byte(fmt.Sprintf("v2|%d|", k.partner)), plain...)
	k.text = strings.NewReplacer("+", "-", "/", "_").Replace(base64.StdEncoding.EncodeToString(raw))
	out, err := parseKS(k.text, adminSecret)
	if err != nil {
		panic("platform: a fresh KS does not parse: " + err.Error())
	}
	return out
}

// ksPartner gives the partner id that a session names, before its signature is checked.
func ksPartner(s string) (int64, error) {
	raw, err := decodeKS(s)
	if err != nil {
		return 0, err
	}
	var id string
	if rest, ok := strings.CutPrefix(string(raw), "v2|"); ok {
		id, _, _ = strings.Cut(rest, "|")
	} else {
		_, info, ok := strings.Cut(string(raw), "|")
		if !ok {
			return 0, errKS
		}
		id, _, _ = strings.Cut(info, ";")
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0, errKS
	}
	return n, nil
}

// parseKS checks the signature against a comma list of administrator secrets. It looks at form and
// signature only; expiry and restrictions are checked later.
func parseKS(s, adminSecrets string) (ks, error) {
	raw, err := decodeKS(s)
	if err != nil {
		return ks{}, err
	}
	for secret := range strings.SplitSeq(adminSecrets, ",") {
		var k ks
		if rest, ok := strings.CutPrefix(string(raw), "v2|"); ok {
			k, err = parseV2(rest, secret)
		} else {
			k, err = parseV1(string(raw), secret)
		}
		if err == nil {
			k.text = s
			return k, nil
		}
	}
	return ks{}, errKS
}

func decodeKS(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSpace(s))
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return nil, errKS
	}
	return raw, nil
}

func parseV2(rest, secret string) (ks, error) {
	id, sealed, ok := strings.Cut(rest, "|")
	if !ok || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return ks{}, errKS
	}
	partner, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return ks{}, errKS
	}
	plain := []byte(sealed)
	crypt(secret, plain, false)
	plain = []byte(strings.TrimRight(string(plain), "\x00"))
	if len(plain) < sha1.Size+16 {
		return ks{}, errKS
	}
	sum := sha1.Sum(plain[sha1.Size:]) //nolint:gosec // the format prescribes it
	if subtle.ConstantTimeCompare(sum[:], plain[:sha1.Size]) != 1 {
		return ks{}, errKS
	}
	k := ks{partner: partner, hash: hex.EncodeToString(sum[:])}
	var ps []privilege
	at := map[string]int{}
	for pair := range strings.SplitSeq(string(plain[sha1.Size+16:]), "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, value = phpDecode(name), phpDecode(value)
		switch name {
		case "_e":
			k.expiry = number(value)
		case "_t":
			k.kind = number(value)
		case "_u":
			k.user = value
		case "_m":
			k.master = value
		case "_d", "":
		default:
			name = strings.NewReplacer(".", "_", " ", "_").Replace(name)
			if i, ok := at[name]; ok {
				ps[i].value = value
				continue
			}
			at[name] = len(ps)
			ps = append(ps, privilege{name, value})
		}
	}
	if k.privileges = joinPrivileges(ps); k.privileges == "all:*" {
		k.privileges = "*"
	}
	return k, nil
}

func parseV1(raw, secret string) (ks, error) {
	sum, info, ok := strings.Cut(raw, "|")
	if !ok {
		return ks{}, errKS
	}
	want := sha1.Sum([]byte(secret + info)) //nolint:gosec // the format prescribes it
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(want[:])), []byte(sum)) != 1 {
		return ks{}, errKS
	}
	f := strings.Split(info, ";")
	if len(f) < 3 {
		return ks{}, errKS
	}
	for len(f) < 9 {
		f = append(f, "")
	}
	return ks{
		hash: sum, partner: number(f[0]), expiry: number(f[2]), kind: number(f[3]),
		user: f[5], privileges: f[6], master: f[7],
	}, nil
}

// crypt runs AES-128-CBC with a zero vector over data in place. The key is half of the secret's SHA-1.
func crypt(secret string, data []byte, encrypt bool) {
	key := sha1.Sum([]byte(secret)) //nolint:gosec // the format prescribes it
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		panic(err) // the key always has 16 bytes
	}
	iv := make([]byte, aes.BlockSize)
	if encrypt {
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	} else {
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(data, data)
	}
}

func phpEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "~", "%7E") }

func phpDecode(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// expired tells whether the session is over. There is no tolerance.
func (k *ks) expired(now time.Time) bool { return k.expiry <= now.Unix() }
