package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Networks that Kaltura servers may be in are closed to webhooks; those have a flag of their own.
func TestWebhooksHaveNetworksOfTheirOwn(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole servers")
	}
	t.Parallel()
	got := make(chan string, 8)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.RequestURI }))
	defer receiver.Close()
	s := newServer(t, "", func(s *process) { s.args = []string{"--allow-networks", "127.0.0.0/8", "--no-demo-media"} })
	hooks := "/v1/hubs/" + s.demo.HubID + "/webhooks"
	const tail = "/in/?token=abc"
	admin := s.signIn("admin")
	for _, url := range []string{receiver.URL + tail, "https://127.0.0.1/in", "https://intranet/in"} {
		if status, body := admin.call("POST", hooks, map[string]any{"url": url, "events": []string{"*"}}, nil); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", url, status, body)
		}
	}
	s.kill()
	s.args = append(s.args, "--allow-webhook-networks", "127.0.0.0/8")
	s.start()
	admin = s.signIn("admin")
	var made struct {
		Webhook struct{ ID, URL string }
	}
	if status, body := admin.call("POST", hooks, map[string]any{"url": receiver.URL + tail, "events": []string{"*"}}, &made); status != http.StatusCreated || made.Webhook.URL != receiver.URL+tail {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := admin.call("POST", hooks+"/"+made.Webhook.ID+"/test", nil, nil); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, body)
	}
	if uri := <-got; uri != tail {
		t.Error(uri)
	}
}
