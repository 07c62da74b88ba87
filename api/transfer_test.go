package api_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/openapi"
	"isthmus/store"
	"isthmus/store/storetest"
)

func TestTransfersOverTheAPI(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		r := newRigOn(t, storetest.Open(t, o))
		ada, hub := connected(t, r, "shared")
		pat := r.signIn("pat@example.org")
		file := func(name string) map[string]any { return map[string]any{"name": name, "size": 1000} }

		// An answer with a ticket is kept like one with a secret: whole and sealed.
		body := map[string]any{"files": []any{file("a.mp4"), file("b.mp4")}, "policy": "low", "device": " editing\x07 room "}
		first := pat.want(201, "POST", hub+"/transfers", body, "Idempotency-Key", "t1")
		again := pat.want(201, "POST", hub+"/transfers", body, "Idempotency-Key", "t1")
		if !bytes.Equal(first.body, again.body) || first.Header.Get("Location") != again.Header.Get("Location") || again.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("repeated: %s", again.body)
		}
		var made openapi.TransferStart
		first.into(t, &made)
		if _, err := r.tickets.Check(gateway.TicketTransfer, made.Ticket.Token); err != nil || len(made.Uploads) != 2 || made.Uploads[1].Name != "b.mp4" ||
			made.Transfer.Files != 2 || made.Transfer.Size != 2000 || *made.Transfer.Device != "editing room" || made.Transfer.Live.Path != openapi.TransferLivePathNone {
			t.Errorf("%+v %v", made, err)
		}
		path := "/v1/hubs/" + r.hub["bio"] + "/transfers/" + made.Transfer.ID
		if first.Header.Get("Location") != path {
			t.Error(first.Header.Get("Location"))
		}
		rows, err := storetest.SQL(t, o).QueryContext(t.Context(), "SELECT answer FROM idempotency_keys")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		n := 0
		for ; rows.Next(); n++ {
			var answer []byte
			if err := rows.Scan(&answer); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(answer, []byte(made.Ticket.Token)) || bytes.Contains(answer, []byte("a.mp4")) {
				t.Error("the ticket lies in clear")
			}
		}
		if n != 1 || rows.Err() != nil {
			t.Error(n, rows.Err())
		}
		var ticket openapi.TransferTicket
		if pat.want(200, "POST", path+"/ticket", nil, "Idempotency-Key", "t2").into(t, &ticket); ticket.Token == "" || len(ticket.Addresses) != 0 {
			t.Errorf("%+v", ticket)
		}
		if p := ada.want(403, "POST", path+"/ticket", nil).problem(t); p.Code != "not_sender" {
			t.Errorf("%+v", p)
		}

		// All or none; the pointer names the first that cannot be taken.
		for pointer, body := range map[string]map[string]any{
			"/files/1/size":  {"files": []any{file("c.mp4"), map[string]any{"name": "d.mp4", "size": 0}}},
			"/upload_ids/1":  {"upload_ids": []any{made.Uploads[0].ID, gateway.NewID("upl")}},
			"/upload_ids/0":  {"upload_ids": []any{made.Uploads[0].ID}},
			"/rate_bps":      {"files": []any{file("c.mp4")}, "policy": "fixed"},
			"/files":         {"device": "nothing"},
			"/files/1":       {"files": []any{file("c.mp4"), "d.mp4"}},
			"/policy":        {"files": []any{file("c.mp4")}, "policy": "high"},
			"/upload_ids/1 ": {"upload_ids": []any{made.Uploads[0].ID, made.Uploads[0].ID}},
		} {
			c := pat
			if pointer == "/upload_ids/0" {
				c = ada // an admin sees it, but it is not theirs to send
			}
			if pointer == "/policy" {
				version := ada.want(200, "GET", hub+"/transfer-account", nil).Header.Get("ETag")
				ada.want(200, "PATCH", hub+"/transfer-account", map[string]any{"policies": []any{"fixed", "fair", "low"}}, "If-Match", version)
			}
			a := c.do("POST", hub+"/transfers", body)
			if p := a.problem(t); a.StatusCode < 400 || a.StatusCode > 499 || pointerOf(p) != strings.TrimSpace(pointer) {
				t.Errorf("%s: %d %s", pointer, a.StatusCode, a.body)
			}
		}
		var page openapi.TransferPage
		if pat.want(200, "GET", hub+"/transfers", nil).into(t, &page); len(page.Items) != 1 || page.Items[0].Person != nil {
			t.Errorf("%+v", page)
		}
		if pat.want(403, "GET", hub+"/transfers?all=true", nil); len(page.Items) != 1 {
			t.Errorf("%+v", page)
		}
		if ada.want(200, "GET", hub+"/transfers?all=true&state=open", nil).into(t, &page); len(page.Items) != 1 || page.Items[0].Mine || deref(page.Items[0].Person) == "" {
			t.Errorf("%+v", page)
		}
		var ups openapi.UploadPage
		if pat.want(200, "GET", path+"/uploads?limit=1", nil).into(t, &ups); len(ups.Items) != 1 || ups.Items[0].ID != made.Uploads[0].ID || ups.Next == nil {
			t.Errorf("%+v", ups)
		}
		if pat.want(200, "GET", path+"/uploads?limit=1&cursor="+deref(ups.Next), nil).into(t, &ups); len(ups.Items) != 1 || ups.Items[0].ID != made.Uploads[1].ID {
			t.Errorf("%+v", ups)
		}

		// A batch is larger than other requests may be.
		long := strings.Repeat("x", 900)
		many := make([]any, 1200)
		for i := range many {
			many[i] = map[string]any{"name": fmt.Sprint(long, i, ".mp4"), "size": 1}
		}
		if pat.want(201, "POST", hub+"/transfers", map[string]any{"files": many}).into(t, &made); len(made.Uploads) != 1200 || !strings.HasSuffix(made.Uploads[1199].Name, "x1199.mp4") {
			t.Error(len(made.Uploads))
		}
		pat.want(413, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": 1, "description": strings.Repeat("x", 1<<20)})
		pat.want(413, "POST", hub+"/transfers", map[string]any{"device": strings.Repeat("x", 8<<20)})
		var one openapi.Transfer
		if pat.want(200, "PATCH", path, map[string]any{"first": true, "rate_bps": 8000}).into(t, &one); !one.First || deref(one.RateBps) != 8000 {
			t.Errorf("%+v", one)
		}
		if pat.want(200, "DELETE", path, nil).into(t, &one); one.State != openapi.TransferStateCancelled || one.FilesDone != 2 {
			t.Errorf("%+v", one)
		}
		if p := pat.want(409, "PATCH", path, map[string]any{"first": false}).problem(t); p.Code != "transfer_ended" {
			t.Errorf("%+v", p)
		}
	})
}

