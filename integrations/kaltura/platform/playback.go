package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// delivery is one way to play, numbered as the recordings do.
type delivery struct {
	id     int
	format string
	file   string
	rungs  bool // needs transcoded flavors
}

var deliveries = []delivery{
	{2, "url", "name/a.mp4", false},
	{1001, "applehttp", "a.m3u8", true},
	{1002, "hdnetworkmanifest", "manifest.f4m", false},
	{1003, "mpegdash", "manifest.mpd", true},
	{1005, "applehttp", "a.m3u8", true},
}

// sessionNeeded tells whether the entry's access control profile asks for a session.
func (p *Platform) sessionNeeded(ctx context.Context, e Entry) (bool, error) {
	profile, err := p.Records.Kaltura().AccessControls().Get(ctx, e.Partner, fmt.Sprint(e.AccessControl))
	if missing(err) {
		return false, nil
	}
	return profile.SessionNeeded, err
}

// mayView tells whether a session gets past such a profile. Owners do not: only an administrator
// or the privilege sview does.
func mayView(k *ks, e Entry) bool { return k != nil && (k.admin() || k.has("sview", e.ID)) }

// restrictedFor tells whether the entry's profile keeps a session out.
func (p *Platform) restrictedFor(ctx context.Context, e Entry, k *ks) (bool, error) {
	needed, err := p.sessionNeeded(ctx, e)
	return needed && !mayView(k, e), err
}

// playbackContext tells a player how an entry can be played. An entry that is not ready has no
// sources, which is no error.
func (c *call) playbackContext() (any, error) {
	e, err := c.entry(c.tables(), c.args.str("entryId"))
	if err != nil {
		return nil, err
	}
	o := newObject("KalturaPlaybackContext")
	blocked, err := c.restrictedFor(c, e, c.ks)
	if err != nil {
		return nil, err
	}
	if blocked {
		return o.null("sources", "playbackCaptions", "flavorAssets").
			set("actions", []any{newObject("KalturaAccessControlBlockAction").set("type", 1)}).
			set("messages", []any{newObject("KalturaAccessControlMessage").
				set("message", "No KS where KS is required\nWe're sorry, access to this content is restricted.").
				set("code", "SESSION_RESTRICTED")}).
			null("bumperData"), nil
	}
	if !e.scheduled(c.now) && !c.admin() {
		return o.null("sources", "playbackCaptions", "flavorAssets").
			set("actions", []any{newObject("KalturaAccessControlBlockAction").set("type", 1)}).
			set("messages", []any{newObject("KalturaAccessControlMessage").
				set("message", "We're sorry, this content is only available at a scheduled time.").set("code", "SCHEDULED_RESTRICTED")}).
			null("bumperData"), nil
	}
	flavors, err := c.flavors(c, e)
	if err != nil {
		return nil, err
	}
	var playable []Flavor
	if e.MediaType != mediaImage && (e.Status == entryReady || e.Status == entryErrorConverting) {
		playable = delivered(flavors)
	}
	wanted := c.args.tree("contextDataParams")
	if id := wanted.str("flavorAssetId"); id != "" {
		playable = slices.DeleteFunc(playable, func(f Flavor) bool { return f.ID != id })
	}
	protocols := "http,https"
	if p := wanted.str("mediaProtocol"); p != "" {
		protocols = p
	}
	scheme, _, _ := strings.Cut(c.BaseURL, "://")
	sources := []any{}
	for _, d := range deliveries {
		if s := wanted.str("streamerType"); len(playable) == 0 || s != "" && s != d.format || d.rungs && playable[0].Params == 0 {
			continue
		}
		list := ids(playable)
		sources = append(sources, newObject("KalturaPlaybackSource").
			set("deliveryProfileId", d.id).set("format", d.format).set("protocols", protocols).set("flavorIds", list).
			set("url", fmt.Sprintf("%s/p/%d/sp/%d/playManifest/entryId/%s/flavorIds/%s/deliveryProfileId/%d/protocol/%s/format/%s/%s",
				c.BaseURL, e.Partner, e.Partner, e.ID, list, d.id, scheme, d.format, d.file)).
			set("drm", []any{}))
	}
	captions, err := c.playbackCaptions(e)
	if err != nil {
		return nil, err
	}
	return o.set("sources", sources).set("playbackCaptions", captions).set("flavorAssets", viewFlavors(playable)).
		set("actions", []any{}).set("messages", []any{}).set("bumperData", []any{}), nil
}

// contextData is the older form of the same question.
func (c *call) contextData() (any, error) {
	e, err := c.entry(c.tables(), c.args.str("entryId"))
	if err != nil {
		return nil, err
	}
	blocked, err := c.restrictedFor(c, e, c.ks)
	if err != nil {
		return nil, err
	}
	flavors, err := c.flavors(c, e)
	if err != nil {
		return nil, err
	}
	playable := delivered(flavors)
	if blocked || e.Status != entryReady || !e.scheduled(c.now) && !c.admin() {
		playable = nil
	}
	return newObject("KalturaEntryContextDataResult").
		set("messages", []any{}).set("actions", []any{}).set("isSiteRestricted", false).set("isCountryRestricted", false).
		set("isSessionRestricted", blocked).set("isIpAddressRestricted", false).set("isUserAgentRestricted", false).
		set("previewLength", -1).set("isScheduledNow", e.scheduled(c.now)).set("isAdmin", c.admin()).set("streamerType", "http").
		set("mediaProtocol", "http").null("storageProfilesXML").set("accessControlMessages", []any{}).
		set("accessControlActions", []any{}).set("flavorAssets", viewFlavors(playable)).set("msDuration", e.DurationMS).
		set("pluginData", []any{}), nil
}
