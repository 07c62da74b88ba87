package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"isthmus/gateway"
	"isthmus/openapi"
)

// keepAlive is how often a silent stream says that it lives; proxies cut what is silent for a minute.
const keepAlive = 20 * time.Second

// maxStreams is how many streams one caller may keep open in a hub: a tab needs one, and each holds
// a connection and asks the database.
const maxStreams = 20

// crowd counts who is in. The zero value is ready; safe for concurrent use.
type crowd struct {
	mu sync.Mutex
	in map[string]int
}

func (c *crowd) enter(who string, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.in[who] >= most {
		return nil, false
	}
	if c.in == nil {
		c.in = map[string]int{}
	}
	c.in[who]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.in[who]--; c.in[who] == 0 {
			delete(c.in, who)
		}
	}, true
}

// StreamEvents begins a stream of live events.
func (s *Server) StreamEvents(ctx context.Context, r StreamEventsRequestObject) (StreamEventsResponseObject, error) {
	seq := gateway.FromNow
	if r.Params.After != nil {
		seq = *r.Params.After
	}
	if h := r.Params.LastEventID; h != nil && *h != "" { // a reconnect knows better than the address
		n, err := strconv.ParseInt(*h, 10, 64)
		if err != nil || n < 0 {
			return nil, gateway.E(gateway.Invalid, "bad_event_id", "Last-Event-ID is not one of ours.").At("Last-Event-ID").
				Next("Send the id of the last event you saw, or none.")
		}
		seq = n
	}
	who, a := callerOf(ctx), actorOf(ctx)
	leave, ok := s.streams.enter(a.HubID+" "+a.Subject(), maxStreams)
	if !ok {
		return nil, gateway.E(gateway.RateLimited, "too_many_streams", "There are too many open streams already.").
			Next("Close some; one stream tells all that happens in a hub.").After(keepAlive)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel) // a graceful stop does not wait for listeners
	live, err := s.events.Listen(ctx, a, seq)
	if err != nil {
		stop()
		cancel()
		leave()
		return nil, err
	}
	return eventStream{
		live, func() { stop(); cancel(); leave() }, func() bool { return s.mayStillListen(ctx, who, a) }, time.Duration(s.recheck.Load()), time.Duration(s.patience.Load()),
	}, nil
}

// mayStillListen tells whether a listener is who they were when the stream began: not signed out,
// suspended or given another role since, and with a token that has not expired.
func (s *Server) mayStillListen(ctx context.Context, who caller, a gateway.Actor) bool {
	var err error
	if who.session != nil {
		err = s.access.Still(ctx, *who.session)
	} else if !time.Now().Before(who.token.ExpiresAt) {
		return false
	}
	if err == nil {
		var now gateway.Actor
		if now, err = s.actorIn(ctx, who, a.HubID, policies["streamEvents"]); err == nil {
			return now.Role == a.Role
		}
	}
	c := gateway.CodeOf(err)
	return c != gateway.Unauthenticated && c != gateway.NotFound // a database that is down says nothing about rights
}

// eventStream is the answer that writes events as they come.
type eventStream struct {
	live  <-chan gateway.Live
	end   func()
	may   func() bool // asked every so often; the stream ends when not
	every time.Duration
	most  time.Duration // that a reader may leave one message lying
}

func (e eventStream) VisitStreamEventsResponse(w http.ResponseWriter) error {
	defer e.end()
	rc := http.NewResponseController(w)
	// The deadlines of whole answers are for answers that end. Who reads nothing at all for long is cut off and
	// comes back with Last-Event-ID: it would hold a connection for ever, and a stop would wait for it.
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Now().Add(e.most))
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if _, err := fmt.Fprint(w, ": hello\nretry: 2000\n\n"); err != nil {
		return nil
	}
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	look := time.NewTicker(e.every)
	defer look.Stop()
	for {
		if err := rc.Flush(); err != nil {
			return nil // the listener went
		}
		var err error
		select {
		case m, ok := <-e.live:
			if !ok {
				return nil
			}
			_ = rc.SetWriteDeadline(time.Now().Add(e.most))
			var b []byte
			if b, err = eventText(m); err == nil {
				_, err = w.Write(b)
			}
			// Somebody was suspended or signed out, perhaps this listener: not to wait for the next look.
			if strings.HasPrefix(m.Type, "member.") && !e.may() {
				return nil
			}
		case <-look.C:
			if !e.may() {
				return nil // a browser comes back by itself and is then told why not
			}
		case <-tick.C:
			_ = rc.SetWriteDeadline(time.Now().Add(e.most))
			_, err = fmt.Fprint(w, ": still here\n\n")
		}
		if err != nil {
			return nil
		}
	}
}

