package platform

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// maxCaption is the size up to which captions are kept.
const maxCaption = 2 << 20

// Formats of captions, with their file extensions and content types.
var captionFormats = map[string]struct{ ext, kind string }{
	"1": {"srt", "text/srt; charset=UTF-8"}, "2": {"dfxp", "application/ttml+xml; charset=UTF-8"}, "3": {"vtt", "text/vtt; charset=UTF-8"},
}

// languages are the names that Kaltura has for the languages of captions, with their codes.
var languages = map[string]string{
	"English": "en", "German": "de", "French": "fr", "Spanish": "es", "Italian": "it", "Dutch": "nl", "Portuguese": "pt",
	"Polish": "pl", "Swedish": "sv", "Danish": "da", "Finnish": "fi", "Norwegian": "no", "Czech": "cs", "Greek": "el", "Hungarian": "hu",
	"Romanian": "ro", "Russian": "ru", "Ukrainian": "uk", "Turkish": "tr", "Arabic": "ar", "Hebrew": "he", "Hindi": "hi",
	"Chinese": "zh", "Japanese": "ja", "Korean": "ko",
}

func captionActions() []*action {
	const service = "caption_captionasset"
	return []*action{
		{service: service, name: "add", who: userSession, needs: []string{"entryId", "captionAsset{}"}, run: (*call).captionAdd},
		{service: service, name: "setContent", who: userSession, needs: []string{"id", "contentResource{}"}, run: (*call).captionSet},
		{service: service, name: "setAsDefault", who: userSession, needs: []string{"captionAssetId"}, run: (*call).captionDefault},
		{service: service, name: "get", who: anySession, needs: []string{"captionAssetId"}, run: (*call).captionGet},
		{service: service, name: "list", who: anySession, run: (*call).captionList},
		{service: service, name: "getUrl", who: anySession, needs: []string{"id"}, run: (*call).captionURL},
		{service: service, name: "serve", who: anybody, needs: []string{"captionAssetId"}, run: (*call).captionServe},
		{service: service, name: "serveWebVTT", who: anybody, needs: []string{"captionAssetId"}, run: (*call).captionServe},
		{service: service, name: "delete", who: userSession, needs: []string{"captionAssetId"}, run: (*call).captionDelete},
	}
}

func viewCaption(a Caption) *object {
	return newObject("KalturaCaptionAsset").
		set("id", a.ID).set("entryId", a.EntryID).set("partnerId", a.Partner).set("version", fmt.Sprint(a.Version)).
		set("size", len(a.Content)).set("tags", "").set("fileExt", orNil(a.FileExt)).set("createdAt", a.CreatedAt.Unix()).
		set("updatedAt", a.UpdatedAt.Unix()).null("deletedAt").set("description", "").
		null("partnerData", "partnerDescription", "actualSourceAssetParamsIds").set("sizeInBytes", fmt.Sprint(len(a.Content))).
		set("captionParamsId", 0).set("language", a.Language).set("languageCode", orNil(languages[a.Language])).
		set("isDefault", a.IsDefault).set("label", orNil(a.Label)).set("format", a.Format).set("status", a.Status).
		null("parentId", "accuracy").set("displayOnPlayer", true)
}

// caption gives captions of an entry that the session may see.
func (c *call) caption(t Tables, id string) (Caption, error) {
	a, err := t.Captions().Get(c, c.partner(), id)
	if err == nil {
		_, err = c.entry(t, a.EntryID)
	}
	if err == nil {
		return a, nil
	}
	var hidden *fault
	if !missing(err) && !errors.As(err, &hidden) {
		return a, err
	}
	return a, refuse("CAPTION_ASSET_ID_NOT_FOUND", "ID", id)
}

