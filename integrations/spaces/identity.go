package spaces

import (
	"encoding/json"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"isthmus/gateway"
)

// HubsClaim is the claim of the ID token that names the hubs a person is in:
//
//	"isthmus_hubs": [{"id": "h1", "name": "Biology", "plan": "university", "role": "admin"}]
const HubsClaim = "isthmus_hubs"

const maxHubs = 500

type hubClaim struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Plan string `json:"plan"`
	Role string `json:"role"`
}

// identityOf translates verified claims. An e-mail counts as verified only when the provider says so.
func identityOf(c *oidc.IDTokenClaims) (gateway.Identity, error) {
	id := gateway.Identity{
		Issuer: c.Issuer, Subject: c.Subject, Email: strings.TrimSpace(c.Email), EmailVerified: bool(c.EmailVerified) && c.Email != "",
		Name: firstOf(c.Name, strings.TrimSpace(c.GivenName+" "+c.FamilyName), c.PreferredUsername, c.Email, c.Subject),
	}
	raw, err := json.Marshal(c.Claims[HubsClaim])
	if err != nil {
		return id, err
	}
	var hubs []hubClaim
	if err := json.Unmarshal(raw, &hubs); err != nil || len(hubs) > maxHubs {
		return id, gateway.E(gateway.Unauthenticated, "bad_hub_claim", "The identity provider's list of your hubs is not understood.").
			Next("Ask your administrator to check the claim %s.", HubsClaim).Because(err)
	}
	for _, h := range hubs {
		if h.ID == "" {
			continue
		}
		id.Memberships = append(id.Memberships, gateway.Membership{
			HubExternalID: h.ID, HubName: h.Name, Plan: gateway.Plan(h.Plan), Role: gateway.Role(h.Role),
		})
	}
	return id, nil
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
