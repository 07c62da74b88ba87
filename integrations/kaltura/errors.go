package kaltura

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"isthmus/gateway"
)

// apiError is a KalturaAPIException. Kaltura's message is not kept: it quotes the KS it refuses.
type apiError struct {
	Op   string // service.action
	Code string

	// State is what INVALID_KS says: the state word (EXPIRED, LOGOUT, EXCEEDED_…), "other" for a KS
	// that the server does not understand, or "" for a permission failure. One code, three meanings.
	State string
}

// Error implements error.
func (e *apiError) Error() string {
	if e.Code == codeInvalidKS {
		return fmt.Sprintf("kaltura %s: %s (%s)", e.Op, e.Code, e.State)
	}
	return fmt.Sprintf("kaltura %s: %s", e.Op, e.Code)
}

const (
	codeInvalidKS    = "INVALID_KS"
	codeForbidden    = "SERVICE_FORBIDDEN"
	codeInternal     = "INTERNAL_SERVERL_ERROR" // sic
	codeBlocked      = "ACTION_BLOCKED"
	codeTokenMissing = "UPLOAD_TOKEN_NOT_FOUND"
	codeEntryMissing = "ENTRY_ID_NOT_FOUND"
	codeTooMany      = "QUERY_EXCEEDED_MAX_MATCHES_ALLOWED"
	codeBadHash      = "INVALID_APP_TOKEN_HASH"
	codeUserMissing  = "INVALID_USER_ID"
	codeUserExists   = "DUPLICATE_USER_BY_ID"
	codeHasContent   = "ENTRY_ALREADY_WITH_CONTENT"
	codeTokenUsed    = "UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY"
	codeInCategory   = "CATEGORY_ENTRY_ALREADY_EXISTS"

	codeCategoryMissing = "CATEGORY_NOT_FOUND"
	codeProfileMissing  = "CONVERSION_PROFILE_ID_NOT_FOUND"
	codeCategoryTwice   = "DUPLICATE_CATEGORY"
	codeNotInCategory   = "ENTRY_IS_NOT_ASSIGNED_TO_CATEGORY"
	codeMetadataTwice   = "METADATA_ALREADY_EXISTS"
	codeMetadataGone    = "METADATA_NOT_FOUND"
	codeReplacing       = "ENTRY_REPLACEMENT_ALREADY_EXISTS"
	codeFlavorTwice     = "FLAVOR_ASSET_ALREADY_EXISTS"
)

// code gives the Kaltura code inside err, or "".
func code(err error) string {
	var e *apiError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// renewable tells whether a new session may cure err. A missing permission is no reason to renew.
func renewable(err error) bool {
	var e *apiError
	if !errors.As(err, &e) || e.Code != codeInvalidKS {
		return false
	}
	return e.State == "EXPIRED" || e.State == "LOGOUT" || e.State == "other"
}

// notAllowed tells whether the session's rights were too small.
func notAllowed(err error) bool {
	var e *apiError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case codeForbidden, "ASSET_NOT_ALLOWED", "PROPERTY_VALIDATION_ADMIN_PROPERTY", "CANNOT_RETRIEVE_ANOTHER_USER_USING_NON_ADMIN_SESSION":
		return true
	}
	return e.Code == codeInvalidKS && e.State == ""
}

// fault is a call that brought no answer of the API.
type fault struct {
	Op     string
	Kind   faultKind
	Status int           // HTTP status, if there was one
	Retry  time.Duration // what Retry-After said
	Err    error
}

type faultKind string

const (
	faultUnreachable faultKind = "unreachable" // no connection, reset
	faultName        faultKind = "name"        // the name of the server was not found, or not in time
	faultTimeout     faultKind = "timeout"
	faultTLS         faultKind = "tls"
	faultStatus      faultKind = "status"     // 5xx
	faultBusy        faultKind = "busy"       // 429
	faultRedirect    faultKind = "redirect"   // 3xx from the API
	faultNotAPI      faultKind = "not_api"    // HTML, XML, another 4xx
	faultGarbled     faultKind = "garbled"    // half an answer
	faultTooLarge    faultKind = "too_large"  // more than we accept
	faultSource      faultKind = "source"     // our own side could not deliver the bytes to send
	faultOpen        faultKind = "given_up"   // breaker open
	faultCrowded     faultKind = "overloaded" // too many calls under way
)