// Whom the hub's cap leaves next to nothing hears when to come back, and comes on by that; nothing that was acknowledged is sent twice.
func TestTusUnderASmallCap(t *testing.T) {
	r := newRig(t)
	ada, hub := connected(t, r, "shared")
	var acc openapi.TransferAccount
	ada.want(200, "GET", hub+"/transfer-account", nil).into(t, &acc)
	ada.want(200, "PATCH", hub+"/transfer-account", map[string]any{"cap_bps": 80_000}, "If-Match", acc.Etag)
	content := strings.Repeat("0123456789", 500)
	var u openapi.Upload
	ada.want(201, "POST", hub+"/uploads", map[string]any{"name": "a.mp4", "size": len(content)}).into(t, &u)
	held := 0
	for at := 0; at < len(content); {
		a := ada.do("PATCH", u.TusURL, content[at:], "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(at))
		if a.StatusCode != 204 {
			if p := a.problem(t); a.StatusCode != 429 || p.Code != "bandwidth_taken" || !p.Retryable || a.Header.Get("Retry-After") == "" || p.NextStep == nil {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			held++
		}
		now, err := strconv.Atoi(ada.do("HEAD", u.TusURL, nil, "Tus-Resumable", "1.0.0").Header.Get("Upload-Offset"))
		if err != nil || now < at {
			t.Fatalf("%d bytes were there, now %d: %v", at, now, err)
		}
		at = now
	}
	if held == 0 {
		t.Error("5000 bytes in a tenth of a second, at 10 kB/s")
	}
	ada.want(202, "POST", hub+"/uploads/"+u.ID+"/finish", map[string]any{"size": len(content)})

	// What may be announced is told before, and refused there.
	ada.want(200, "PATCH", hub+"/transfer-account", map[string]any{"cap_bps": 0}, "If-Match", ada.want(200, "GET", hub+"/transfer-account", nil).Header.Get("ETag"))
	row, err := r.db.Hubs().Get(t.Context(), gateway.AnyHub, r.hub["bio"])
	if err != nil {
		t.Fatal(err)
	}
	row.QuotaBytes = 10_000
	if err := r.db.Hubs().Update(t.Context(), &row); err != nil {
		t.Fatal(err)
	}
	if ada.want(200, "GET", hub+"/transfer-account", nil).into(t, &acc); deref(acc.QuotaBytes) != 10_000 || deref(acc.QuotaFreeBytes) != 5000 {
		t.Errorf("%v %v", deref(acc.QuotaBytes), deref(acc.QuotaFreeBytes))
	}
	file := func(size int) map[string]any { return map[string]any{"name": "b.mp4", "size": size} }
	p := ada.want(413, "POST", hub+"/transfers", map[string]any{"files": []any{file(3000), file(2001)}}).problem(t)
	if p.Code != "quota_exceeded" || !strings.Contains(*p.Detail, " 5000 ") || p.NextStep == nil {
		t.Errorf("%+v", p)
	}
	var made openapi.TransferStart
	ada.want(201, "POST", hub+"/transfers", map[string]any{"files": []any{file(3000), file(2000)}, "device": "lab"}).into(t, &made)
	if ada.want(200, "GET", hub+"/uploads/"+made.Uploads[0].ID, nil).into(t, &u); deref(u.Device) != "lab" {
		t.Errorf("%+v", u)
	}
	p = ada.want(400, "POST", hub+"/transfers", map[string]any{"files": []any{file(0), file(1), file(0)}}).problem(t)
	if p.Errors == nil || len(*p.Errors) != 2 || (*p.Errors)[1].Pointer != "/files/2/size" {
		t.Errorf("%+v", p)
	}
}

func TestTransferAccountOverTheAPI(t *testing.T) {
	r := newRig(t)
	ada, pat := r.signIn("ada@example.org"), r.signIn("pat@example.org")
	path := "/v1/hubs/" + r.hub["bio"] + "/transfer-account"
	a := pat.want(200, "GET", path, nil)
	var acc openapi.TransferAccount
	if a.into(t, &acc); acc.CapBps != 0 || acc.DefaultPolicy != openapi.TransferPolicyFair || len(acc.Policies) != 4 || acc.Etag != `"v1"` {
		t.Errorf("%+v", acc)
	}
	change := map[string]any{
		"cap_bps": 500_000_000, "time_zone": "Europe/Berlin", "weights": map[string]any{"admin": 1, "content_admin": 2, "participant": 1, "app": 3},
		"schedule": []any{map[string]any{"days": []any{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, "from": "00:00", "to": "00:00", "cap_bps": 1_000_000}},
	}
	pat.want(403, "PATCH", path, change, "If-Match", acc.Etag)
	ada.want(428, "PATCH", path, change)
	ada.want(412, "PATCH", path, change, "If-Match", `"v2"`)
	if ada.want(200, "PATCH", path, change, "If-Match", a.Header.Get("ETag")).into(t, &acc); acc.CapNowBps != 1_000_000 || acc.CapBps != 500_000_000 || acc.Weights.App != 3 || acc.Etag != `"v2"` {
		t.Errorf("%+v", acc)
	}
	ada.want(412, "PATCH", path, change, "If-Match", `"v1"`)
	for field, bad := range map[string]any{
		"/cap_bps": 7, "/time_zone": "Mars/Olympus", "/default_policy": "fixed", "/policies": []any{"fair", "fair"}, "/max_rate_bps": 1,
		"/schedule/0/cap_bps": []any{map[string]any{"days": []any{"mon"}, "from": "08:00", "to": "18:00", "cap_bps": 3}},
	} {
		name, _, _ := strings.Cut(strings.TrimPrefix(field, "/"), "/")
		if p := ada.want(400, "PATCH", path, map[string]any{name: bad}, "If-Match", `"v2"`).problem(t); pointerOf(p) != field {
			t.Errorf("%s: %+v", field, p)
		}
	}
	var list openapi.AuditPage
	if ada.want(200, "GET", "/v1/hubs/"+r.hub["bio"]+"/audit?action=transfer_account.change", nil).into(t, &list); len(list.Items) != 1 || !strings.Contains(list.Items[0].Text, "500000000") {
		t.Errorf("%+v", list)
	}
}

func pointerOf(p openapi.Problem) string {
	if p.Errors == nil || len(*p.Errors) == 0 {
		return ""
	}
	return (*p.Errors)[0].Pointer
}
