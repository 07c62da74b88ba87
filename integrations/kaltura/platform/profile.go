package platform

import (
	"fmt"
	"slices"
	"strings"
)

// What an account comes with, numbered as the stock account of the recordings.
const (
	defaultAccessControl = 2
	defaultProfile       = 15
	sourceOnlyProfile    = 16
)

// rungTags are the tags of transcoded flavors; the upper rungs lack those of mobile devices.
const (
	mobileTags = "mobile,web,mbr,iphone,iphonenew,ipad,ipadnew,dash"
	tabletTags = "mobile,web,mbr,ipad,ipadnew,iphone,iphonenew,dash"
	webTags    = "web,mbr,dash"
)

// flavorParams is one stock encoding.
type flavorParams struct {
	id             int64
	name, tags     string
	description    string
	codec          string
	video, audio   int // kbit/s
	channels, rate int
	height         int
}

var stockParams = []flavorParams{
	{id: 0, name: "Source", tags: "source", description: "Maintains the original format and settings of the file - duplicate of the source file"},
	{2, "Basic/Small - WEB/MBL (H264/400)", mobileTags, "Basic/Small - WEB/MBL (H264/400)", "h264b", 400, 64, 2, 44100, 360},
	{3, "Basic/Small - WEB/MBL (H264/600)", mobileTags, "Basic/Small - WEB/MBL (H264/600)", "h264b", 600, 64, 2, 44100, 480},
	{4, "SD/Small - WEB/MBL (H264/900)", tabletTags, "SD/Small - WEB/MBL (H264)", "h264m", 900, 64, 2, 44100, 540},
	{5, "SD/Large - WEB/MBL (H264/1500)", tabletTags, "SD/Large - WEB/MBL (H264/1500)", "h264m", 1500, 128, 2, 44100, 720},
	{6, "HD/720 - WEB (H264/2500)", webTags, "HD/720 - WEB (H264/2500)", "h264h", 2500, 128, 2, 44100, 720},
	{7, "HD/1080 - WEB (H264/4000)", webTags, "HD/1080 - WEB (H264/4000)", "h264h", 4000, 128, 2, 44100, 1080},
}

func paramsOf(id int64) flavorParams {
	for _, p := range stockParams {
		if p.id == id {
			return p
		}
	}
	return flavorParams{id: id, name: fmt.Sprintf("WEB %d", id), tags: webTags}
}

func (c *call) viewParams(p flavorParams) *object {
	o := newObject("KalturaFlavorParams").
		set("id", p.id).set("partnerId", 0).set("name", p.name).set("systemName", p.name).set("description", p.description).
		set("createdAt", c.account.CreatedAt.Unix()).set("isSystemDefault", 1).set("tags", p.tags).
		set("requiredPermissions", []any{}).set("sourceRemoteStorageProfileId", 0).null("sourceAssetParamsIds").
		set("mediaParserType", 0)
	o.set("videoCodec", p.codec).set("videoBitrate", p.video)
	audio, engines, format := "", "", ""
	var ratio, forced, gop any = 0, 1, 0
	if p.id != 0 {
		audio, engines, format = "aac", "2,99", "mp4"
		ratio, forced, gop = "0", "0", "0" // numbers as text, as recorded
	}
	o.set("audioCodec", audio).set("audioBitrate", p.audio).set("audioChannels", p.channels).set("audioSampleRate", p.rate).
		set("width", 0).set("height", p.height).set("frameRate", 0).set("gopSize", 0).set("conversionEngines", engines).
		set("conversionEnginesExtraParams", "").set("twoPass", false).set("deinterlice", 0).set("rotate", 0)
	if p.id != 0 {
		o.set("engineVersion", 0)
	}
	return o.set("format", format).set("aspectRatioProcessingMode", ratio).set("forceFrameToMultiplication16", forced).
		set("isGopInSec", gop).set("isAvoidVideoShrinkFramesizeToSource", 0).set("isAvoidVideoShrinkBitrateToSource", 0).
		set("isVideoFrameRateForLowBrAppleHls", 0).set("anamorphicPixels", 0).set("isAvoidForcedKeyFrames", 0).
		set("forcedKeyFramesMode", 1).set("isCropIMX", 1).set("optimizationPolicy", 4).set("maxFrameRate", 0).
		set("videoConstantBitrate", 0).set("videoBitrateTolerance", 0).set("isEncrypted", 0).set("contentAwareness", 0.5).
		set("chunkedEncodeMode", 0).set("audioLanguages", []any{})
}

// profile is a conversion profile.
type profile struct {
	id                            int64
	name, systemName, description string
	params                        string
	isDefault                     bool
}

// profiles are the conversion profiles of every account. What they say about encodings is a
// promise of the answer's form only: the ladder is made by our own pipeline.
var profiles = []profile{
	{defaultProfile, "Default", "Default", "The default set of renditions", "0,2,3,4,5,6,7", true},
	{sourceOnlyProfile, "Source Only", "Source_Only", "Keeps the source and nothing else", "0", false},
}

func findProfile(id int64) *profile {
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.id == id })
	if i < 0 {
		return nil
	}
	return &profiles[i]
}

