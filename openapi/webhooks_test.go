package openapi_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"isthmus/gateway"
	"isthmus/openapi"
)

var update = flag.Bool("update", false, "write the webhooks of openapi.yaml anew")

// webhooksOf is the section "webhooks" for a catalogue of events.
func webhooksOf(t *testing.T, types []gateway.EventType) string {
	var b strings.Builder
	b.WriteString("# Written from gateway.EventTypes: go test ./openapi -run TestWebhooksAreTheEvents -update\nwebhooks:\n")
	for _, e := range types {
		raw, err := json.Marshal(e.Example)
		var data map[string]any
		if err == nil {
			err = json.Unmarshal(raw, &data)
		}
		if err != nil {
			t.Fatal(err)
		}
		subject := "int_01kas5n8xq4q7m2w9r5t6y8z0a"
		for _, name := range []string{"participant_id", "id"} {
			if id, ok := data[name].(string); ok {
				subject = id
			}
		}
		var message bytes.Buffer
		enc := json.NewEncoder(&message)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(map[string]any{
			"id": "evt_01kas5n8xq4q7m2w9r5t6y8z0a", "type": e.Type, "timestamp": "2026-11-21T10:00:00Z", "hub_id": "hub_01jd3v0k8x4q7m2w9r5t6y8z0a",
			"subject": subject, "data": data,
		}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, `  %s:
    parameters: [{$ref: "#/components/parameters/WebhookID"}, {$ref: "#/components/parameters/WebhookTimestamp"}, {$ref: "#/components/parameters/WebhookSignature"}]
    post:
      tags: [events]
      summary: %s
      description: %s
      security: []
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/WebhookMessage"}, example: %s}}
      responses: {"2XX": {$ref: "#/components/responses/WebhookTaken"}, "410": {$ref: "#/components/responses/WebhookGone"}, default: {$ref: "#/components/responses/WebhookAgain"}}
`, e.Type, strconv.Quote(e.Title), strconv.Quote(e.Description), strings.TrimSpace(message.String()))
	}
	return b.String() + "\n"
}

// Every event that can happen is described as a webhook, and no other.
func TestWebhooksAreTheEvents(t *testing.T) {
	const begin, end = "# Written from gateway.EventTypes", "\ncomponents:\n"
	test := gateway.EventType{Type: gateway.EventTest, Title: "Test", Description: "An admin tries whether messages arrive.", Example: map[string]any{"message": "This is a test."}}
	want := webhooksOf(t, append([]gateway.EventType{test}, gateway.EventTypes...))
	text := string(openapi.YAML)
	from, to := strings.Index(text, begin), strings.Index(text, end)
	if from < 0 || to < from {
		t.Fatal("openapi.yaml has no such section")
	}
	if *update {
		if err := os.WriteFile("openapi.yaml", []byte(text[:from]+want+text[to+1:]), 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
		return
	}
	if text[from:to+1] != want {
		t.Error("the webhooks of openapi.yaml are not the events of the catalogue; run this test with -update")
	}
	if n := len(load(t).Webhooks); n != len(gateway.EventTypes)+1 {
		t.Errorf("%d webhooks are read", n)
	}
}
