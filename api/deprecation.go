package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// Where an operation that is `deprecated` in openapi.yaml says since when and until when it works.
const (
	sinceExtension  = "x-deprecated-since" // such as "2026-11-22"
	sunsetExtension = "x-sunset"           // a year later at least
)

// deprecated announces the end of an operation in each of its answers (RFC 9745, RFC 8594); nil when
// it has none in sight.
func deprecated(op operation) (echo.MiddlewareFunc, error) {
	if !op.Deprecated {
		return nil, nil
	}
	since, err := day(op, sinceExtension)
	if err != nil {
		return nil, err
	}
	sunset, err := day(op, sunsetExtension)
	if err != nil {
		return nil, err
	}
	if sunset.Before(since.AddDate(1, 0, 0)) {
		return nil, fmt.Errorf("operation %s ends within a year", op.OperationID)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			h := c.Response().Header()
			h.Set("Deprecation", "@"+strconv.FormatInt(since.Unix(), 10))
			h.Set("Sunset", sunset.Format(http.TimeFormat))
			h.Add("Link", `</docs/changelog>; rel="deprecation"; type="text/html"`)
			return next(c)
		}
	}, nil
}

func day(op operation, extension string) (time.Time, error) {
	text, _ := op.Extensions[extension].(string)
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, fmt.Errorf("operation %s is deprecated without %s: %w", op.OperationID, extension, err)
	}
	return t, nil
}
