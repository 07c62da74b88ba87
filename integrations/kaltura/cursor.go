package kaltura

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"isthmus/gateway"
)

// cursor says where the next page begins. Orders by time go on after (At, After); others count pages.
type cursor struct {
	Query string `json:"q"`           // which query it belongs to
	At    int64  `json:"t,omitempty"` // second of the last entry given
	After string `json:"i,omitempty"` // id of the last entry given within that second; "" = the whole second is still to come
	Page  int    `json:"p,omitempty"`
	Pos   int    `json:"o,omitempty"`
	Total int    `json:"n"`
}

func (c cursor) String() string {
	b, _ := json.Marshal(c) // plain fields cannot fail
	return base64.RawURLEncoding.EncodeToString(b)
}

// readCursor gives the place where q goes on. Invalid with reason "cursor_invalid" when the cursor
// is not one of ours or belongs to another query.
func readCursor(q gateway.Query, account string) (cursor, error) {
	id := queryID(q, account)
	if q.Cursor == "" {
		return cursor{Query: id, Total: -1}, nil
	}
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || c.Query != id || c.Page < 0 || c.Pos < 0 || c.Pos > pageSize || c.At < 0 || len(c.After) > 64 {
		return cursor{}, gateway.E(gateway.Invalid, "cursor_invalid", "This cursor does not belong to this query.").
			Next("Start again without a cursor.").At("/cursor")
	}
	return c, nil
}

// queryID ties a cursor to everything that decides what is listed; page size may change under way.
func queryID(q gateway.Query, account string) string {
	q.Cursor, q.Limit = "", 0
	b, _ := json.Marshal(q)
	sum := sha256.Sum256(fmt.Appendf(b, "|%s", account))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}