// eventMessage is one message as the stream and the list tell it.
func eventMessage(m gateway.Live) (openapi.EventMessage, error) {
	out := openapi.EventMessage{
		ID: text(m.ID), Seq: some(m.Seq), Type: m.Type, Timestamp: someTime(m.At), HubID: text(m.HubID), Subject: m.Subject,
	}
	if len(m.Data) > 0 && string(m.Data) != "null" {
		if err := json.Unmarshal(m.Data, &out.Data); err != nil {
			return out, err
		}
	}
	return out, nil
}

// eventText is one message in the form of server-sent events. JSON holds no line break.
func eventText(m gateway.Live) ([]byte, error) {
	message, err := eventMessage(m)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if m.Seq > 0 {
		fmt.Fprintf(&b, "id: %d\n", m.Seq)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", m.Type, data)
	return b.Bytes(), nil
}

// Cursors of the event log are the last number that was looked at, in a wrapping of their own.
const eventMark = "e1:"

// ListEvents gives the event log for catching up.
func (s *Server) ListEvents(ctx context.Context, r ListEventsRequestObject) (ListEventsResponseObject, error) {
	seq := gateway.FromBeginning
	switch cursor := deref(r.Params.Cursor); {
	case cursor != "":
		raw, garbled := base64.RawURLEncoding.DecodeString(cursor)
		digits, ours := strings.CutPrefix(string(raw), eventMark)
		var err error
		seq, err = strconv.ParseInt(digits, 10, 64)
		if garbled != nil || !ours || err != nil || seq < 0 {
			return nil, gateway.E(gateway.Invalid, "bad_cursor", "The cursor is not one of ours.").At("cursor").
				Next("Use next of the page before, or begin without a cursor.")
		}
	case r.Params.From != nil:
		seq = gateway.FromNow
	}
	n := defaultLimit
	if r.Params.Limit != nil {
		n = *r.Params.Limit
	}
	page, err := s.events.List(ctx, actorOf(ctx), seq, n)
	if err != nil {
		return nil, err
	}
	out := openapi.EventPage{Items: make([]openapi.EventMessage, 0, len(page.Events)), More: page.More}
	for _, e := range page.Events {
		m, err := eventMessage(e)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, m)
	}
	out.Next = base64.RawURLEncoding.EncodeToString([]byte(eventMark + strconv.FormatInt(page.Next, 10)))
	var link *string
	if page.More {
		link = nextLink(ctx, &out.Next)
	}
	return ListEvents200JSONResponse{Body: out, Headers: ListEvents200ResponseHeaders{Link: link}}, nil
}

// eventTypes is the catalogue as it is answered; it never changes while the process runs.
var eventTypes = sync.OnceValues(func() (openapi.EventTypeList, error) {
	out := openapi.EventTypeList{}
	for _, t := range gateway.EventTypes {
		raw, err := json.Marshal(t.Example)
		if err != nil {
			return out, err
		}
		one := openapi.EventType{Type: t.Type, Title: t.Title, Description: t.Description}
		if err := json.Unmarshal(raw, &one.Example); err != nil {
			return out, err
		}
		out.Items = append(out.Items, one)
	}
	return out, nil
})

// ListEventTypes gives the catalogue of events.
func (s *Server) ListEventTypes(context.Context, ListEventTypesRequestObject) (ListEventTypesResponseObject, error) {
	list, err := eventTypes()
	return ListEventTypes200JSONResponse(list), err
}
