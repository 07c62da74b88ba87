package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// conditional gives every JSON that is read a strong ETag and answers If-None-Match with 304. The tag is
// of the very bytes, because rows have columns that change without a version; where the handler names a
// version, that comes first and is all that If-Match looks at.
func conditional(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method != http.MethodGet {
			return next(c)
		}
		out := c.Response()
		real := out.Writer
		w := &tagging{ResponseWriter: real, asked: r.Header.Get("If-None-Match")}
		out.Writer = w
		err := next(c)
		out.Writer = real
		if werr := w.end(); err == nil {
			err = werr
		}
		if w.status == http.StatusNotModified {
			out.Status = w.status // for the log
		}
		return err
	}
}

// tagging holds back the JSON of a 200 answer; everything else passes, streams above all.
type tagging struct {
	http.ResponseWriter
	asked  string
	status int
	hold   bool
	body   bytes.Buffer
}

func (t *tagging) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tagging) WriteHeader(status int) {
	if t.status != 0 {
		return
	}
	t.status = status
	kind, _, _ := mime.ParseMediaType(t.Header().Get("Content-Type"))
	if t.hold = status == http.StatusOK && kind == "application/json"; !t.hold {
		t.ResponseWriter.WriteHeader(status)
	}
}

func (t *tagging) Write(b []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	if t.hold {
		return t.body.Write(b)
	}
	return t.ResponseWriter.Write(b)
}

func (t *tagging) end() error {
	if !t.hold {
		return nil
	}
	sum := sha256.Sum256(t.body.Bytes())
	content := base64.RawURLEncoding.EncodeToString(sum[:12])
	tag := `"` + content + `"`
	if version := strings.Trim(t.Header().Get("ETag"), `"`); version != "" {
		tag = `"` + version + "-" + content + `"`
	}
	t.Header().Set("ETag", tag)
	if matches(t.asked, tag) {
		t.status = http.StatusNotModified
		t.Header().Del("Content-Type")
		t.ResponseWriter.WriteHeader(t.status)
		return nil
	}
	t.ResponseWriter.WriteHeader(http.StatusOK)
	_, err := t.ResponseWriter.Write(t.body.Bytes())
	return err
}

// matches compares as If-None-Match does: weakly, with any of a list.
func matches(asked, tag string) bool {
	for one := range strings.SplitSeq(asked, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}
