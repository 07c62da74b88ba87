package platform

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// SessionOf reads a session string with a secret, for tests that replay recorded ones.
func SessionOf(text, secret string) (user string, kind int64, privileges string, expiry int64, ok bool) {
	k, err := parseKS(text, secret)
	return k.user, k.kind, k.privileges, k.expiry, err == nil
}

// NewSession makes a session string.
func NewSession(secret string, partner int64, user string, kind int64, privileges string, expiry int64) string {
	return issueKS(ks{partner: partner, user: user, kind: kind, privileges: privileges, expiry: expiry}, secret).text
}

// NewSessionV1 makes a session string of the older form.
func NewSessionV1(secret string, partner int64, user string, kind int64, privileges string, expiry int64) string {
	info := fmt.Sprintf("%d;%d;%d;%d;1234.5678;%s;%s;;", partner, partner, expiry, kind, user, privileges)
	sum := sha1.Sum([]byte(secret + info))
	return base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:]) + "|" + info))
}

// NewTaggedEntry makes an entry without content, as media.add would.
func NewTaggedEntry(partner int64, id, name, tags string) Entry {
	e := Entry{
		Row: Row{Partner: partner, ID: id}, UserID: "alice", CreatorID: "alice", Name: name, Tags: tags, Status: entryNoContent,
		MediaType: mediaVideo, Type: 1, SourceType: "6", AccessControl: defaultAccessControl,
	}
	e.index()
	return e
}
