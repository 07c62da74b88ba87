package platform

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// userList shows users as Kaltura does; they are kept with commas around, so that one can be looked for.
func userList(kept string) string { return strings.Trim(kept, ",") }

// listed tells whether a user is in a kept list.
func listed(kept, user string) bool { return user != "" && strings.Contains(kept, ","+user+",") }

// scheduled tells whether an entry may be played now.
func (e Entry) scheduled(now time.Time) bool {
	at := now.Unix()
	return (e.StartAt == 0 || at >= e.StartAt) && (e.EndAt == 0 || at < e.EndAt)
}

// fillDetails takes over what ingestion files say of an entry beside its texts.
func (c *call) fillDetails(t Tables, e *Entry, a args) error {
	for name, field := range map[string]*int64{"startDate": &e.StartAt, "endDate": &e.EndAt} {
		v, sent := a.change(name)
		if !sent || v == orText(*field) {
			continue
		}
		if !c.admin() {
			if v == "" {
				continue
			}
			return refuse("PROPERTY_VALIDATION_ADMIN_PROPERTY", "PROP_NAME", "KalturaMediaEntry::"+name)
		}
		if *field = 0; v != "" && v != "-1" {
			*field = a.when(name, c.now)
		}
	}
	if a.has("partnerSortValue") {
		e.SortValue = a.num("partnerSortValue")
	}
	for name, field := range map[string]*string{"entitledUsersEdit": &e.CanEdit, "entitledUsersPublish": &e.CanPublish, "entitledUsersView": &e.CanView} {
		v, sent := a.change(name)
		if !sent || v == userList(*field) {
			continue
		}
		users := words(v)
		slices.Sort(users)
		users = slices.Compact(users)
		for _, u := range users {
			if err := c.ensureUser(t, u, name); err != nil {
				return err
			}
		}
		if *field = ""; len(users) > 0 {
			*field = "," + strings.Join(users, ",") + ","
		}
	}
	if v, sent := a.change("parentEntryId"); sent && v != e.ParentID {
		if v == e.ID {
			return refuse("INVALID_ENTRY_ID", "ID", v)
		}
		if v != "" {
			if _, err := c.entry(t, v); err != nil {
				return err
			}
		}
		e.ParentID = v
	}
	return nil
}

// orText is a number as a client would send it back, "" for 0.
func orText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// fillTemplate takes over what another entry has, for a new one. What the request says itself is filled
// in afterwards.
func (c *call) fillTemplate(t Tables, e *Entry, a args) error {
	id := a.str("templateEntryId")
	if id == "" {
		return nil
	}
	from, err := c.entry(t, id)
	if err != nil {
		return err
	}
	e.TemplateID, e.Description, e.Tags, e.AdminTags, e.PartnerData = from.ID, from.Description, from.Tags, from.AdminTags, from.PartnerData
	e.AccessControl, e.SortValue, e.StartAt, e.EndAt = from.AccessControl, from.SortValue, from.StartAt, from.EndAt
	e.CanEdit, e.CanPublish, e.CanView = from.CanEdit, from.CanPublish, from.CanView
	categories, err := c.categoriesOf(t, from)
	if err != nil || a.has("categories") || a.has("categoriesIds") {
		return err
	}
	return c.categorise(t, e, categories)
}

// dropExtras deletes pictures and custom metadata of an entry and names the files of the pictures.
func dropExtras(ctx context.Context, t Tables, e Entry) (blobs []string, err error) {
	thumbs, err := t.Thumbs().Find(ctx, Find{Partner: e.Partner, Where: in("entry_id", e.ID)})
	if err != nil {
		return nil, err
	}
	for _, a := range thumbs {
		if err := t.Thumbs().Delete(ctx, a.Partner, a.ID); err != nil {
			return nil, err
		}
		if a.Blob != "" {
			blobs = append(blobs, a.Blob)
		}
	}
	rows, err := t.Metadata().Find(ctx, Find{
		Partner: e.Partner, Where: all(in("object_type", metadataOfEntry), in("object_id", e.ID), in("deleted", int64(0))),
	})
	if err != nil {
		return nil, err
	}
	for _, m := range rows {
		m.Deleted, m.XML = m.Number, ""
		if err := t.Metadata().Update(ctx, &m); err != nil {
			return nil, err
		}
	}
	return blobs, nil
}

// removeBlobs deletes files that no row names any more.
func (c *call) removeBlobs(keys []string) error {
	for _, key := range keys {
		if err := c.Blobs.Remove(c, key); err != nil && !missing(err) {
			return err
		}
	}
	return nil
}

// loose gives an upload token whose file becomes a picture or a flavor as it is, not a new entry's content.
func (c *call) loose(resource args) (UploadToken, error) {
	id, err := resourceToken(resource)
	if err != nil {
		return UploadToken{}, err
	}
	t, err := c.uploadToken(c.tables(), id)
	if err == nil && (t.Status != tokenFull || t.EntryID != "") {
		err = refuse("UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY")
	}
	return t, err
}

// spend closes a token whose file was taken.
func (c *call) spend(t Tables, token UploadToken) error {
	now, err := t.UploadTokens().Get(c, token.Partner, token.ID)
	if err != nil {
		return err
	}
	if now.Status != tokenFull || now.EntryID != "" {
		return refuse("UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY")
	}
	now.Status = tokenClosed
	return t.UploadTokens().Update(c, &now)
}
