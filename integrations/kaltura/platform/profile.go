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

// profile is a conversion profile.
type profile struct {
	id                            int64
	name, systemName, description string
	params                        string
	isDefault                     bool
	stock                         bool // comes with every installation, belongs to no account
}

// profiles are the conversion profiles of every account. What they say about encodings is a
// promise of the answer's form only: the ladder is made by our own pipeline.
var profiles = []profile{
	{5, "Capture_Tools_Content", "CAPTURE_TOOLS_CONTENT", "Capture Tools Content Conversion Profile", "0,2,7", false, true},
	{6, "Kaltura_Meeting_Recordings", "KALTURA_MEETING_RECORDINGS", "Kaltura Meeting Recordings Conversion Profile", "0,2,7", false, true},
	{7, "Msft_Teams_Recodrings", "MSFT_TEAMS_RECORDINGS", "Msft Teams Recording Conversion Profile", "0,2,7", false, true}, // sic
	{defaultProfile, "Default", "Default", "The default set of renditions", "0,2,3,4,5,6,7", true, false},
	{sourceOnlyProfile, "Source Only", "Source_Only", "Keeps the source and nothing else", "0", false, false},
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
	partner := c.partner()
	if p.stock {
		partner = 0
	}
	return newObject("KalturaConversionProfile").
		set("id", p.id).set("partnerId", partner).set("status", 2).set("type", 1).set("name", p.name).
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
			f := c.args.tree("filter")
			for _, p := range profiles {
				id, wanted := fmt.Sprint(p.id), words(f.str("idIn"))
				if f.has("idEqual") && f.str("idEqual") != id || f.has("idIn") && !slices.Contains(wanted, id) ||
					f.has("systemNameEqual") && f.str("systemNameEqual") != p.systemName || f.has("nameEqual") && f.str("nameEqual") != p.name {
					continue
				}
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
			f := c.args.tree("filter")
			for _, p := range stockParams {
				if f.has("systemNameEqual") && f.str("systemNameEqual") != p.view.get("systemName") || f.has("idEqual") && f.num("idEqual") != p.id {
					continue
				}
				out = append(out, c.viewParams(p))
			}
			return list("KalturaFlavorParamsListResponse", len(out), c.cutPage(out)), nil
		}},
		{service: "flavorParams", name: "get", who: adminOnly, needs: []string{"id"}, run: func(c *call) (any, error) {
			id := c.args.num("id")
			i := slices.IndexFunc(stockParams, func(p flavorParams) bool { return p.id == id })
			if i < 0 {
				return nil, refuse("FLAVOR_PARAMS_ID_NOT_FOUND", "ID", c.args.str("id"))
			}
			return c.viewParams(stockParams[i]), nil
		}},
		{service: "accessControl", name: "add", who: adminOnly, needs: []string{"accessControl{}"}, run: (*call).accessAdd},
		{service: "accessControl", name: "list", who: adminOnly, run: (*call).accessList},
		{service: "accessControl", name: "get", who: adminOnly, needs: []string{"id"}, run: (*call).accessGet},
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

func (c *call) accessGet() (any, error) {
	a, err := c.tables().AccessControls().Get(c, c.partner(), c.args.str("id"))
	if missing(err) {
		return nil, refuse("ACCESS_CONTROL_ID_NOT_FOUND", "ID", c.args.str("id"))
	}
	if err != nil {
		return nil, err
	}
	return viewAccess(a), nil
}

func (c *call) accessList() (any, error) {
	where := c.equals(nil, c.args.tree("filter"), "id", "id", "systemName", "system_name")
	rows, total, err := find(c, c.tables().AccessControls(), where, map[string]string{"createdAt": "created_at"}, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	var out []any
	for _, a := range rows {
		out = append(out, viewAccess(a))
	}
	return list("KalturaAccessControlListResponse", total, out), nil
}
