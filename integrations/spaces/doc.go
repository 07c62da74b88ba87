// Package spaces is the spaces platform's side: people sign in there, and what its ID token says
// about them becomes a gateway.Identity with hubs, plans and roles.
//
// The platform is an OpenID Connect provider to us. Sign-in is the authorization code flow with
// PKCE, state and nonce; what is remembered between the two halves lies in a sealed cookie of the
// browser that began it, so that any replica can end what another began.
package spaces
