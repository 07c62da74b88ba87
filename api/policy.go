package api

import (
	"context"
	"fmt"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// policy says who may use an operation. The zero value lets in any signed-in caller.
type policy struct {
	public bool   // no sign-in
	hub    hubIn  // where the request names its hub
	scope  string // a bearer token must carry it
	admin  bool   // a person must be an admin of the hub
}

type hubIn int

const (
	noHub hubIn = iota
	hubInPath
	hubInQuery
)

// policies names every operation of openapi.yaml; a test compares both, and an operation without a
// line here is refused.
var policies = map[string]policy{
	"getMe":              {},
	"listMyIntegrations": {},

	"getHub":      {hub: hubInPath},
	"listMembers": {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},

	"getKaltura":                      {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"connectKaltura":                  {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"updateKaltura":                   {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"disconnectKaltura":               {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"getKalturaHealth":                {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"verifyKaltura":                   {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"getTokenRequest":                 {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"listConversionProfiles":          {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"getDisconnectImpact":             {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"createInvite":                    {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"probeKaltura":                    {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"getReconciliation":               {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"startReconciliation":             {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"getUntagged360":                  {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"updateUntagged360":               {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"searchUntagged360":               {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"listUntagged360":                 {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"markUntagged360":                 {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"undoUntagged360":                 {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"dismissUntagged360":              {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"getKalturaNotifications":         {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"makeKalturaNotificationSecret":   {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"removeKalturaNotificationSecret": {hub: hubInPath, scope: gateway.ScopeConnectionsAdmin, admin: true},
	"receiveKalturaNotification":      {public: true},
	"getInvite":                       {public: true},
	"acceptInvite":                    {public: true},

	"listWebhooks":          {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"createWebhook":         {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"getWebhook":            {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"updateWebhook":         {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"deleteWebhook":         {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"testWebhook":           {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"listWebhookDeliveries": {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"redeliverWebhook":      {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},

	"listMappings":  {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"linkMapping":   {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"unlinkMapping": {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},

	"listMedia":        {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"getMedia":         {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"getMediaPlayback": {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"markMedia360":     {hub: hubInPath, scope: gateway.ScopeUploadsWrite},

	"listLibrary":        {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"importMedia":        {hub: hubInPath, scope: gateway.ScopeMediaImport},
	"getLibraryItem":     {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"shareLibraryItem":   {hub: hubInPath, scope: gateway.ScopeMediaImport},
	"removeLibraryItem":  {hub: hubInPath, scope: gateway.ScopeMediaImport},
	"getLibraryPlayback": {hub: hubInPath, scope: gateway.ScopeMediaRead},

	"listUploads":  {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"createUpload": {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"getUpload":    {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"cancelUpload": {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"finishUpload": {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"extendUpload": {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"retryUpload":  {hub: hubInPath, scope: gateway.ScopeUploadsWrite},

	"listJobs":  {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"getJob":    {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"cancelJob": {hub: hubInPath, scope: gateway.ScopeMediaImport},

	"streamEvents": {hub: hubInQuery, scope: gateway.ScopeEventsRead},
}

// tusPolicy is that of /files, which is no operation of openapi.yaml.
var tusPolicy = policy{scope: gateway.ScopeUploadsWrite}

// enforce applies an operation's policy before anything of the request is parsed.
func (s *Server) enforce(operation string) echo.MiddlewareFunc {
	p, declared := policies[operation]
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if !declared {
				return fmt.Errorf("operation %s has no policy", operation)
			}
			r := c.Request()
			who := callerOf(r.Context())
			if p.public {
				return next(c)
			}
			if who.session == nil && who.token == nil {
				c.Response().Header().Set("WWW-Authenticate", `Bearer realm="isthmus"`)
				return errSignIn()
			}
			if p.hub == noHub {
				return next(c)
			}
			hub := c.Param("hub")
			if p.hub == hubInQuery {
				hub = c.QueryParam("hub")
			}
			a, err := s.actorIn(r.Context(), who, hub, p)
			if err != nil {
				return err
			}
			if err := allowed(c, a, p); err != nil {
				return err
			}
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), actorKey, a)))
			return next(c)
		}
	}
}

func allowed(c echo.Context, a gateway.Actor, p policy) error {
	if p.scope != "" && !a.Has(p.scope) {
		c.Response().Header().Set("WWW-Authenticate", `Bearer realm="isthmus", error="insufficient_scope", scope="`+p.scope+`"`)
		return gateway.E(gateway.Forbidden, "missing_scope", "The access token lacks the scope "+p.scope+".").
			Next("Ask for a token with the scope %s; the client must be allowed to have it.", p.scope)
	}
	if p.admin && !a.Machine() && !a.Admin() {
		return gateway.E(gateway.Forbidden, "not_admin", "Only an admin of the hub may do this.").
			Next("Ask an admin of your hub.")
	}
	return nil
}
