package platform

import "slices"

// entitled tells whether what a session may see follows from categories: it says so itself, or the
// account does and the session does not say otherwise.
func (c *call) entitled() bool {
	if c.ks == nil || c.operator != 0 {
		return false
	}
	if _, off := c.ks.value("disableentitlement"); off {
		return false
	}
	_, on := c.ks.value("enableentitlement")
	return on || c.account.Entitlement
}

// visible is the condition on entries that the session may see; the zero condition means all.
func (c *call) visible(t Tables) (Cond, error) {
	if !c.entitled() {
		return all(), nil
	}
	categories, err := t.Categories().Find(c, Find{Partner: c.partner(), Where: not(in("privacy_context", ""))})
	if err != nil {
		return Cond{}, err
	}
	members, err := t.CategoryUsers().Find(c, Find{Partner: c.partner(), Where: in("user_id", c.user())})
	if err != nil {
		return Cond{}, err
	}
	named := c.user() != "" && c.user() != "0"
	context, limited := c.ks.value("privacycontext")
	var open []Cond
	if named {
		open = append(open, in("user_id", c.user()))
		for _, list := range []string{"can_edit", "can_publish", "can_view"} {
			open = append(open, contains(list, ","+c.user()+","))
		}
	}
	for _, g := range categories {
		if limited && !slices.Contains(words(g.PrivacyContext), context) {
			continue
		}
		member := named && (g.Owner == c.user() || slices.ContainsFunc(members, func(m CategoryUser) bool { return m.Category == g.Number }))
		if g.Privacy == privacyAll || g.Privacy == privacyAuthenticated && named || member {
			open = append(open, contains("category_ids", " "+g.FullIDs+" "))
		}
	}
	return anyOf(open...), nil
}

// sees tells whether the session may see an entry. disableentitlementforentry opens one.
func (c *call) sees(t Tables, e Entry) (bool, error) {
	if !c.entitled() || c.ks.has("disableentitlementforentry", e.ID) {
		return true, nil
	}
	where, err := c.visible(t)
	if err != nil {
		return false, err
	}
	n, err := t.Entries().Count(c, Find{Partner: e.Partner, Where: all(in("id", e.ID), where)})
	return n > 0, err
}

// inCategories adds the category conditions of a filter. Ids name a category alone; names and
// ancestors mean what lies below as well.
func (c *call) inCategories(where []Cond, f args) ([]Cond, error) {
	t := c.tables()
	find := func(column string, values []string) ([]Category, error) {
		return t.Categories().Find(c, Find{Partner: c.partner(), Where: in(column, values...)})
	}
	exact := func(g Category) Cond { return contains("category_ids", " "+g.FullIDs+" ") }
	below := func(g Category) Cond { return anyOf(exact(g), contains("category_ids", " "+g.FullIDs+">")) }
	for _, r := range []struct {
		field, column string
		every, never  bool
		cond          func(Category) Cond
	}{
		{"categoriesIdsMatchOr", "id", false, false, exact},
		{"categoriesIdsMatchAnd", "id", true, false, exact},
		{"categoriesIdsNotContains", "id", false, true, exact},
		{"categoryAncestorIdIn", "id", false, false, below},
		{"categoriesFullNameIn", "full_name", false, false, below},
		{"categoriesMatchOr", "full_name", false, false, below},
		{"categoriesMatchAnd", "full_name", true, false, below},
		{"categoriesNotContains", "full_name", false, true, exact},
	} {
		wanted := words(f.str(r.field))
		if len(wanted) == 0 {
			continue
		}
		found, err := find(r.column, wanted)
		if err != nil {
			return nil, err
		}
		var conds []Cond
		for _, g := range found {
			conds = append(conds, r.cond(g))
		}
		switch {
		case r.never:
			where = append(where, not(anyOf(conds...)))
		case r.every && len(found) < len(wanted):
			where = append(where, anyOf())
		case r.every:
			where = append(where, conds...)
		default:
			where = append(where, anyOf(conds...))
		}
	}
	if f.has("categoriesIdsEmpty") {
		empty := in("category_ids", "")
		if !f.flag("categoriesIdsEmpty", false) {
			empty = not(empty)
		}
		where = append(where, empty)
	}
	return where, nil
}
