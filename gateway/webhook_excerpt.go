package gateway

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxExcerpt is how much of a receiver's answer the delivery log shows, in bytes.
const maxExcerpt = 500

// tokenLike is text that may be a secret: long and without a space, as keys and signatures are.
var tokenLike = regexp.MustCompile(`[A-Za-z0-9+/_=.~-]{24,}`)

// excerpt is the beginning of a receiver's answer for the delivery log. Receivers echo what they got:
// secrets, signatures and the parts of the address that only admins may see are taken out.
func excerpt(body []byte, address string, secrets []string) string {
	text := strings.ToValidUTF8(string(body), "�")
	hide := append([]string{address}, secrets...)
	if u, err := url.Parse(address); err == nil {
		hide = append(hide, u.RequestURI())
		for _, v := range u.Query() {
			hide = append(hide, v...)
		}
		for _, step := range strings.Split(u.Path, "/") {
			if len(step) >= 6 { // shorter ones are words, not secrets
				hide = append(hide, step)
			}
		}
	}
	for _, h := range hide {
		if len(h) >= 3 {
			text = strings.ReplaceAll(text, h, "…")
		}
	}
	text = tokenLike.ReplaceAllString(text, "…")
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text))
	if len(text) > maxExcerpt {
		cut := maxExcerpt
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return text
}
