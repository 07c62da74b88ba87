package platform_test

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"isthmus/integrations/kaltura/platform"
	"isthmus/store/storetest"
)

// notOverHTTP are the scenarios that need a hand in the server's database or its start, as the
// recordings did.
var notOverHTTP = map[string]string{
	"apptoken/add-without-sessionUserId-fresh-partner": "the account's user without a name was deleted in the database",
	"apptoken/startSession-disabled-token":             "the token's status was set in the database; no action sets it",
	"medialist/admin-tagsMultiLikeOr":                  "the recording shows an entry before its conversion; here that may be done already",
	"session/start-xml-slow-path":                      "the server was restarted just before",
}

// ownRows are lists of all rows of an account, which may have some of its own when it is not fresh.
var ownRows = regexp.MustCompile(`^(user|apptoken)/list`)

// remote tells whether nothing is known of the server but its address and secrets.
func (w *world) remote() bool { return w.p == nil }

// TestReplayOverHTTP replays everything against an account as isthmus sandbox makes it, by nothing but
// its address and secrets: over TCP, with secrets of its own, the media pipeline and the watcher of
// drop folders at work all the time.
//
// With ISTHMUS_REPLAY_ACCOUNT=FILE it does so against a running server: the file holds what
// isthmus sandbox --json prints. The account must be fresh.
func TestReplayOverHTTP(t *testing.T) {
	if file := os.Getenv("ISTHMUS_REPLAY_ACCOUNT"); file != "" {
		newReplayer(&world{target: readAccount(t, file), t: t}).run(readNotMet(t))
		return
	}
	to := target{secret: rand.Text(), user: rand.Text(), operator: rand.Text(), password: rand.Text()}
	w := worldWith(t, storetest.SQLite(t), to, platform.Account{DropFolder: "/dropfolders/102"})
	w.work()
	w.watch()
	newReplayer(&world{target: w.target, t: t}).run(readNotMet(t))
}

// readAccount reads the account that isthmus sandbox has printed.
func readAccount(t *testing.T, file string) target {
	t.Helper()
	raw, err := os.ReadFile(file)
	must(t, err)
	var a struct {
		ServiceURL     string `json:"service_url"`
		PartnerID      int64  `json:"partner_id"`
		AdminSecret    string `json:"admin_secret"`
		UserSecret     string `json:"user_secret"`
		OperatorSecret string `json:"operator_secret"`
		AdminPassword  string `json:"admin_password"`
		DropRoot       string `json:"drop_root"`
	}
	must(t, json.Unmarshal(raw, &a))
	if a.PartnerID != partnerID {
		t.Fatalf("the recordings are those of partner %d, the account is %d", partnerID, a.PartnerID)
	}
	return target{
		url: strings.TrimSuffix(a.ServiceURL, "/"), secret: a.AdminSecret, user: a.UserSecret, operator: a.OperatorSecret,
		password: a.AdminPassword, drop: a.DropRoot,
	}
}
