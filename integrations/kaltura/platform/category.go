package platform

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

func categoryActions() []*action {
	return []*action{
		{service: "category", name: "add", who: adminOnly, needs: []string{"category{}"}, run: (*call).categoryAdd},
		{service: "category", name: "get", who: userSession, needs: []string{"id"}, run: (*call).categoryGet},
		{service: "category", name: "list", who: userSession, run: (*call).categoryList},
		{service: "categoryEntry", name: "add", who: userSession, needs: []string{"categoryEntry{}"}, run: (*call).categoryEntryAdd},
		{service: "categoryEntry", name: "list", who: userSession, run: (*call).categoryEntryList},
		{service: "categoryEntry", name: "delete", who: userSession, needs: []string{"entryId", "categoryId"}, run: (*call).categoryEntryDelete},
		{service: "categoryUser", name: "add", who: adminOnly, needs: []string{"categoryUser{}"}, run: (*call).categoryUserAdd},
		{service: "categoryUser", name: "list", who: adminOnly, run: (*call).categoryUserList},
	}
}

// viewCategory shows a category with its counts.
func (c *call) viewCategory(g Category) (*object, error) {
	t := c.tables()
	of := func(where Cond) Find { return Find{Partner: g.Partner, Where: where} }
	direct, err := t.CategoryEntries().Count(c, of(in("category", g.Number)))
	if err != nil {
		return nil, err
	}
	below, err := t.CategoryEntries().Find(c, of(prefix("full_ids", g.FullIDs+">")))
	if err != nil {
		return nil, err
	}
	children, err := t.Categories().Count(c, of(in("parent", g.Number)))
	if err != nil {
		return nil, err
	}
	members, err := t.CategoryUsers().Count(c, of(in("category", g.Number)))
	if err != nil {
		return nil, err
	}
	return newObject("KalturaCategory").
		set("id", g.Number).set("parentId", g.Parent).set("depth", strings.Count(g.FullIDs, ">")).set("partnerId", g.Partner).
		set("name", g.Name).set("fullName", g.FullName).set("fullIds", g.FullIDs).set("entriesCount", direct+len(below)).
		set("createdAt", g.CreatedAt.Unix()).set("updatedAt", g.UpdatedAt.Unix()).set("description", orNil(g.Description)).
		set("tags", orNil(g.Tags)).set("appearInList", 1).set("privacy", g.Privacy).set("inheritanceType", 2).
		set("userJoinPolicy", 3).set("defaultPermissionLevel", 3).set("owner", g.Owner).set("directEntriesCount", direct).
		set("referenceId", orNil(g.ReferenceID)).set("contributionPolicy", 1).set("membersCount", members).
		set("pendingMembersCount", 0).set("privacyContext", g.PrivacyContext).set("privacyContexts", g.PrivacyContext).
		set("status", 2).null("inheritedParentId").set("partnerSortValue", 0).null("partnerData", "defaultOrderBy").
		set("directSubCategoriesCount", children).set("moderation", false).null("pendingEntriesCount").
		set("isAggregationCategory", false).set("aggregationCategories", ""), nil
}

func insertCategory(ctx context.Context, t Tables, g *Category, parent *Category) (err error) {
	if g.Number, err = nextNumber(ctx, t.Categories(), g.Partner); err != nil {
		return err
	}
	g.ID, g.FullName, g.FullIDs = fmt.Sprint(g.Number), g.Name, fmt.Sprint(g.Number)
	if parent != nil {
		g.Parent, g.FullName, g.FullIDs = parent.Number, parent.FullName+">"+g.Name, parent.FullIDs+">"+g.FullIDs
		if g.PrivacyContext == "" {
			g.PrivacyContext, g.Privacy = parent.PrivacyContext, max(g.Privacy, parent.Privacy)
		}
	}
	return t.Categories().Insert(ctx, g)
}

