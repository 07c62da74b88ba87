package gateway

import (
	"context"
	"strings"
)

// Entitlement says how a hub's sessions treat category entitlement, Kaltura's own rule of who sees
// what is published in a category.
type Entitlement string

// The choices. EntitlementAccount leaves it to the account; the others need an App Token that says the same.
const (
	EntitlementAccount Entitlement = ""
	EntitlementEnforce Entitlement = "enforce" // within Integration.PrivacyContext
	EntitlementDisable Entitlement = "disable"
)

// Privileges are the privileges that a session must hold for a choice.
func (e Entitlement) Privileges(privacyContext string) []string {
	switch e {
	case EntitlementEnforce:
		return []string{"enableentitlement", "privacycontext:" + privacyContext}
	case EntitlementDisable:
		return []string{"disableentitlement"}
	}
	return nil
}

// ConnectionOptions are the settings that few hubs need. On a change, nil keeps the saved one and
// the zero value turns it off.
type ConnectionOptions struct {
	CategoryID          *int64
	Entitlement         *Entitlement
	PrivacyContext      *string
	ConversionProfileID *int64
	PlayerTokenID       *string // "" = one App Token for everything
	PlayerToken         Secret  // empty = the saved one
	PlayerHashType      string
}

// checked normalises, so that afterwards no pointer is nil, and says which field cannot be right.
func (o ConnectionOptions) checked(serviceTokenID string) (ConnectionOptions, error) {
	o.CategoryID, o.ConversionProfileID = orZero(o.CategoryID), orZero(o.ConversionProfileID)
	o.Entitlement, o.PrivacyContext, o.PlayerTokenID = orZero(o.Entitlement), orZero(o.PrivacyContext), orZero(o.PlayerTokenID)
	*o.PrivacyContext, *o.PlayerTokenID = strings.TrimSpace(*o.PrivacyContext), strings.TrimSpace(*o.PlayerTokenID)
	o.PlayerToken = Secret(strings.TrimSpace(o.PlayerToken.Reveal()))
	o.PlayerHashType = hashTypeOf(o.PlayerHashType)
	bad := func(field, message, next string) (ConnectionOptions, error) {
		return o, E(Invalid, field, message).At("/"+field).Next("%s", next)
	}
	const maxID = 1<<31 - 1 // Kaltura's numbers are 32-bit
	switch {
	case *o.CategoryID < 0 || *o.CategoryID > maxID:
		return bad("category_id", "A category id is a number above zero; 0 is the whole account.", "Find it in the KMC under Content → Categories.")
	case *o.ConversionProfileID < 0 || *o.ConversionProfileID > maxID:
		return bad("conversion_profile_id", "A conversion profile id is a number above zero; 0 is the account's default.", "Choose one of the account's profiles.")
	case *o.Entitlement != EntitlementAccount && *o.Entitlement != EntitlementEnforce && *o.Entitlement != EntitlementDisable:
		return bad("entitlement", "The entitlement is \"\", \"enforce\" or \"disable\".", "Leave it empty unless your Kaltura account uses category entitlement.")
	case *o.Entitlement == EntitlementEnforce && !validContext(*o.PrivacyContext):
		return bad("privacy_context", "Enforced entitlement needs the privacy context: up to 64 letters, digits, - and _.", "Copy it from the category's entitlement settings in the KMC.")
	case *o.Entitlement != EntitlementEnforce && *o.PrivacyContext != "":
		return bad("privacy_context", "A privacy context only means something when entitlement is enforced.", "Choose \"enforce\", or leave the privacy context empty.")
	}
	if *o.PlayerTokenID == "" {
		if o.PlayerToken != "" {
			return bad("player_token_id", "The player App Token needs its id too.", "Copy the field \"id\" from the answer of appToken.add.")
		}
		o.PlayerHashType = ""
		return o, nil
	}
	if !validTokenID(*o.PlayerTokenID) {
		return bad("player_token_id", "The App Token id looks like 0_ab12cd34.", "Copy the field \"id\" from the answer of appToken.add.")
	}
	if *o.PlayerTokenID == serviceTokenID {
		return bad("player_token_id", "The player App Token is the same as the first one.", "Make a second App Token for playback only, or leave these fields empty.")
	}
	if !validToken(o.PlayerToken) {
		return bad("player_token", "The App Token's value is 32 characters without blanks.", "Copy the field \"token\" from the answer of appToken.add.")
	}
	if o.PlayerHashType == "" {
		o.PlayerHashType = "SHA256"
	}
	if !validHashType(o.PlayerHashType) {
		return bad("player_hash_type", "The hash type is one of SHA256, SHA512, SHA1 and MD5.", "Copy the field \"hashType\" from the answer of appToken.add.")
	}
	return o, nil
}