func (c *call) captionAdd() (any, error) {
	in := c.args.tree("captionAsset")
	a := Caption{
		Row: Row{Partner: c.partner(), ID: newID()}, EntryID: c.args.str("entryId"), Language: in.str("language"), Label: in.str("label"),
		Format: in.str("format"), IsDefault: in.flag("isDefault", false),
	}
	if a.Format == "" {
		a.Format = "1"
	}
	if _, ok := captionFormats[a.Format]; !ok {
		return nil, refuse("INVALID_ENUM_VALUE", "ENUM_VAL", a.Format, "PARAM_NAME", "format", "ENUM_TYPE", "KalturaCaptionType")
	}
	if languages[a.Language] == "" && a.Language != "Undefined" {
		return nil, refuse("INVALID_ENUM_VALUE", "ENUM_VAL", a.Language, "PARAM_NAME", "language", "ENUM_TYPE", "KalturaLanguage")
	}
	err := c.Records.KalturaTx(c, func(tx Tx) error {
		if _, err := c.owned(tx.Kaltura(), a.EntryID); err != nil {
			return err
		}
		if a.IsDefault {
			if err := c.onlyDefault(tx.Kaltura(), a); err != nil {
				return err
			}
		}
		return tx.Kaltura().Captions().Insert(c, &a)
	})
	if err != nil {
		return nil, err
	}
	return viewCaption(a), nil
}

// onlyDefault takes the mark from the other captions of an entry.
func (c *call) onlyDefault(t Tables, a Caption) error {
	others, err := t.Captions().Find(c, Find{Partner: a.Partner, Where: all(in("entry_id", a.EntryID), in("is_default", true), not(in("id", a.ID)))})
	for _, o := range others {
		o.IsDefault = false
		if err := t.Captions().Update(c, &o); err != nil {
			return err
		}
	}
	return err
}

// captionText reads a resource: a text, or an uploaded file, which is used up.
func (c *call) captionText(r args) (string, func() error, error) {
	if strings.EqualFold(r.str("objectType"), "KalturaStringResource") {
		return r.str("content"), func() error { return nil }, nil
	}
	id, err := resourceToken(r)
	if err != nil {
		return "", nil, err
	}
	t, err := c.uploadToken(c.tables(), id)
	if err != nil {
		return "", nil, err
	}
	if t.Status != tokenFull || t.EntryID != "" {
		return "", nil, refuse("UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY")
	}
	f, err := c.Staging.Open(c, t.staged())
	if err != nil {
		return "", nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.NewSectionReader(f, 0, min(f.Size(), maxCaption+1)))
	if err != nil {
		return "", nil, err
	}
	return string(text), func() error {
		t.Status = tokenClosed
		if err := c.tables().UploadTokens().Update(c, &t); err != nil {
			return err
		}
		return c.Staging.Remove(c, t.staged())
	}, nil
}

func (c *call) captionSet() (any, error) {
	text, done, err := c.captionText(c.args.tree("contentResource"))
	if err != nil {
		return nil, err
	}
	if len(text) > maxCaption || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, refuse("UPLOAD_ERROR")
	}
	var a Caption
	err = c.commit(func(tx Tx) (err error) {
		t := tx.Kaltura()
		if a, err = c.caption(t, c.args.str("id")); err != nil {
			return err
		}
		if _, err := c.owned(t, a.EntryID); err != nil {
			return err
		}
		a.Content, a.Status, a.FileExt = text, 2, captionFormats[a.Format].ext
		return t.Captions().Update(c, &a)
	})
	if err != nil {
		return nil, err
	}
	return viewCaption(a), done()
}

func (c *call) captionChange(change func(t Tables, a *Caption) error) error {
	return c.commit(func(tx Tx) error {
		a, err := c.caption(tx.Kaltura(), c.args.str("captionAssetId"))
		if err != nil {
			return err
		}
		if _, err := c.owned(tx.Kaltura(), a.EntryID); err != nil {
			return err
		}
		return change(tx.Kaltura(), &a)
	})
}

func (c *call) captionDefault() (any, error) {
	return nil, c.captionChange(func(t Tables, a *Caption) error {
		if err := c.onlyDefault(t, *a); err != nil {
			return err
		}
		a.IsDefault = true
		return t.Captions().Update(c, a)
	})
}

func (c *call) captionDelete() (any, error) {
	return nil, c.captionChange(func(t Tables, a *Caption) error { return t.Captions().Delete(c, a.Partner, a.ID) })
}

func (c *call) captionGet() (any, error) {
	a, err := c.caption(c.tables(), c.args.str("captionAssetId"))
	if err != nil {
		return nil, err
	}
	return viewCaption(a), nil
}

