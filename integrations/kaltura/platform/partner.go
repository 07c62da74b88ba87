package platform

import "strings"

func partnerActions() []*action {
	return []*action{
		{service: "partner", name: "get", who: adminOnly, run: (*call).partnerGet},
		{service: "partner", name: "getInfo", who: adminOnly, run: (*call).partnerGet},
		{service: "partner", name: "getSecrets", needs: []string{"partnerId", "adminEmail", "cmsPassword"}, run: (*call).partnerSecrets},
	}
}

func (c *call) partnerGet() (any, error) {
	if id := c.args.num("id"); id != 0 && id != c.partner() {
		return nil, refuse("PARTNER_ACCESS_FORBIDDEN", "ACCESSING_PID", c.account.ID, "ACCESSED_PID", c.args.str("id"))
	}
	return c.viewPartner(c.account, "")
}

func (c *call) partnerSecrets() (any, error) {
	u, err := c.login(c, c.args.num("partnerId"), c.args.str("adminEmail"))
	if _, unknown := err.(*fault); err != nil && !unknown {
		return nil, err
	}
	if !checkPassword(u.Password, c.args.str("cmsPassword")) || err != nil {
		return nil, refuse("USER_DATA_ERROR")
	}
	acc, _, err := c.Platform.account(c, u.Partner)
	if err != nil {
		return nil, err
	}
	return c.viewPartner(acc, c.args.str("cmsPassword"))
}

// viewPartner shows an account. Much of it is stock data that consoles of the original read; it is
// the same for every account. The password is shown to who has just sent it, as the original does.
func (c *call) viewPartner(a *account, password string) (*object, error) {
	admin, err := c.tables().Users().Get(c, a.Partner, a.AdminEmail)
	if err != nil && !missing(err) {
		return nil, err
	}
	name := strings.TrimSpace(admin.FirstName + " " + admin.LastName)
	return newObject("KalturaPartner").
		set("id", a.Partner).set("name", a.Name).set("website", "").null("notificationUrl").set("appearInSearch", 1).
		set("createdAt", a.CreatedAt.Unix()).set("adminName", name).set("adminEmail", a.AdminEmail).set("description", "").
		set("commercialUse", 0).null("landingPage", "userLandingPage", "contentCategories").set("type", 1).null("phone").
		set("describeYourself", "").set("adultContent", 0).set("defConversionProfileType", defaultProfile).set("notify", 0).
		set("status", 1).set("allowQuickEdit", 1).null("mergeEntryLists", "notificationsConfig").set("maxUploadSize", "150").
		set("partnerPackage", 1).set("secret", a.userSecret).set("adminSecret", a.adminSecret).set("cmsPassword", orNil(password)).
		set("allowMultiNotification", 0).set("adminLoginUsersQuota", "10").set("adminUserId", a.AdminEmail).
		set("firstName", name).null("lastName", "country", "state").set("additionalParams", []any{}).
		set("publishersQuota", 0).null("partnerGroupType").set("defaultEntitlementEnforcement", false).null("defaultDeliveryType").
		set("deliveryTypes", deliveryTypes()).set("embedCodeTypes", embedCodes()).set("templatePartnerId", 0).
		set("ignoreSeoLinks", false).null("host", "cdnHost", "logoutUrl", "partnerParentId", "crmId", "referenceId").
		set("useTwoFactorAuthentication", false).set("useSso", false).set("blockDirectLogin", false).set("isFirstLogin", true).
		set("publisherEnvironmentType", 0).null("ovpEnvironmentUrl", "ottEnvironmentUrl").set("eSearchLanguages", []any{}).
		set("authenticationType", 0).set("passwordStructureValidations", passwordRules()).
		set("passwordStructureValidationsDescription", passwordText).set("passReplaceFreq", "432000000").set("maxLoginAttempts", "5000").
		set("loginBlockPeriod", "0").set("numPrevPassToKeep", "0").set("allowDefaultPasswordRestrictions", true).
		set("isSelfServe", false).set("allowedDomains", "").set("excludedAdminRoleName", "").
		set("eventPlatformAllowedTemplates", "").set("recycleBinRetentionPeriod", 30).set("customAnalyticsDomain", "").
		set("allowedEmailDomainsForAdmins", ""), nil
}

// passwordText and passwordRules are what consoles show to who chooses a password.
const passwordText = "- Must be 8–14 characters long; allowed: alphanumeric and ~!@#$%^*=+?()[]{} ." +
	`\n- Must contain at least one digit (0-9).\n- Must contain at least one lowercase letter (a-z).` +
	`\n- Must contain at least one of the following symbols:  !?~@#$%^*=+-()[]{}\n- Must not contain your name or email.`

func passwordRules() []any {
	var out []any
	for _, r := range []string{`/^[a-zA-Z0-9~!@#$%^*=+?\(\)\-\[\]\{\}]{8,14}$/`, `/[0-9]+/`, `/[a-z]+/`, `/[~!@#$%^*=+?\(\)\-\[\]\{\}]+/`} {
		out = append(out, newObject("KalturaRegexItem").set("regex", r))
	}
	return out
}

func deliveryTypes() []any {
	one := func(id, label string) *object {
		return newObject("KalturaPlayerDeliveryType").set("id", id).set("label", label)
	}
	vars := func(pairs ...string) []any {
		var out []any
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, newObject("KalturaKeyValue").set("key", pairs[i]).set("value", pairs[i+1]))
		}
		return out
	}
	akamai := []string{"akamaiHD.loadingPolicy", "preInitialize", "akamaiHD.asyncInit", "true"}
	return []any{
		one("auto", "Kaltura Auto").set("minVersion", "v3.6.14").set("enabledByDefault", true),
		one("http", "HTTP Progressive Download").set("enabledByDefault", true),
		one("akamai", "HTTP Streaming (Akamai)").set("flashvars", vars(akamai...)).set("enabledByDefault", true),
		one("hds", "HTTP Streaming (HDS)").set("flashvars", vars(append(akamai, "twoPhaseManifest", "true")...)).set("enabledByDefault", true),
		one("rtmp", "RTMP Streaming").set("enabledByDefault", true),
		one("rtmpe", "Secure Transport (RTMPE)").set("enabledByDefault", true),
	}
}

func embedCodes() []any {
	one := func(id, label, since string) *object {
		return newObject("KalturaPlayerEmbedCodeType").set("id", id).set("label", label).set("minVersion", orNil(since))
	}
	return []any{
		one("auto", "Auto Embed", "v1.7.0"), one("dynamic", "Dynamic Embed", "v1.7.0"),
		one("thumb", "Thumbnail Embed", "v1.7.0").set("entryOnly", "1"), one("iframe", "Iframe Embed", "v1.7.2.1"),
		one("legacy", "Legacy Flash Embed", ""),
	}
}
