package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
)

// TokenRequest is the exact appToken.add request for a visibility, to be run by a Kaltura administrator.
type TokenRequest struct {
	URL     string // with the service URL given, or https://www.kaltura.com
	Body    string // JSON, with a placeholder for the administrator's KS
	Curl    string
	Explain []string // one line per field, in plain words
}

// adminKS stands in the request where the administrator's own session belongs. We never ask for it.
const adminKS = "PASTE-AN-ADMIN-KS-HERE"

// TokenWish says what an App Token shall be good for.
type TokenWish struct {
	Visibility     Visibility
	Entitlement    Entitlement
	PrivacyContext string
	Player         bool // a second one, for playback only
}

// TokenRequest writes it.
func (s *Integrations) TokenRequest(ctx context.Context, a Actor, serviceURL string, w TokenWish) (TokenRequest, error) {
	hub, err := s.adminGate(ctx, a)
	if err != nil {
		return TokenRequest{}, err
	}
	if _, err := (ConnectionOptions{Entitlement: &w.Entitlement, PrivacyContext: &w.PrivacyContext}).checked(""); err != nil {
		return TokenRequest{}, err
	}
	return tokenRequest(hub.Name, serviceURL, w)
}

// tokenRequest leaves sessionType and sessionUserId out in both modes: people get USER sessions of
// their own, and looking up and creating users and tagging need ADMIN ones. A caller of
// startSession cannot add list or sview to what the token has, so these must be in it.
func tokenRequest(hubName, serviceURL string, w TokenWish) (TokenRequest, error) {
	if serviceURL == "" {
		serviceURL = "https://www.kaltura.com"
	}
	serviceURL, err := normalURL(strings.TrimSpace(serviceURL))
	if err != nil {
		return TokenRequest{}, err
	}
	privileges, why, mode := "list:*,sview:*",
		"list:* lets everybody of the hub list the whole account, which is what you chose; sview:* lets us hand out playback of one entry at a time.",
		"everybody sees the whole account"
	switch w.Visibility {
	case VisibilityShared:
	case VisibilityOwn:
		privileges, why, mode = "sview:*",
			"sview:* lets us hand out playback of one entry at a time. There is no list:*, so Kaltura itself lists to each person only what they own.",
			"each person sees only their own media"
	default:
		return TokenRequest{}, E(Invalid, "visibility", "The visibility is \"shared\" or \"own\".").At("/visibility").
			Next("Choose what the people of the hub shall see.")
	}
	if w.Player {
		privileges, mode = "sview:*,disableentitlementforentry:*", "playback only"
		why = "both are narrowed to the one entry that somebody plays, so that a playback address is good for nothing else. There is no list:*: this token lists nothing."
	} else if more := w.Entitlement.Privileges(w.PrivacyContext); more != nil {
		privileges += "," + strings.Join(more, ",")
		why += " " + strings.Join(more, " and ") + " set how category entitlement holds, which you chose under Advanced; Kaltura lets nobody add that to a session later."
		if w.Entitlement == EntitlementEnforce {
			// With the wildcard every session would see every entry by its id: only the token that nobody
			// looks or lists with may hold it.
			why += " What members alone may see plays with a second App Token, for playback only; do not add its disableentitlementforentry:* here, which would open all media to everybody."
		}
	}
	type appToken struct {
		ObjectType        string `json:"objectType"`
		HashType          string `json:"hashType"`
		SessionPrivileges string `json:"sessionPrivileges"`
		SessionDuration   int    `json:"sessionDuration"`
		Description       string `json:"description"`
	}
	body := struct {
		KS       string   `json:"ks"`
		Format   int      `json:"format"`
		AppToken appToken `json:"appToken"`
	}{adminKS, 1, appToken{"KalturaAppToken", "SHA256", privileges, 86400, "Isthmus: " + hubName + " (" + mode + ")"}}
	pretty, err := marshal(body, "  ")
	if err != nil {
		return TokenRequest{}, AsError(err)
	}
	compact, err := marshal(body, "")
	if err != nil {
		return TokenRequest{}, AsError(err)
	}
	req := TokenRequest{URL: serviceURL + "/api_v3/service/apptoken/action/add", Body: pretty}
	req.Curl = "curl -sS -H 'Content-Type: application/json' --data " + shellQuote(compact) + " " + shellQuote(req.URL)
	req.Explain = []string{
		"ks: a session of a Kaltura administrator, made for this one request; put it in place of " + adminKS + ". We never see it. Make it with a user id: some accounts otherwise answer INVALID_FIELD_VALUE sessionUserId.",
		"format: 1 asks for the answer as JSON.",
		"hashType: SHA256 is how we prove that we know the token without sending it. MD5 and SHA1 work but are weak.",
		"sessionPrivileges: " + why,
		"sessionDuration: a session made from the token lasts at most a day (86400 seconds); we renew them by ourselves.",
		"description: how you recognise the token in Kaltura later.",
		"sessionUserId is left out on purpose: each person acts as their own Kaltura user. A token bound to one user would make everybody that user.",
		"sessionType is left out on purpose: people get ordinary user sessions; we ask for an administrator session only to find or create their Kaltura users and to set tags, and never hand one out.",
		"expiry is left out: the token works until you delete it with appToken.delete, which cuts us off at once. If your rules want an end, add \"expiry\" as Unix time; the settings page shows it.",
		"From the answer copy id, token, partnerId and hashType into the settings page; token is shown there as its last four characters only.",
	}
	return req, nil
}

// marshal writes JSON for people to read: without HTML escapes.
func marshal(v any, indent string) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	err := enc.Encode(v)
	return strings.TrimSpace(b.String()), err
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