func (c *call) captionList() (any, error) {
	f := c.args.tree("filter")
	entries := words(f.str("entryIdEqual") + "," + f.str("entryIdIn"))
	if len(entries) == 0 {
		return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaCaptionAssetFilter::entryIdEqual/KalturaCaptionAssetFilter::entryIdIn")
	}
	for _, id := range entries { // hidden entries have no captions for the session
		if _, err := c.entry(c.tables(), id); err != nil {
			return nil, err
		}
	}
	where := c.equals([]Cond{in("entry_id", entries...)}, f, "id", "id", "format", "format")
	where = c.numbers(where, f, "status", "status")
	rows, total, err := find(c, c.tables().Captions(), where, map[string]string{"createdAt": "created_at"}, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, a := range rows {
		out = append(out, viewCaption(a))
	}
	return list("KalturaCaptionAssetListResponse", total, out), nil
}

// captionAddress is where captions are served to players: without a session, unless the entry asks for one.
func (c *call) captionAddress(a Caption, action string) string {
	out := fmt.Sprintf("%s/api_v3/index.php/service/caption_captionasset/action/%s/captionAssetId/%s", c.BaseURL, action, a.ID)
	if c.ks != nil {
		out += "/ks/" + c.ks.text
	}
	return out
}

func (c *call) captionURL() (any, error) {
	a, err := c.caption(c.tables(), c.args.str("id"))
	if err != nil {
		return nil, err
	}
	if a.Status != 2 {
		return nil, refuse("CAPTION_ASSET_IS_NOT_READY")
	}
	return c.captionAddress(a, "serve"), nil
}

// captionServe gives the text, as WebVTT when that is asked for. Without a session the id alone opens
// it, as it does pictures and flavors, but not where the entry asks for a session.
func (c *call) captionServe() (any, error) {
	id := c.args.str("captionAssetId")
	found, err := c.tables().Captions().Find(c, Find{Partner: c.partner(), Where: in("id", id), Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, refuse("CAPTION_ASSET_ID_NOT_FOUND", "ID", id)
	}
	a := found[0]
	if a.Status != 2 {
		return nil, refuse("CAPTION_ASSET_IS_NOT_READY")
	}
	e, err := c.tables().Entries().Get(c, a.Partner, a.EntryID)
	if missing(err) {
		return nil, refuse("CAPTION_ASSET_ID_NOT_FOUND", "ID", id)
	}
	if err != nil {
		return nil, err
	}
	if blocked, err := c.restrictedFor(c, e, c.ks); err != nil || blocked {
		if err == nil {
			err = refuse("CAPTION_ASSET_ID_NOT_FOUND", "ID", id)
		}
		return nil, err
	}
	d := &document{kind: captionFormats[a.Format].kind, keep: time.Minute, body: a.Content}
	if strings.EqualFold(c.act.name, "serveWebVTT") {
		if a.Format == "2" {
			return nil, refuse("CAPTION_ASSET_IS_NOT_READY")
		}
		d.kind = captionFormats["3"].kind
		if a.Format == "1" {
			d.body = webVTT(a.Content)
		}
	}
	return d, nil
}

// webVTT turns SRT into WebVTT: a first line, and points instead of commas in times.
func webVTT(srt string) string {
	var out bytes.Buffer
	out.WriteString("WEBVTT\n\n")
	for line := range strings.Lines(strings.ReplaceAll(strings.TrimPrefix(srt, "\ufeff"), "\r\n", "\n")) {
		if strings.Contains(line, "-->") {
			line = strings.ReplaceAll(line, ",", ".")
		}
		out.WriteString(line)
	}
	return out.String()
}

// playbackCaptions lists the captions of an entry for a player.
func (c *call) playbackCaptions(e Entry) ([]any, error) {
	found, err := c.tables().Captions().Find(c, Find{
		Partner: e.Partner, Where: all(in("entry_id", e.ID), in("status", int64(2))), Order: []Order{{Column: "created_at"}},
	})
	out := make([]any, 0, len(found))
	for _, a := range found {
		label := a.Label
		if label == "" {
			label = a.Language
		}
		out = append(out, newObject("KalturaCaptionPlaybackPluginData").
			set("label", label).set("format", a.Format).set("language", a.Language).
			set("webVttUrl", c.captionAddress(a, "serveWebVTT")).set("url", c.captionAddress(a, "serve")).
			set("isDefault", a.IsDefault).set("languageCode", orNil(languages[a.Language])))
	}
	return out, err
}