func categoryAt(ctx context.Context, t Tables, partner int64, full string) (Category, bool, error) {
	found, err := t.Categories().Find(ctx, Find{Partner: partner, Where: in("full_name", full), Limit: 1})
	if err != nil || len(found) == 0 {
		return Category{}, false, err
	}
	return found[0], true, nil
}

func (c *call) categoryAdd() (any, error) {
	a := c.args.tree("category")
	if a.str("name") == "" {
		return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaCategory::name")
	}
	var g Category
	err := c.commit(func(tx Tx) error {
		t := tx.Kaltura()
		g = Category{
			Row: Row{Partner: c.partner()}, Name: strings.NewReplacer(">", "_", "<", "_", ",", "_").Replace(cut(a.str("name"), 60)),
			Description: a.str("description"), Tags: a.str("tags"), ReferenceID: a.str("referenceId"), Owner: a.str("owner"),
			Privacy: a.numOr("privacy", privacyAll), PrivacyContext: strings.Join(words(a.str("privacyContext")), ","),
		}
		if g.Owner == "" {
			g.Owner = c.user()
		}
		var parent *Category
		full := g.Name
		if id := a.num("parentId"); id != 0 {
			p, err := t.Categories().Get(c, c.partner(), fmt.Sprint(id))
			if missing(err) {
				return refuse("PARENT_CATEGORY_NOT_FOUND", "ID", fmt.Sprint(id))
			}
			if err != nil {
				return err
			}
			parent, full = &p, p.FullName+">"+g.Name
		}
		if _, have, err := categoryAt(c, t, c.partner(), full); err != nil || have {
			if err == nil {
				err = refuse("DUPLICATE_CATEGORY", "CAT", full)
			}
			return err
		}
		return insertCategory(c, t, &g, parent)
	})
	if err != nil {
		return nil, err
	}
	return c.viewCategory(g)
}

// category gives a category that the session may know of.
func (c *call) category(t Tables, id string) (Category, error) {
	g, err := t.Categories().Get(c, c.partner(), id)
	if missing(err) {
		return g, refuse("CATEGORY_NOT_FOUND", "ID", id)
	}
	return g, err
}

func (c *call) categoryGet() (any, error) {
	g, err := c.category(c.tables(), c.args.str("id"))
	if err != nil {
		return nil, err
	}
	return c.viewCategory(g)
}

