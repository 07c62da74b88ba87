package api

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// The catalogue of errors is written from the sources; here its statuses are compared with what is sent.
func TestErrorCatalogueStatuses(t *testing.T) {
	text, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	entries := regexp.MustCompile(`(?m)^## (\w+)\n\nStatus ([0-9 or]+)\.$`).FindAllStringSubmatch(string(text), -1)
	if len(entries) < 200 {
		t.Fatalf("only %d codes in the catalogue", len(entries))
	}
	kinds := []gateway.Code{
		gateway.Invalid, gateway.Unauthenticated, gateway.Forbidden, gateway.NotFound, gateway.Conflict, gateway.TooLarge,
		gateway.Precondition, gateway.RateLimited, gateway.Unavailable, gateway.Internal,
	}
	for _, e := range entries {
		for _, want := range strings.Split(e[2], " or ") {
			n, err := strconv.Atoi(want)
			if err != nil {
				t.Fatal(err)
			}
			sent := false
			for _, k := range kinds {
				sent = sent || statusOf(&gateway.Error{Code: k, Reason: e[1]}) == n
			}
			if !sent {
				t.Errorf("%s is never sent with status %d", e[1], n)
			}
		}
	}
}

func TestDeprecationIsAnnounced(t *testing.T) {
	op := func(since, sunset string) operation {
		return operation{Operation: &openapi3.Operation{
			OperationID: "old", Deprecated: true, Extensions: map[string]any{sinceExtension: since, sunsetExtension: sunset},
		}}
	}
	for _, bad := range []operation{op("2026-11-22", "2027-11-21"), op("", "2028-01-01"), op("2026-11-22", "soon")} {
		if _, err := deprecated(bad); err == nil {
			t.Errorf("%v is taken", bad.Extensions)
		}
	}
	if m, err := deprecated(operation{Operation: &openapi3.Operation{}}); m != nil || err != nil {
		t.Errorf("what is not deprecated is announced: %v", err)
	}
	m, err := deprecated(op("2026-11-22", "2027-12-31"))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	c := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/v1/old", nil), w)
	c.Response().Header().Set("Link", `</v1/old?cursor=x>; rel="next"`)
	if err := m(func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })(c); err != nil {
		t.Fatal(err)
	}
	h := w.Result().Header
	if h.Get("Deprecation") != "@1795305600" || h.Get("Sunset") != "Fri, 31 Dec 2027 00:00:00 GMT" || len(h.Values("Link")) != 2 {
		t.Errorf("%v", h)
	}
}

// What is no plain origin never gets into the policy.
func TestFramers(t *testing.T) {
	in := []string{
		"https://a.example", "http://localhost:3000", "http://[::1]:3000", "https://a.example/path", "https://a.example ; script-src *", "*", "https://*",
		"https://user@a.example", "data:", "https://a.example\r\nX: y", "HTTPS://A.EXAMPLE", "", "null",
	}
	got := framers(in)
	if strings.Join(got, "|") != "https://a.example|http://localhost:3000|http://[::1]:3000" {
		t.Errorf("%q", got)
	}
}