// over fills what was left out from a saved integration. The saved player token goes where it was
// saved for and nowhere else, as the first one does.
func (o ConnectionOptions) over(in Integration, sameAccount bool, token func() (Secret, error)) (ConnectionOptions, error) {
	keep(&o.CategoryID, in.CategoryID)
	keep(&o.ConversionProfileID, in.ConversionProfileID)
	if o.Entitlement != nil && *o.Entitlement != EntitlementEnforce {
		keep(&o.PrivacyContext, "")
	}
	keep(&o.Entitlement, in.Entitlement)
	keep(&o.PrivacyContext, in.PrivacyContext)
	if o.PlayerTokenID == nil && !sameAccount && o.PlayerToken == "" {
		keep(&o.PlayerTokenID, "")
	}
	keep(&o.PlayerTokenID, in.PlayerTokenID)
	id := strings.TrimSpace(*o.PlayerTokenID)
	if id == "" || strings.TrimSpace(o.PlayerToken.Reveal()) != "" {
		return o, nil
	}
	if id != in.PlayerTokenID || !sameAccount {
		return o, E(Invalid, "player_token_required", "The saved player App Token is only used with the server, account and token id it was saved for.").
			At("/player_token").Next("Paste the player App Token's value.")
	}
	if o.PlayerHashType == "" {
		o.PlayerHashType = in.PlayerHashType
	}
	var err error
	o.PlayerToken, err = token()
	return o, err
}

func keep[T any](field **T, saved T) {
	if *field == nil {
		*field = &saved
	}
}

func orZero[T any](p *T) *T {
	v := new(T)
	if p != nil {
		*v = *p
	}
	return v
}

// validContext keeps out what would end a privilege or begin another one.
func validContext(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, notIDRune)
}

// apply writes the options, which are checked, into a row; the tokens are sealed by the caller.
func (o ConnectionOptions) apply(in *Integration) {
	in.CategoryID, in.ConversionProfileID = *o.CategoryID, *o.ConversionProfileID
	in.Entitlement, in.PrivacyContext = *o.Entitlement, *o.PrivacyContext
	in.PlayerTokenID, in.PlayerLast4, in.PlayerHashType = *o.PlayerTokenID, o.PlayerToken.Last4(), o.PlayerHashType
}

// onto writes them into an account.
func (o ConnectionOptions) onto(a *Account) {
	a.CategoryID, a.ConversionProfileID = *o.CategoryID, *o.ConversionProfileID
	a.Entitlement, a.PrivacyContext = *o.Entitlement, *o.PrivacyContext
	a.PlayerTokenID, a.PlayerToken, a.PlayerHashType = *o.PlayerTokenID, o.PlayerToken, o.PlayerHashType
}

// ConversionProfile is a way in which a platform converts what it is sent.
type ConversionProfile struct {
	ID      int64
	Name    string
	Default bool // taken when none is chosen
}

// Profiler is a platform whose conversion profiles can be chosen.
type Profiler interface {
	// Profiles gives them, the default first. Forbidden with a reason when the credential may not read them.
	Profiles(ctx context.Context) ([]ConversionProfile, error)
}

// ConversionProfiles lists the connected account's conversion profiles for its settings page.
func (s *Integrations) ConversionProfiles(ctx context.Context, a Actor) ([]ConversionProfile, error) {
	if err := adminOnly(a, ScopeConnectionsAdmin); err != nil {
		return nil, err
	}
	o, err := s.OpenFor(ctx, a.HubID, false)
	if err != nil {
		return nil, err
	}
	p, ok := o.Platform.(Profiler)
	if !ok {
		return nil, notOffered()
	}
	list, err := p.Profiles(ctx)
	s.Heard(ctx, o.Integration, err)
	return list, err
}
