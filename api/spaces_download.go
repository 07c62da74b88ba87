package api

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

func errNoDownload() *gateway.Error {
	return gateway.E(gateway.NotFound, "no_such_file", "There is nothing to fetch here, or the address has expired.").
		Next("Ask for a fresh address of the item.")
}

// download gives the original bytes of a library item to whoever has its address. Whether its viewer
// may still see the item is asked every time.
func (s *Server) download(c echo.Context) error {
	ctx := c.Request().Context()
	subject, err := s.tickets.Check(gateway.TicketDownload, c.Param("ticket"))
	if err != nil {
		return errNoDownload().Because(err)
	}
	parts := strings.Split(subject, "/")
	if len(parts) != 3 {
		return errNoDownload()
	}
	a := gateway.Everybody(parts[0])
	if parts[1] != "hub:" {
		a, err = s.viewer(ctx, parts[0], parts[1])
	}
	var content gateway.Content
	if err == nil {
		content, err = s.library.Content(ctx, a, parts[2])
	}
	if gateway.CodeOf(err) == gateway.NotFound {
		return errNoDownload().Because(err)
	}
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Content-Type", content.MIME)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base("/" + content.Name)}))
	h.Set("Cache-Control", "private, no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if content.Key != "" {
		info, err := s.blobs.Stat(ctx, content.Key)
		if err != nil {
			return errNoDownload().Because(err)
		}
		if sum, err := hex.DecodeString(content.SHA256); err == nil && len(sum) > 0 { // RFC 9530, of the whole whatever range is asked for
			h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
		}
		body := gateway.SeekBlob(ctx, s.blobs, content.Key, info.Size)
		defer func() { _ = body.Close() }() // only read
		h.Set("ETag", `"`+strconv.FormatInt(info.Size, 36)+"-"+strconv.FormatInt(info.ModTime.UnixMilli(), 36)+`"`)
		http.ServeContent(c.Response(), c.Request(), "", info.ModTime, body)
		return nil
	}
	return through(c, content)
}

// through passes a link's bytes on as the platform sends them. A range is taken when it goes to the
// end, which is how a broken download is continued.
func through(c echo.Context, content gateway.Content) error {
	ctx, h := c.Request().Context(), c.Response().Header()
	if c.Request().Method == http.MethodHead {
		return c.NoContent(http.StatusOK)
	}
	var start int64
	if first, ok := strings.CutPrefix(c.Request().Header.Get("Range"), "bytes="); ok {
		if n, err := strconv.ParseInt(strings.TrimSuffix(first, "-"), 10, 64); err == nil && strings.HasSuffix(first, "-") && n > 0 {
			start = n
		}
	}
	body, err := content.Open(ctx, start)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }() // only read
	status, size := http.StatusOK, int64(-1)
	if sized, ok := body.(gateway.Sized); ok {
		size = sized.Size()
	}
	if size >= 0 {
		h.Set("Accept-Ranges", "bytes")
		h.Set("Content-Length", strconv.FormatInt(max(size-start, 0), 10))
	}
	if start > 0 {
		status = http.StatusPartialContent
		whole := "*"
		if size >= 0 {
			whole = strconv.FormatInt(size, 10)
		}
		h.Set("Content-Range", "bytes "+strconv.FormatInt(start, 10)+"-"+strconv.FormatInt(max(size-1, start), 10)+"/"+whole)
	}
	c.Response().WriteHeader(status)
	_, err = io.Copy(c.Response(), body)
	return err
}
