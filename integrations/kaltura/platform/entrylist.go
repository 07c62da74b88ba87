package platform

import "strings"

// entryOrder maps Kaltura's order keys to columns.
var entryOrder = map[string]string{
	"name": "name", "createdAt": "created_at", "updatedAt": "updated_at", "duration": "duration_ms",
	"mediaType": "media_type", "recent": "created_at", "partnerSortValue": "sort_value",
}

// textFields are the searched columns of Kaltura's text filters.
var textFields = map[string][]string{
	"name": {"terms_name"}, "tags": {"terms_tags"}, "description": {"terms_description"},
	"tagsName": {"terms_tags", "terms_name"}, "searchText": {"terms_all"},
}

// entryWhere translates a filter. Unknown fields are ignored, as in the original.
func (c *call) entryWhere(f args) ([]Cond, error) {
	var where []Cond
	// A session without list:* lists its own entries only, except when it names an entry.
	named := f.str("idEqual") + f.str("idIn") + f.str("referenceIdEqual") + f.str("referenceIdIn") + f.str("redirectFromEntryId") + f.str("parentEntryIdEqual")
	if !c.admin() && !c.ks.has("list", "*") && named == "" {
		if c.user() == "" {
			where = append(where, anyOf())
		}
		where = append(where, in("user_id", c.user()))
	}
	where = c.equals(where, f, "id", "id", "userId", "user_id", "creatorId", "creator_id", "referenceId", "reference_id", "name", "name", "rootEntryId", "id", "sourceType", "source_type")
	where = c.numbers(where, f, "status", "status", "mediaType", "media_type", "type", "type", "accessControlId", "access_control",
		"conversionProfileId", "conversion_profile", "partnerId", "partner_id", "partnerSortValue", "sort_value")
	where = c.times(where, f, "createdAt", "created_at", "updatedAt", "updated_at")
	if v := f.str("categoryAncestorIdIn"); v != "" {
		where = append(where, inCategories(v, true))
	}
	if v := f.str("categoriesIdsMatchOr"); v != "" {
		where = append(where, inCategories(v, false))
	}
	if id := f.str("redirectFromEntryId"); id != "" {
		e, err := c.tables().Entries().Get(c, c.partner(), id)
		if missing(err) {
			return nil, refuse("INVALID_ENTRY_ID", "ID", id)
		}
		if err != nil {
			return nil, err
		}
		where = append(where, in("id", e.ID))
	}
	if f.str("parentEntryIdEqual") != "" {
		where = append(where, in("parent_id", f.str("parentEntryIdEqual")))
	}
	if !f.has("statusEqual") && !f.has("statusIn") && !f.has("statusNotEqual") && !f.has("statusNotIn") &&
		!f.has("idEqual") && !f.has("redirectFromEntryId") {
		where = append(where, in("status", int64(entryReady)))
	}
	visible, err := c.visible(c.tables())
	if err != nil {
		return nil, err
	}
	if where, err = c.inCategories(append(where, visible), f); err != nil {
		return nil, err
	}
	for _, r := range []struct {
		name string
		op   Op
		add  int64 // slack, and one more for strict comparisons
	}{
		{"durationGreaterThanOrEqual", OpAtLeast, -500},
		{"durationGreaterThan", OpAtLeast, 501},
		{"durationLessThanOrEqual", OpAtMost, 500},
		{"durationLessThan", OpAtMost, -501},
	} {
		if f.has(r.name) {
			where = append(where, Cond{Op: r.op, Column: "duration_ms", Values: []any{f.num(r.name)*1000 + r.add}})
		}
	}
	for name, columns := range textFields {
		if v := f.str(name + "Like"); v != "" && name != "searchText" {
			where = append(where, like(v, columns...))
		}
		if v := f.str(name + "MultiLikeOr"); v != "" {
			where = append(where, multi(v, false, columns...))
		}
		if v := f.str(name + "MultiLikeAnd"); v != "" {
			where = append(where, multi(v, true, columns...))
		}
	}
	if v := f.str("searchTextMatchAnd"); v != "" {
		where = append(where, like(strings.ReplaceAll(v, ",", " "), "terms_all"))
	}
	if v := f.str("searchTextMatchOr"); v != "" {
		where = append(where, multi(v, false, "terms_all"))
	}
	if v := f.str("freeText"); v != "" {
		where = append(where, free(v, "terms_all"))
	}
	return where, nil
}

// inCategories wants one of the categories, or with below also one beneath them.
func inCategories(ids string, below bool) Cond {
	var any []Cond
	for _, id := range words(ids) {
		any = append(any, contains("category_ids", " "+id+" "), contains("category_ids", ">"+id+" "))
		if below {
			any = append(any, contains("category_ids", " "+id+">"), contains("category_ids", ">"+id+">"))
		}
	}
	return anyOf(any...)
}

func (c *call) entryList() (any, error) {
	class := "KalturaMediaListResponse"
	if c.act.service == "baseEntry" {
		class = "KalturaBaseEntryListResponse"
	}
	if _, offset := c.window(); offset >= maxMatches {
		return nil, refuse("QUERY_EXCEEDED_MAX_MATCHES_ALLOWED")
	}
	where, err := c.entryWhere(c.args.tree("filter"))
	if err != nil {
		return nil, err
	}
	return c.entries(class, where)
}

func (c *call) entries(class string, where []Cond) (any, error) {
	rows, total, err := find(c, c.tables().Entries(), where, entryOrder, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, e := range rows {
		out = append(out, c.view(e))
	}
	return list(class, total, out), nil
}

func (c *call) entryCount() (any, error) {
	where, err := c.entryWhere(c.args.tree("filter"))
	if err != nil {
		return nil, err
	}
	return c.tables().Entries().Count(c, Find{Partner: c.partner(), Where: all(where...)})
}

// entryByIDs gives the entries that exist of a list of ids.
func (c *call) entryByIDs() (any, error) {
	visible, err := c.visible(c.tables())
	if err != nil {
		return nil, err
	}
	rows, err := c.tables().Entries().Find(c, Find{Partner: c.partner(), Where: all(visible, in("id", words(c.args.str("entryIds"))...))})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, e := range rows {
		out = append(out, c.view(e))
	}
	return out, nil
}

// entryByReference finds entries by their exact reference id, whatever their owner and status.
func (c *call) entryByReference() (any, error) {
	visible, err := c.visible(c.tables())
	if err != nil {
		return nil, err
	}
	return c.entries("KalturaBaseEntryListResponse", []Cond{visible, in("reference_id", c.args.str("refId"))})
}
