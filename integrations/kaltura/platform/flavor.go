package platform

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

func flavorActions() []*action {
	return []*action{
		{service: "flavorAsset", name: "getByEntryId", needs: []string{"entryId"}, who: anySession, run: (*call).flavorsByEntry},
		{service: "flavorAsset", name: "list", who: anySession, run: (*call).flavorList},
		{service: "flavorAsset", name: "get", needs: []string{"id"}, who: adminOnly, run: (*call).flavorGet},
		{service: "flavorAsset", name: "getUrl", needs: []string{"id"}, who: anySession, run: (*call).flavorURL},
		{service: "flavorAsset", name: "getDownloadUrl", needs: []string{"id"}, who: adminOnly, run: (*call).flavorURL},
		{service: "flavorAsset", name: "add", needs: []string{"entryId", "flavorAsset{}"}, who: adminOnly, run: (*call).flavorAdd},
		{service: "flavorAsset", name: "setContent", needs: []string{"id", "contentResource{}"}, who: adminOnly, run: (*call).flavorSet},
		{service: "flavorAsset", name: "delete", needs: []string{"id"}, who: adminOnly, run: (*call).flavorDelete},
		{service: "flavorAsset", name: "getFlavorAssetsWithParams", needs: []string{"entryId"}, who: adminOnly, run: (*call).flavorsWithParams},
	}
}

func viewFlavor(f Flavor) *object {
	size := f.Size
	var deleted, language any
	if f.Status == flavorReady {
		size = f.Size / 1024 // kilobytes once the file was looked into, bytes before
		language = "Undefined"
	}
	return newObject("KalturaFlavorAsset").
		set("id", f.ID).set("entryId", f.EntryID).set("partnerId", f.Partner).set("version", "2").set("size", size).
		set("tags", f.Tags).set("fileExt", orNil(f.FileExt)).set("createdAt", f.CreatedAt.Unix()).set("updatedAt", f.UpdatedAt.Unix()).
		set("deletedAt", deleted).set("description", "").null("partnerData", "partnerDescription", "actualSourceAssetParamsIds").
		set("sizeInBytes", strconv.FormatInt(f.Size, 10)).set("flavorParamsId", f.Params).set("width", f.Width).set("height", f.Height).
		set("bitrate", f.Bitrate).set("frameRate", f.FrameRate).set("isOriginal", f.Params == 0).
		set("isWeb", strings.Contains(","+f.Tags+",", ",web,")).set("containerFormat", orNil(f.Container)).
		set("videoCodecId", orNil(f.Codec)).set("status", f.Status).set("language", language).null("label").set("isDefault", false)
}

// flavors gives the flavors of an entry, the source first.
func (p *Platform) flavors(ctx context.Context, e Entry) ([]Flavor, error) {
	return p.Records.Kaltura().Flavors().Find(ctx, Find{Partner: e.Partner, Where: in("entry_id", e.ID), Order: []Order{{Column: "params"}}})
}

// delivered gives the ready flavors that players get: the rungs, or the source when it is all there is.
func delivered(all []Flavor) []Flavor {
	var rungs, source []Flavor
	for _, f := range all {
		switch {
		case f.Status != flavorReady, f.Given: // what was put there by hand is in no package
		case f.Params == 0:
			source = append(source, f)
		default:
			rungs = append(rungs, f)
		}
	}
	if len(rungs) > 0 {
		return rungs
	}
	return source
}

func ids(flavors []Flavor) string {
	out := make([]string, len(flavors))
	for i, f := range flavors {
		out[i] = f.ID
	}
	return strings.Join(out, ",")
}

func viewFlavors(flavors []Flavor) []any {
	out := make([]any, 0, len(flavors))
	for _, f := range flavors {
		out = append(out, viewFlavor(f))
	}
	return out
}

func (c *call) flavorsByEntry() (any, error) {
	e, err := c.entry(c.tables(), c.args.str("entryId"))
	if err != nil {
		return nil, err
	}
	flavors, err := c.flavors(c, e)
	if err != nil {
		return nil, err
	}
	return viewFlavors(flavors), nil
}

func (c *call) flavorList() (any, error) {
	f := c.args.tree("filter")
	if f.str("entryIdEqual")+f.str("entryIdIn") == "" {
		return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaFlavorAssetFilter::entryIdEqual/KalturaFlavorAssetFilter::entryIdIn")
	}
	where := c.equals(nil, f, "entryId", "entry_id", "id", "id")
	where = c.numbers(where, f, "status", "status", "flavorParamsId", "params")
	rows, total, err := find(c, c.tables().Flavors(), where, map[string]string{"createdAt": "created_at", "updatedAt": "updated_at"}, Order{Column: "params"})
	if err != nil {
		return nil, err
	}
	return list("KalturaFlavorAssetListResponse", total, viewFlavors(rows)), nil
}

func (c *call) flavor() (Flavor, error) {
	id := c.args.str("id")
	f, err := c.tables().Flavors().Get(c, c.partner(), id)
	if missing(err) {
		return f, refuse("FLAVOR_ASSET_ID_NOT_FOUND", "ID", id)
	}
	return f, err
}

func (c *call) flavorGet() (any, error) {
	f, err := c.flavor()
	if err != nil {
		return nil, err
	}
	return viewFlavor(f), nil
}

func (c *call) flavorURL() (any, error) {
	f, err := c.flavor()
	if err != nil {
		return nil, err
	}
	if f.Status != flavorReady {
		return nil, refuse("FLAVOR_ASSET_IS_NOT_READY")
	}
	e, err := c.entry(c.tables(), f.EntryID)
	if err != nil {
		return nil, err
	}
	return c.serveURL(e, f, true), nil
}

// serveURL is the address of a flavor's file. named adds a file name, which makes it a download.
func (p *Platform) serveURL(e Entry, f Flavor, named bool) string {
	name := ""
	if named {
		name = "/fileName/" + parentheses.Replace(url.PathEscape(downloadName(e, f)))
	}
	return fmt.Sprintf("%s/p/%d/sp/%d00/serveFlavor/entryId/%s/v/2/ev/%d/flavorId/%s%s/forceproxy/true/name/a.%s",
		p.BaseURL, e.Partner, e.Partner, e.ID, generation(e), f.ID, name, orMP4(f.FileExt))
}

func orMP4(ext string) string {
	if ext == "" {
		return "mp4"
	}
	return ext
}

var unsafeName = strings.NewReplacer(" ", "_", "/", "_", `\`, "_", ":", "_", "?", "_", "*", "_", `"`, "_", "<", "_", ">", "_", "|", "_")

// parentheses stay as they are in addresses, as in the original.
var parentheses = strings.NewReplacer("%28", "(", "%29", ")")

func downloadName(e Entry, f Flavor) string {
	name := unsafeName.Replace(e.Name + " (" + paramsOf(f.Params).name + ")")
	return name + "." + orMP4(f.FileExt)
}

func (c *call) flavorsWithParams() (any, error) {
	e, err := c.entry(c.tables(), c.args.str("entryId"))
	if err != nil {
		return nil, err
	}
	flavors, err := c.flavors(c, e)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(stockParams))
	for _, p := range stockParams {
		o := newObject("KalturaFlavorAssetWithParams")
		for _, f := range flavors {
			if f.Params == p.id {
				o.set("flavorAsset", viewFlavor(f))
			}
		}
		out = append(out, o.set("flavorParams", c.viewParams(p)).set("entryId", e.ID))
	}
	return out, nil
}