func findProfileByName(systemName string) *profile {
	i := slices.IndexFunc(profiles, func(p profile) bool { return p.systemName == systemName })
	if i < 0 {
		return nil
	}
	return &profiles[i]
}

func (c *call) viewProfile(p profile) *object {
	crop := newObject("KalturaCropDimensions").set("left", -1).set("top", -1).set("width", -1).set("height", -1)
	return newObject("KalturaConversionProfile").
		set("id", p.id).set("partnerId", c.partner()).set("status", 2).set("type", 1).set("name", p.name).
		set("systemName", p.systemName).set("tags", "").set("description", p.description).null("defaultEntryId").
		set("createdAt", c.account.CreatedAt.Unix()).set("flavorParamsIds", p.params).set("isDefault", p.isDefault).
		set("isPartnerDefault", p.isDefault).set("cropDimensions", crop).set("clipStart", -1).set("clipDuration", -1).
		null("xslTransformation", "storageProfileId").set("mediaParserType", 0).set("calculateComplexity", true).
		set("collectionTags", "mbr,ism").set("conditionalProfiles", `[{"condition":"1==1"}]`).set("detectGOP", 0)
}

func profileActions() []*action {
	return []*action{
		{service: "conversionProfile", name: "list", who: adminOnly, run: func(c *call) (any, error) {
			var out []any
			for _, p := range profiles {
				out = append(out, c.viewProfile(p))
			}
			return list("KalturaConversionProfileListResponse", len(out), c.cutPage(out)), nil
		}},
		{service: "conversionProfile", name: "getDefault", who: adminOnly, run: func(c *call) (any, error) {
			return c.viewProfile(*findProfile(defaultProfile)), nil
		}},
		{service: "conversionProfile", name: "get", who: adminOnly, needs: []string{"id"}, run: func(c *call) (any, error) {
			p := findProfile(c.args.num("id"))
			if p == nil {
				return nil, refuse("CONVERSION_PROFILE_ID_NOT_FOUND", "ID", c.args.str("id"))
			}
			return c.viewProfile(*p), nil
		}},
		{service: "flavorParams", name: "list", who: adminOnly, run: func(c *call) (any, error) {
			var out []any
			for _, p := range stockParams {
				out = append(out, c.viewParams(p))
			}
			return list("KalturaFlavorParamsListResponse", len(out), c.cutPage(out)), nil
		}},
		{service: "accessControl", name: "add", who: adminOnly, needs: []string{"accessControl{}"}, run: (*call).accessAdd},
		{service: "accessControl", name: "list", who: adminOnly, run: (*call).accessList},
		{service: "metadata_metadata", name: "list", who: anySession, run: func(c *call) (any, error) {
			// There are no metadata; the web player asks all the same.
			if f := c.args.tree("filter"); f.str("objectIdEqual")+f.str("objectIdIn") == "" {
				return nil, refuse("MUST_FILTER_ON_OBJECT_ID")
			}
			return list("KalturaMetadataListResponse", 0, nil), nil
		}},
	}
}

// cutPage applies the pager to a listing that is in memory.
func (c *call) cutPage(objects []any) []any {
	limit, offset := c.window()
	if offset >= len(objects) {
		return []any{}
	}
	objects = objects[offset:]
	if limit > 0 && limit < len(objects) {
		objects = objects[:limit]
	}
	return objects
}

func viewAccess(a AccessControl) *object {
	restrictions := []any{}
	if a.SessionNeeded {
		restrictions = append(restrictions, newObject("KalturaSessionRestriction"))
	}
	return newObject("KalturaAccessControl").
		set("id", number(a.ID)).set("partnerId", a.Partner).set("name", a.Name).set("systemName", a.SystemName).
		set("description", a.Description).set("createdAt", a.CreatedAt.Unix()).set("isDefault", a.IsDefault).
		set("restrictions", restrictions).null("containsUnsuportedRestrictions")
}

func (c *call) accessAdd() (any, error) {
	a := c.args.tree("accessControl")
	if a.str("name") == "" {
		return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaAccessControl::name")
	}
	row := AccessControl{
		Row: Row{Partner: c.partner()}, Name: a.str("name"), SystemName: a.str("systemName"), Description: a.str("description"),
	}
	for _, r := range a.items("restrictions") {
		if !strings.EqualFold(r.str("objectType"), "KalturaSessionRestriction") {
			// A restriction that is not kept would be worse than none: refuse it.
			return nil, refuse("INVALID_FIELD_VALUE", "FIELD_NAME", "restrictions")
		}
		row.SessionNeeded = true
	}
	err := c.Records.KalturaTx(c, func(tx Tx) error {
		n, err := tx.Kaltura().AccessControls().Count(c, Find{Partner: c.partner()})
		if err != nil {
			return err
		}
		row.ID = fmt.Sprint(defaultAccessControl + n) // profiles are never deleted
		return tx.Kaltura().AccessControls().Insert(c, &row)
	})
	if err != nil {
		return nil, err
	}
	return viewAccess(row), nil
}

func (c *call) accessList() (any, error) {
	rows, total, err := find(c, c.tables().AccessControls(), nil, map[string]string{"createdAt": "created_at"}, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	var out []any
	for _, a := range rows {
		out = append(out, viewAccess(a))
	}
	return list("KalturaAccessControlListResponse", total, out), nil
}