func (c *call) categoryList() (any, error) {
	f := c.args.tree("filter")
	where := c.equals(nil, f, "fullName", "full_name", "name", "name", "referenceId", "reference_id")
	where = c.numbers(where, f, "id", "number", "parentId", "parent", "privacy", "privacy")
	if v := f.str("fullNameStartsWith"); v != "" {
		where = append(where, prefix("full_name", v))
	}
	if v := f.str("nameOrReferenceIdStartsWith"); v != "" {
		where = append(where, anyOf(prefix("name", v), prefix("reference_id", v)))
	}
	if v := f.str("ancestorIdIn"); v != "" {
		var any []Cond
		for _, id := range words(v) {
			g, err := c.tables().Categories().Get(c, c.partner(), id)
			if missing(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			any = append(any, prefix("full_ids", g.FullIDs+">"))
		}
		where = append(where, anyOf(any...))
	}
	rows, total, err := find(c, c.tables().Categories(), where, map[string]string{
		"fullName": "full_name", "name": "name", "createdAt": "created_at", "updatedAt": "updated_at",
	}, Order{Column: "number"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, g := range rows {
		o, err := c.viewCategory(g)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return list("KalturaCategoryListResponse", total, out), nil
}

// categorise puts an entry into categories and out of all others. The caller stores e.
func (c *call) categorise(t Tables, e *Entry, into []Category) error {
	have, err := t.CategoryEntries().Find(c, Find{Partner: e.Partner, Where: in("entry_id", e.ID)})
	if err != nil {
		return err
	}
	for _, h := range have {
		if !slices.ContainsFunc(into, func(g Category) bool { return g.Number == h.Category }) {
			if err := t.CategoryEntries().Delete(c, h.Partner, h.ID); err != nil {
				return err
			}
		}
	}
	var names []string
	ids := " "
	for _, g := range into {
		if !slices.ContainsFunc(have, func(h CategoryEntry) bool { return h.Category == g.Number }) {
			row := CategoryEntry{
				Row: Row{Partner: e.Partner, ID: g.ID + "/" + e.ID}, Category: g.Number, EntryID: e.ID, FullIDs: g.FullIDs, UserID: c.user(),
			}
			if err := t.CategoryEntries().Insert(c, &row); err != nil {
				return err
			}
		}
		names = append(names, g.FullName)
		ids += g.FullIDs + " "
	}
	if e.Categories, e.CategoryIDs = strings.Join(names, ","), ids; len(into) == 0 {
		e.CategoryIDs = ""
	}
	return nil
}

// categoriesOf gives the categories that an entry is in.
func (c *call) categoriesOf(t Tables, e Entry) ([]Category, error) {
	rows, err := t.CategoryEntries().Find(c, Find{Partner: e.Partner, Where: in("entry_id", e.ID)})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	var ids []int64
	for _, r := range rows {
		ids = append(ids, r.Category)
	}
	return t.Categories().Find(c, Find{Partner: e.Partner, Where: in("number", ids...), Order: []Order{{Column: "number"}}})
}

// fillCategories takes over the categories of an entry: by full names, which are made when there
// are none, or by ids.
func (c *call) fillCategories(t Tables, e *Entry, a args) error {
	names, byName := a.change("categories")
	ids, byID := a.change("categoriesIds")
	if byName && names == e.Categories {
		byName = false
	}
	if byID && ids == e.categoryIDs() {
		byID = false
	}
	if !byName && !byID {
		return nil
	}
	var into []Category
	for _, full := range words(names) {
		var at *Category
		for name := range strings.SplitSeq(full, ">") {
			path := cut(strings.TrimSpace(name), 60)
			if at != nil {
				path = at.FullName + ">" + path
			}
			g, have, err := categoryAt(c, t, e.Partner, path)
			if err != nil {
				return err
			}
			if !have {
				g = Category{Row: Row{Partner: e.Partner}, Name: path[strings.LastIndexByte(path, '>')+1:], Privacy: privacyAll}
				if err := insertCategory(c, t, &g, at); err != nil {
					return err
				}
			}
			at = &g
		}
		into = append(into, *at)
	}
	for _, id := range words(ids) {
		if !byID {
			break
		}
		g, err := c.category(t, id)
		if err != nil {
			return err
		}
		into = append(into, g)
	}
	return c.categorise(t, e, into)
}

// categoryIDs gives the ids of an entry's categories as the entry shows them.
func (e Entry) categoryIDs() string {
	var out []string
	for _, full := range strings.Fields(e.CategoryIDs) {
		out = append(out, full[strings.LastIndexByte(full, '>')+1:])
	}
	return strings.Join(out, ",")
}

func viewCategoryEntry(r CategoryEntry) *object {
	return newObject("KalturaCategoryEntry").
		set("categoryId", r.Category).set("entryId", r.EntryID).set("createdAt", r.CreatedAt.Unix()).
		set("categoryFullIds", r.FullIDs).set("status", 2).set("creatorUserId", orNil(r.UserID))
}

// categoryEntryChange changes which categories an entry is in.
func (c *call) categoryEntryChange(entryID string, change func(t Tables, have []Category) ([]Category, error)) error {
	return c.commit(func(tx Tx) error {
		t := tx.Kaltura()
		e, err := c.entry(t, entryID)
		if err != nil {
			return err
		}
		have, err := c.categoriesOf(t, e)
		if err != nil {
			return err
		}
		if have, err = change(t, have); err != nil {
			return err
		}
		if err := c.categorise(t, &e, have); err != nil {
			return err
		}
		return t.Entries().Update(c, &e)
	})
}

func (c *call) categoryEntryAdd() (any, error) {
	a := c.args.tree("categoryEntry")
	id := fmt.Sprint(a.num("categoryId"))
	err := c.categoryEntryChange(a.str("entryId"), func(t Tables, have []Category) ([]Category, error) {
		g, err := c.category(t, id)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(have, func(h Category) bool { return h.Number == g.Number }) {
			return nil, refuse("CATEGORY_ENTRY_ALREADY_EXISTS")
		}
		return append(have, g), nil
	})
	if err != nil {
		return nil, err
	}
	row, err := c.tables().CategoryEntries().Get(c, c.partner(), id+"/"+a.str("entryId"))
	if err != nil {
		return nil, err
	}
	return viewCategoryEntry(row), nil
}

func (c *call) categoryEntryDelete() (any, error) {
	id := c.args.num("categoryId")
	return nil, c.categoryEntryChange(c.args.str("entryId"), func(_ Tables, have []Category) ([]Category, error) {
		return slices.DeleteFunc(have, func(g Category) bool { return g.Number == id }), nil
	})
}

func (c *call) categoryEntryList() (any, error) {
	f := c.args.tree("filter")
	if f.str("entryIdEqual")+f.str("entryIdIn")+f.str("categoryIdEqual")+f.str("categoryIdIn") == "" {
		return nil, refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaCategoryEntryFilter::entryIdEqual/KalturaCategoryEntryFilter::categoryIdEqual")
	}
	where := c.equals(nil, f, "entryId", "entry_id")
	where = c.numbers(where, f, "categoryId", "category")
	rows, total, err := find(c, c.tables().CategoryEntries(), where, map[string]string{"createdAt": "created_at"}, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, r := range rows {
		out = append(out, viewCategoryEntry(r))
	}
	return list("KalturaCategoryEntryListResponse", total, out), nil
}

func viewCategoryUser(u CategoryUser) *object {
	return newObject("KalturaCategoryUser").
		set("categoryId", u.Category).set("userId", u.UserID).set("partnerId", u.Partner).set("permissionLevel", u.Permission).
		set("status", 1).set("createdAt", u.CreatedAt.Unix()).set("updatedAt", u.UpdatedAt.Unix()).set("updateMethod", 0)
}

func (c *call) categoryUserAdd() (any, error) {
	a := c.args.tree("categoryUser")
	var u CategoryUser
	err := c.commit(func(tx Tx) error {
		t := tx.Kaltura()
		g, err := c.category(t, fmt.Sprint(a.num("categoryId")))
		if err != nil {
			return err
		}
		if err := c.ensureUser(t, a.str("userId"), "userId"); err != nil {
			return err
		}
		u = CategoryUser{
			Row: Row{Partner: c.partner(), ID: g.ID + "/" + a.str("userId")}, Category: g.Number, UserID: a.str("userId"),
			Permission: a.numOr("permissionLevel", 3),
		}
		if _, err := t.CategoryUsers().Get(c, c.partner(), u.ID); !missing(err) {
			if err == nil {
				err = refuse("CATEGORY_USER_ALREADY_EXISTS")
			}
			return err
		}
		return t.CategoryUsers().Insert(c, &u)
	})
	if err != nil {
		return nil, err
	}
	return viewCategoryUser(u), nil
}

func (c *call) categoryUserList() (any, error) {
	f := c.args.tree("filter")
	where := c.equals(nil, f, "userId", "user_id")
	where = c.numbers(where, f, "categoryId", "category")
	rows, total, err := find(c, c.tables().CategoryUsers(), where, map[string]string{"createdAt": "created_at"}, Order{Column: "created_at"})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, u := range rows {
		out = append(out, viewCategoryUser(u))
	}
	return list("KalturaCategoryUserListResponse", total, out), nil
}
