package platform

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"
)

// Limits of a request without its files. More is not read.
const (
	maxBody   = 8 << 20
	maxFields = 5000
	maxSpool  = 2000 << 20 // of a file whose form ends after it; the limit that the original ships with
)

// upload is a file sent with a request.
type upload struct {
	name string
	body io.Reader
	temp *os.File // set when the file was put aside
}

func (u *upload) close() {
	if u.temp != nil {
		_ = u.temp.Close()
		_ = os.Remove(u.temp.Name())
	}
}

// request is one decoded request.
type request struct {
	platform *Platform
	http     *http.Request
	params   args
	direct   map[string]string // from path and query only
	file     map[string]*upload
	whole    bool // a part named json has brought all parameters
}

func (q *request) close() {
	for _, u := range q.file {
		u.close()
	}
}

// decode reads parameters from body, query and path. Later ones win: the address overrides the body.
// A file is streamed when everything that the upload action can want came before it, else it is put
// aside on disk so that the rest of the form can be read first.
func (p *Platform) decode(r *http.Request) (*request, error) {
	q := &request{platform: p, http: r, params: args{}, direct: map[string]string{}, file: map[string]*upload{}}
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.EscapedPath(), "/api_v3"), "/")
	path = strings.TrimPrefix(strings.TrimPrefix(path, "index.php"), "/")
	q.direct = pairs(path)
	if _, ok := q.direct["service"]; !ok && path == "service/multirequest" {
		q.direct["service"] = "multirequest"
	}
	query, _ := url.ParseQuery(r.URL.RawQuery) // what cannot be parsed is left out, as PHP does
	for k, v := range query {
		if _, ok := q.direct[k]; !ok {
			q.direct[k] = v[len(v)-1]
		}
	}
	kind, kindParams, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "multipart/form-data":
		if err := q.multipart(multipart.NewReader(r.Body, kindParams["boundary"])); err != nil {
			return q, err
		}
	case "application/json":
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return q, err
		}
		q.json(body)
	default:
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return q, err
		}
		form, _ := url.ParseQuery(string(body))
		n := 0
		for k, v := range form {
			if n++; n > maxFields {
				break
			}
			put(q.params, strings.TrimSuffix(k, "[]"), clean(v[len(v)-1]))
		}
	}
	tree := map[string]any{}
	for k, v := range q.direct {
		put(tree, k, clean(v))
	}
	merge(q.params, tree)
	return q, nil
}

// json lays a JSON object over the parameters. Anything else is ignored, as if there were no body.
func (q *request) json(body []byte) {
	body = bytes.TrimSpace(body)
	if !bytes.HasPrefix(body, []byte("{")) || !bytes.HasSuffix(body, []byte("}")) {
		return
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var tree map[string]any
	if d.Decode(&tree) != nil {
		return
	}
	flat := map[string]any{}
	for k, v := range tree {
		put(flat, k, v)
	}
	merge(q.params, flat)
}

func (q *request) multipart(mr *multipart.Reader) error {
	for n := 0; n < maxFields; n++ {
		part, err := mr.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return refuse("UPLOAD_PARTIAL_ERROR")
		}
		name := part.FormName()
		if _, isFile := fileName(part); !isFile {
			value, err := io.ReadAll(io.LimitReader(part, maxBody))
			if err != nil {
				return refuse("UPLOAD_PARTIAL_ERROR")
			}
			if name == "json" {
				q.json(value)
				q.whole = true
			} else {
				put(q.params, name, clean(string(value)))
			}
			continue
		}
		shown, _ := fileName(part)
		u := &upload{name: shown, body: part}
		q.file[name] = u
		if q.complete() {
			return nil
		}
		if u.temp, err = os.CreateTemp("", "kaltura-upload-*"); err != nil {
			return err
		}
		limit := q.spool()
		n, err := io.Copy(u.temp, io.LimitReader(part, limit+1))
		if err != nil {
			return refuse("UPLOAD_PARTIAL_ERROR")
		}
		if n > limit {
			return refuse("UPLOAD_ERROR")
		}
		if _, err := u.temp.Seek(0, io.SeekStart); err != nil {
			return err
		}
		u.body = u.temp
	}
	return nil
}

// complete tells whether all parameters of an upload are known, so that its file can be streamed.
// A part named json always holds all of them.
func (q *request) complete() bool {
	if q.whole {
		return true
	}
	known := func(name string) bool {
		_, direct := q.direct[name]
		return direct || q.params.has(name)
	}
	for _, name := range []string{"ks", "uploadTokenId", "resume", "finalChunk", "resumeAt"} {
		if !known(name) {
			return false
		}
	}
	return true
}

// spool is how much of a file may be put aside before the rest of the form is known. Without a
// session before it, that is what a stranger can write to our disk.
func (q *request) spool() int64 {
	text := q.params.str("ks")
	if v, ok := q.direct["ks"]; ok {
		text = v
	}
	partner, err := ksPartner(text)
	if err != nil {
		return maxBody
	}
	acc, _, err := q.platform.account(q.http.Context(), partner)
	if err != nil {
		return maxBody
	}
	k, err := parseKS(text, acc.adminSecret)
	if err != nil || k.expired(q.platform.Clock()) || k.widget() && !k.admin() {
		return maxBody
	}
	return maxSpool
}

// fileName gives the name of a file part as it was sent, folders cut off; false for a field.
func fileName(part *multipart.Part) (string, bool) {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return "", false
	}
	name, ok := params["filename"]
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	return name, ok
}

// pairs reads a chain of key/value segments. When a key repeats, the first wins.
func pairs(path string) map[string]string {
	out := map[string]string{}
	seg := strings.Split(path, "/")
	for i := 0; i+1 < len(seg); i += 2 {
		k, err1 := url.PathUnescape(seg[i])
		v, err2 := url.PathUnescape(seg[i+1])
		if _, have := out[k]; k != "" && !have && err1 == nil && err2 == nil {
			out[k] = v
		}
	}
	return out
}

// clean drops invalid UTF-8.
func clean(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "")
}