// Error implements error.
func (f *fault) Error() string {
	s := fmt.Sprintf("kaltura %s: %s", f.Op, f.Kind)
	if f.Status != 0 {
		s += fmt.Sprintf(" (HTTP %d)", f.Status)
	}
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (f *fault) Unwrap() error { return f.Err }

// sick tells whether err says that the server, not the request, is in trouble: repeated when the
// call is idempotent, counted by the breaker.
func sick(err error) bool {
	var f *fault
	if errors.As(err, &f) {
		switch f.Kind {
		case faultUnreachable, faultName, faultTimeout, faultStatus, faultBusy, faultGarbled:
			return true
		case faultNotAPI:
			return f.Status == 200 // an error page of something in between
		}
		return false
	}
	c := code(err)
	return c == codeInternal || c == codeBlocked
}

// wrong tells whether something that cannot be a well Kaltura server answered. It is no use to repeat
// the call, but enough of it opens the breaker.
func wrong(err error) bool {
	var f *fault
	if !errors.As(err, &f) {
		return false
	}
	return f.Kind == faultTooLarge || f.Kind == faultTLS || f.Kind == faultRedirect
}

const reasonCredentials = "credentials_invalid"

// public turns any error into the one that leaves this package.
func public(err error) error {
	if err == nil {
		return nil
	}
	var ge *gateway.Error
	if errors.As(err, &ge) {
		return ge
	}
	var ae *apiError
	if errors.As(err, &ae) {
		return ae.public()
	}
	var f *fault
	if errors.As(err, &f) {
		return f.public()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return gateway.E(gateway.Unavailable, "cancelled", "The request was given up before Kaltura answered.").Because(err)
	}
	return gateway.AsError(err)
}

func (e *apiError) public() *gateway.Error {
	wrap := func(c gateway.Code, reason, message string) *gateway.Error {
		return gateway.E(c, reason, message).Because(e)
	}
	switch e.Code {
	case codeEntryMissing, "INVALID_ENTRY_ID":
		return wrap(gateway.NotFound, "entry_not_found", "Kaltura does not have this media any more.")
	case "FLAVOR_ASSET_ID_NOT_FOUND":
		return wrap(gateway.NotFound, "rendition_not_found", "Kaltura does not have this rendition.")
	case "FLAVOR_ASSET_IS_NOT_READY":
		return wrap(gateway.Precondition, "rendition_not_ready", "Kaltura is still making this rendition.").
			Next("Try again in a few minutes, or choose another rendition.")
	case "APP_TOKEN_ID_NOT_FOUND", "APP_TOKEN_NOT_ACTIVE", "APP_TOKEN_EXPIRED", codeBadHash, "INVALID_WIDGET_ID",
		"SERVICE_FORBIDDEN_CONTENT_BLOCKED", "SERVICE_FORBIDDEN_FULLY_BLOCKED", "SERVICE_FORBIDDEN_PARTNER_DELETED", "START_SESSION_ERROR":
		_, what, fix := sessionFailure(e.Code)
		return wrap(gateway.Precondition, reasonCredentials, what).Next("%s", fix)
	case codeInvalidKS:
		switch e.State {
		case "":
			return wrap(gateway.Forbidden, "kaltura_forbidden", "The Kaltura user may not change this media.").
				Next("Ask its owner, or give the App Token the privilege edit:*.")
		case "EXPIRED", "LOGOUT", "other":
			return wrap(gateway.Precondition, reasonCredentials, "Kaltura does not accept the sessions of this App Token.").
				Next("A hub admin should check the App Token in the hub settings.")
		}
		return wrap(gateway.Forbidden, "kaltura_restricted", "The App Token restricts where or how often its sessions may be used.").
			Next("Ask the Kaltura administrator for a token without actionslimit, iprestrict or urirestrict.")
	case codeForbidden, "ASSET_NOT_ALLOWED", "SERVICE_ACCESS_CONTROL_RESTRICTED", "PROPERTY_VALIDATION_ADMIN_PROPERTY",
		"CANNOT_RETRIEVE_ANOTHER_USER_USING_NON_ADMIN_SESSION":
		return wrap(gateway.Forbidden, "kaltura_forbidden", "The App Token is not allowed to do this in Kaltura.").
			Next("A hub admin can see in the hub settings which privilege is missing.")
	case codeUserMissing, "USER_BLOCKED":
		return wrap(gateway.Forbidden, "kaltura_user_blocked", "The Kaltura user does not exist or is blocked.").
			Next("Ask the Kaltura administrator to unblock the user.")
	case codeProfileMissing: // uploads wait until somebody chooses another one
		return wrap(gateway.Precondition, "conversion_profile_missing", "The conversion profile that the hub chose no longer exists in Kaltura.").
			Next("A hub admin chooses another one in the hub settings.")
	case codeTooMany:
		return wrap(gateway.Invalid, "too_many_results", "Kaltura cannot list that far in this order.").
			Next("Narrow the search, or sort by date.")
	case codeTokenMissing, "UPLOADED_FILE_NOT_FOUND_BY_TOKEN", "UPLOAD_TOKEN_CANNOT_RESUME", "UPLOAD_PASSED_MAX_RESUME_TIME_ALLOWED",
		"MAX_ALLOWED_CHUNK_COUNT_EXCEEDED", "UPLOAD_TOKEN_CANNOT_MATCH_EXPECTED_SIZE", "UPLOAD_TOKEN_INVALID_STATUS_FOR_UPLOAD",
		codeTokenUsed:
		return ingestGone(e)
	case "UPLOAD_TOKEN_FILE_TYPE_RESTRICTED_FOR_UPLOAD", "FILE_CONTENT_NOT_SECURE":
		return wrap(gateway.Invalid, "file_type_refused", "Kaltura does not accept files of this kind.").
			Next("Upload a video, image or audio file.")
	case codeBlocked:
		return wrap(gateway.Unavailable, "kaltura_busy", "Kaltura asks us to slow down.").
			Next("Nothing is lost; we try again by ourselves.").After(30 * time.Second)
	case codeInternal, "UPLOAD_ERROR", "UPLOAD_PARTIAL_ERROR":
		return wrap(gateway.Unavailable, "kaltura_failing", "Kaltura reports an internal error.").
			Next("Nothing is lost; we try again by ourselves.").After(10 * time.Second)
	}
	return wrap(gateway.Invalid, "kaltura_refused", "Kaltura refused the request ("+slug(e.Code)+").").
		Next("Check the values, or report the code to the hub admin.")
}

// slug keeps what a Kaltura code may consist of, so that a hostile server cannot put text into our messages.
func slug(code string) string {
	b := make([]byte, 0, len(code))
	for i := 0; i < len(code) && len(b) < 64; i++ {
		if c := code[i]; c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b = append(b, c)
		}
	}
	return string(b)
}

