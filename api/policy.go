package api

import (
	"context"
	"fmt"

	"github.com/labstack/echo/v4"

	"isthmus/gateway"
)

// policy says who may use an operation. The zero value lets in any signed-in caller.
type policy struct {
	public  bool   // no sign-in
	hub     hubIn  // where the request names its hub
	scope   string // a bearer token must carry it
	admin   bool   // a person must be an admin of the hub
	content bool   // a person must be an admin or a content admin of the hub
	session bool   // a signed-in browser only: no app decides for its person

	operator bool // an operator of the installation, signed in with a browser: tokens never are
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
	"listMyGrants":       {session: true},
	"revokeMyGrant":      {session: true},
	"allowMyGrant":       {session: true},
	"getConsent":         {session: true},
	"decideConsent":      {session: true},
	"getDevice":          {session: true},
	"decideDevice":       {session: true},

	"getHub":      {hub: hubInPath},
	"listMembers": {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},

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
	"rotateWebhookSecret":   {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"replayWebhook":         {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},
	"redeliverWebhook":      {hub: hubInPath, scope: gateway.ScopeWebhooksAdmin, admin: true},

	"listOAuthClients":        {hub: hubInPath, scope: gateway.ScopeClientsAdmin, admin: true},
	"createOAuthClient":       {hub: hubInPath, scope: gateway.ScopeClientsAdmin, admin: true},
	"getOAuthClient":          {hub: hubInPath, scope: gateway.ScopeClientsAdmin, admin: true},
	"updateOAuthClient":       {hub: hubInPath, scope: gateway.ScopeClientsAdmin, admin: true},
	"deleteOAuthClient":       {hub: hubInPath, scope: gateway.ScopeClientsAdmin, admin: true},
	"rotateOAuthClientSecret": {hub: hubInPath, scope: gateway.ScopeClientsAdmin, admin: true},

	"listSignIns":      {public: true},
	"exportMe":         {session: true},
	"previewMyErasure": {session: true},
	"eraseMe":          {session: true},

	"getMember":              {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"updateMember":           {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"removeMember":           {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"suspendMember":          {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"reinstateMember":        {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"exportMember":           {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"previewErasure":         {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"eraseMember":            {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"getErasure":             {hub: hubInPath, scope: gateway.ScopeMembersAdmin, admin: true},
	"receiveIdentityWebhook": {public: true},

	"listIdentityProviders":     {operator: true},
	"createIdentityProvider":    {operator: true},
	"getIdentityProvider":       {operator: true},
	"updateIdentityProvider":    {operator: true},
	"deleteIdentityProvider":    {operator: true},
	"verifyIdentityProvider":    {operator: true},
	"tryClaims":                 {operator: true},
	"makeIdentityWebhookSecret": {operator: true},

	"beginSetup":                 {session: true}, // the code is what counts
	"listOperators":              {operator: true},
	"addOperator":                {operator: true},
	"removeOperator":             {operator: true},
	"listOperatorHubs":           {operator: true},
	"createHub":                  {operator: true},
	"getOperatorHub":             {operator: true},
	"updateOperatorHub":          {operator: true},
	"listOperatorClients":        {operator: true},
	"createOperatorClient":       {operator: true},
	"getOperatorClient":          {operator: true},
	"updateOperatorClient":       {operator: true},
	"deleteOperatorClient":       {operator: true},
	"rotateOperatorClientSecret": {operator: true},

	"listMappings":        {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"linkMapping":         {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"unlinkMapping":       {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"getMapping":          {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"exportMappings":      {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"dryRunMappings":      {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"previewMappingMerge": {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"mergeMapping":        {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"listMappingRuns":     {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"getMappingRun":       {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"listMappingRunItems": {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"undoMappingMerge":    {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},
	"resumeMappingMerge":  {hub: hubInPath, scope: gateway.ScopeMappingsAdmin, admin: true},

	"listAudit":   {hub: hubInPath, scope: gateway.ScopeAuditRead, admin: true},
	"verifyAudit": {hub: hubInPath, scope: gateway.ScopeAuditRead, admin: true},
	"exportAudit": {hub: hubInPath, scope: gateway.ScopeAuditRead, admin: true},

	"listMedia":        {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"getMedia":         {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"getMediaPlayback": {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"markMedia360":     {hub: hubInPath, scope: gateway.ScopeUploadsWrite},

	"listLibrary":            {hub: hubInPath, scope: gateway.ScopeLibraryRead},
	"importMedia":            {hub: hubInPath, scope: gateway.ScopeMediaImport},
	"getLibraryItem":         {hub: hubInPath, scope: gateway.ScopeLibraryRead},
	"shareLibraryItem":       {hub: hubInPath, scope: gateway.ScopeLibraryWrite},
	"removeLibraryItem":      {hub: hubInPath, scope: gateway.ScopeLibraryWrite},
	"registerMedia":          {hub: hubInPath, scope: gateway.ScopeLibraryWrite},
	"listLibraryChanges":     {hub: hubInPath, scope: gateway.ScopeLibraryRead},
	"pushLibraryChanges":     {hub: hubInPath, scope: gateway.ScopeLibraryWrite},
	"exportLibraryItem":      {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"acknowledgeLibraryItem": {hub: hubInPath, scope: gateway.ScopeLibraryWrite},
	"getLibraryAddress":      {hub: hubInPath, scope: gateway.ScopeLibraryRead},
	"getLibraryPlayback":     {hub: hubInPath, scope: gateway.ScopeLibraryRead},

	"listUploads":  {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"createUpload": {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"getUpload":    {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"cancelUpload": {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"finishUpload": {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"extendUpload": {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"retryUpload":  {hub: hubInPath, scope: gateway.ScopeUploadsWrite},

	"listTransfers":         {hub: hubInPath, scope: gateway.ScopeTransfersRead},
	"createTransfer":        {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"getTransfer":           {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"updateTransfer":        {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"cancelTransfer":        {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"listTransferUploads":   {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"renewTransferTicket":   {hub: hubInPath, scope: gateway.ScopeUploadsWrite},
	"getTransferAccount":    {hub: hubInPath, scope: gateway.ScopeTransfersRead},
	"updateTransferAccount": {hub: hubInPath, scope: gateway.ScopeTransfersAdmin, admin: true},

	"listDropFolders":         {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"getDropFolder":           {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"listDropFiles":           {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"getDropFile":             {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"exportDropFiles":         {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"countDropFiles":          {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"listDropChanges":         {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"listDropItems":           {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"previewDropDeletion":     {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"getDropFolderOptions":    {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"validateDropManifest":    {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"listRemoteDropFolders":   {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"listRemoteDropFiles":     {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"listRemoteDropManifests": {hub: hubInPath, scope: gateway.ScopeDropFoldersRead, content: true},
	"changeRemoteDropFile":    {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"createDropFolder":        {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"updateDropFolder":        {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"deleteDropFolder":        {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"testDropFolder":          {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"tryDropFolder":           {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"scanDropFolder":          {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"pauseDropFolder":         {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"resumeDropFolder":        {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"activateDropFolder":      {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"deactivateDropFolder":    {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"changeDropFiles":         {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"getDropManifest":         {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"retryDropFile":           {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"reprocessDropFile":       {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"matchDropFile":           {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"takeDropFile":            {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"keepDropFile":            {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"ignoreDropFile":          {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"deleteDropFile":          {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"undoDropItem":            {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},
	"undoDropDeletion":        {hub: hubInPath, scope: gateway.ScopeDropFoldersWrite, content: true},

	"listJobs":  {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"getJob":    {hub: hubInPath, scope: gateway.ScopeMediaRead},
	"cancelJob": {hub: hubInPath, scope: gateway.ScopeMediaImport},

	"listEvents":     {hub: hubInPath, scope: gateway.ScopeEventsRead},
	"listEventTypes": {public: true},
	"streamEvents":   {hub: hubInQuery, scope: gateway.ScopeEventsRead},
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
				return errSignIn()
			}
			if (p.session || p.operator) && who.session == nil {
				return gateway.E(gateway.Forbidden, "session_required", "Only the person themselves may do this, not an app for them.").
					Next("Sign in with a browser and use the page.")
			}
			if p.operator {
				op, err := s.operators.Of(r.Context(), *who.session)
				if err != nil {
					return err
				}
				c.SetRequest(r.WithContext(context.WithValue(r.Context(), operatorKey, op)))
				return next(c)
			}
			hub := ""
			switch {
			case p.hub == hubInPath:
				hub = c.Param("hub")
			case p.hub == hubInQuery:
				hub = c.QueryParam("hub")
			case who.token == nil:
				return next(c)
			default:
				hub = who.token.HubID // a token is of one hub always, and has to stand
			}
			a, err := s.actorIn(r.Context(), who, hub, p)
			if err != nil {
				return err
			}
			if err := s.allowed(c, a, p); err != nil {
				return err
			}
			c.SetRequest(r.WithContext(context.WithValue(r.Context(), actorKey, a)))
			return next(c)
		}
	}
}

func (s *Server) allowed(c echo.Context, a gateway.Actor, p policy) error {
	if p.scope != "" && !a.Has(p.scope) {
		c.Response().Header().Set("WWW-Authenticate", s.challenge("insufficient_scope", p.scope))
		return gateway.E(gateway.Forbidden, "missing_scope", "The access token lacks the scope "+p.scope+".").
			Next("Ask for a token with the scope %s; the client must be allowed to have it.", p.scope)
	}
	if p.content && !a.Machine() && !a.Admin() && a.Role != gateway.RoleContentAdmin {
		return gateway.E(gateway.Forbidden, "not_content_admin", "Only an admin or a content admin of the hub may do this.").
			Next("Ask an admin of your hub.")
	}
	if p.admin && !a.Machine() && !a.Admin() {
		return gateway.E(gateway.Forbidden, "not_admin", "Only an admin of the hub may do this.").
			Next("Ask an admin of your hub.")
	}
	return nil
}
