package gateway

import (
	"net/url"
	"path"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// maxDropPath is the longest path of a folder in bytes.
const maxDropPath = 1000

// cleanDropPath gives a folder's path in one form: steps with "/" between, none of which is empty or leads upwards. As
// the file system spells it: composing would name another directory.
func cleanDropPath(text string) (string, error) {
	bad := func(why string) error {
		return E(Invalid, "path_invalid", "The path "+why+".").Next("Write it like incoming/video, below the hub's own directory or from the top of the bucket.").At("/path")
	}
	if err := checkPathText(text); err != "" {
		return "", bad(err)
	}
	text = strings.TrimSuffix(text, "/")
	if text == "" {
		return "", nil
	}
	if strings.HasPrefix(text, "/") {
		return "", bad("begins with a slash")
	}
	for step := range strings.SplitSeq(text, "/") {
		switch {
		case step == "..", step == ".":
			return "", bad("has dots for a folder")
		case step == "":
			return "", bad("has an empty step")
		case strings.TrimSpace(step) != step:
			return "", bad("has a step that begins or ends with a blank")
		case len(step) > 255:
			return "", bad("has a step that is longer than 255 bytes")
		case step[0] == '.':
			return "", bad("has a hidden step")
		}
	}
	return path.Clean(text), nil
}

func checkPathText(text string) string {
	switch {
	case len(text) > maxDropPath:
		return "is longer than 1000 bytes"
	case strings.ToValidUTF8(text, "\ufffd") != text || strings.ContainsRune(text, '\ufffd'):
		return "is no text"
	case strings.ContainsRune(text, '\\'):
		return "has a backslash"
	case strings.ContainsFunc(text, func(r rune) bool { return unseen(r) || r < ' ' }):
		return "has characters that cannot be seen"
	}
	return ""
}

// place is where a folder looks, for comparison: file systems and stores that take "A" and "a", or composed and
// decomposed letters, for the same must not let two folders look at one place, so they count as the same here.
func (f DropFolder) place() string {
	fold := func(s string) string { return norm.NFC.String(strings.ToLower(norm.NFC.String(s))) }
	switch f.Source {
	case DropDirectory:
		return "directory/" + f.HubID + "/" + fold(strings.Trim(f.Path, "/")) // a hub's directories lie below its own
	case DropBucket:
		at := storeOf(f.Bucket)
		return "bucket/" + at + "/" + strings.ToLower(f.Bucket.Name) + "/" + fold(strings.Trim(f.Path, "/"))
	}
	return ""
}

// storeOf names the store of a bucket: all regions of Amazon's are one, whose buckets' names are unique.
func storeOf(b DropBucketAddress) string {
	u, err := url.Parse(b.Endpoint)
	if b.Endpoint == "" || err != nil {
		return "amazonaws.com"
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "amazonaws.com" || strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn") {
		return "amazonaws.com"
	}
	host = strings.TrimPrefix(host, strings.ToLower(b.Name)+".") // bucket.s3.example.org and s3.example.org/bucket
	if p := u.Port(); p != "" && (u.Scheme != "https" || p != "443") && (u.Scheme != "http" || p != "80") {
		host += ":" + p
	}
	return host
}

// overlaps tells whether one of two folders sees files of the other.
func overlaps(a, b DropFolder) bool {
	x, y := a.place(), b.place()
	if x == "" || y == "" {
		return false
	}
	x, y = strings.TrimSuffix(x, "/")+"/", strings.TrimSuffix(y, "/")+"/"
	return strings.HasPrefix(x, y) || strings.HasPrefix(y, x)
}

// apart refuses a folder that would see files of another one. Another hub's folder is not named.
func apart(f DropFolder, others []DropFolder) error {
	for _, o := range others {
		if o.ID == f.ID || !overlaps(f, o) {
			continue
		}
		e := E(Conflict, "place_taken", "Another drop folder looks at this place already, at a part of it or at what it is part of.").
			Next("Choose a place that is apart from all others.").At("/path")
		if o.HubID == f.HubID {
			e.Message = "The drop folder “" + o.Name + "” looks at this place already, at a part of it or at what it is part of."
		}
		return e
	}
	return nil
}