func (f *fault) public() *gateway.Error {
	wrap := func(reason, message string) *gateway.Error {
		after := f.Retry
		if after <= 0 {
			after = 10 * time.Second
		}
		return gateway.E(gateway.Unavailable, reason, message).
			Next("Nothing is lost; try again in a moment.").After(after).Because(f)
	}
	switch f.Kind {
	case faultOpen: // the reason is what happened before, not that we have stopped asking
		if f.Err != nil {
			return gateway.AsError(public(f.Err)).After(f.Retry).Because(f)
		}
	case faultName:
		return wrap("kaltura_name", "The name of the Kaltura server cannot be looked up right now.").
			Next("Nothing is lost; if this stays so, check the service URL and the name service.")
	case faultTimeout:
		return wrap("kaltura_slow", "Kaltura did not answer in time.")
	case faultBusy:
		return wrap("kaltura_busy", "Kaltura asks us to slow down.")
	case faultCrowded:
		return wrap("kaltura_crowded", "Too many requests to Kaltura are under way.")
	case faultTLS:
		return wrap("kaltura_tls", "The secure connection to Kaltura failed: "+distrust(f.Err)+".").
			Next("Nothing is lost; ask the operator of the Kaltura server to renew its certificate. We never connect without it.")
	case faultNotAPI, faultRedirect:
		return wrap("not_kaltura", "Something other than a Kaltura server answered at the service URL.")
	case faultGarbled:
		return wrap("kaltura_garbled", "Kaltura sent an answer that nobody can understand.")
	case faultTooLarge:
		return wrap("answer_too_large", "Kaltura sent more than we accept.")
	case faultSource:
		return wrap("source_failed", "The bytes to send could not be read.")
	}
	return wrap("kaltura_down", "Kaltura cannot be reached right now.")
}

// distrust says in words what is wrong with a certificate.
func distrust(err error) string {
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired, or is not valid yet"
	case errors.As(err, &host):
		return "its certificate belongs to another name"
	case errors.As(err, &authority):
		return "its certificate comes from nobody whom we trust"
	}
	return "its certificate or its protocol is not right"
}

func ingestGone(cause error) *gateway.Error {
	return gateway.E(gateway.NotFound, "ingest_gone", "Kaltura has forgotten the unfinished upload.").
		Next("It is sent again from our copy.").Because(cause)
}

// sessionFailure puts a refused session into a reason slug, plain words and a fix.
func sessionFailure(code string) (reason, text, fix string) {
	switch code {
	case "APP_TOKEN_ID_NOT_FOUND":
		return "app_token_not_found", "Kaltura does not know this App Token id in this account.",
			"Check the App Token id and the partner id; if the token was deleted in Kaltura, make a new one."
	case "APP_TOKEN_NOT_ACTIVE":
		return "app_token_disabled", "The App Token is disabled in Kaltura.", "Make a new App Token in Kaltura and paste it here."
	case "APP_TOKEN_EXPIRED":
		return "app_token_expired", "The App Token has expired.",
			"Ask the Kaltura administrator to move its expiry (appToken.update) or to make a new one."
	case codeBadHash:
		return "app_token_hash_mismatch", "Kaltura refused the App Token: its value or its hash type is not the right one.",
			"Paste the token value again and choose the hash type with which the token was made."
	case "INVALID_WIDGET_ID":
		return "partner_unknown", "This Kaltura server does not know the partner id.", "Check the partner id and the service URL."
	case "SERVICE_FORBIDDEN_CONTENT_BLOCKED", "SERVICE_FORBIDDEN_FULLY_BLOCKED", "SERVICE_FORBIDDEN_PARTNER_DELETED":
		return "partner_blocked", "Kaltura has blocked or deleted this account.", "Ask Kaltura's support to unblock the account."
	}
	return "session_refused", "Kaltura refused to start a session (" + slug(code) + ").", "Check the App Token with the Kaltura administrator."
}
