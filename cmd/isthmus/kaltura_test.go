package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// tryOffset and tryPatch are tus requests whose failure is expected now and then.
func (c *caller) tryOffset(tusURL string) (int64, error) {
	resp, err := c.tryTus(http.MethodHead, tusURL, nil)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("HEAD answered %s", resp.Status)
	}
	return strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
}

func (c *caller) tryPatch(tusURL string, offset int64, b []byte) error {
	resp, err := c.tryTus(http.MethodPatch, tusURL, bytes.NewReader(b),
		"Upload-Offset", strconv.FormatInt(offset, 10), "Content-Type", "application/offset+octet-stream")
	if err == nil && resp.StatusCode != http.StatusNoContent {
		err = fmt.Errorf("PATCH answered %s", resp.Status)
	}
	return err
}

func (c *caller) tryTus(method, tusURL string, body io.Reader, header ...string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if tusURL[0] == '/' {
		tusURL = c.s.demo.BaseURL + tusURL
	}
	req, err := http.NewRequestWithContext(ctx, method, tusURL, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set("Origin", c.s.demo.BaseURL)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp, resp.Body.Close()
}

// kaltura calls the embedded platform as the account's administrator.
func (s *process) kaltura(service, action string, params map[string]any, out any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var ks string
	if err := callKaltura(ctx, http.DefaultClient, s.demo.Kaltura.ServiceURL, "session", "start", map[string]any{
		"secret": s.demo.Kaltura.AdminSecret, "userId": "admin@lakeside.example", "type": 2, "partnerId": s.demo.Kaltura.PartnerID, "expiry": 600,
	}, &ks); err != nil {
		s.t.Fatal(err)
	}
	params["ks"] = ks
	if err := callKaltura(ctx, http.DefaultClient, s.demo.Kaltura.ServiceURL, service, action, params, out); err != nil {
		s.t.Fatal(err)
	}
}

func (s *process) entriesByReference(ref string) int {
	s.t.Helper()
	var list struct{ TotalCount int }
	s.kaltura("baseEntry", "listByReferenceId", map[string]any{"refId": ref}, &list)
	return list.TotalCount
}

// originalDigest downloads an entry's source file from the platform: of a photo the entry itself.
func (s *process) originalDigest(entry string) string {
	s.t.Helper()
	var flavors []struct {
		ID         string
		IsOriginal bool
	}
	var address string
	s.kaltura("flavorAsset", "getByEntryId", map[string]any{"entryId": entry}, &flavors)
	for _, f := range flavors {
		if f.IsOriginal {
			s.kaltura("flavorAsset", "getUrl", map[string]any{"id": f.ID}, &address)
		}
	}
	if len(flavors) == 0 {
		var photo struct{ DownloadURL string }
		s.kaltura("baseEntry", "get", map[string]any{"entryId": entry}, &photo)
		address = photo.DownloadURL
	}
	if address == "" {
		return "no original"
	}
	resp, err := http.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("downloading the original of %s: %s %v", entry, resp.Status, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// check runs `isthmus check` on the stopped server's data.
func (s *process) check() {
	s.t.Helper()
	args := []string{"check", "--data", filepath.Join(s.dir, "data")}
	if s.dsn != "" {
		args = append(args, "--db", s.dsn)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "ISTHMUS_TEST_AS_SERVER=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Errorf("isthmus check: %v\n%s", err, out)
	}
}
