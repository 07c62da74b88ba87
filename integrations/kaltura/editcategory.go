package kaltura

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"isthmus/gateway"
)

const (
	categoryNameMax = 60 // Kaltura cuts longer ones in silence
	categoriesMax   = 32 // of one entry
	categoryDepth   = 8
)

var categoryPointer = "/categories"

// place says in which categories an entry is.
type place struct {
	in     []categoryEntry
	inside bool // the hub's category or below
}

// memberships reads the categories of an entry. Not from the entry itself: that field is empty where entitlement is in
// force, and names no parents.
func (p *Platform) memberships(ctx context.Context, w who, e entry) (place, error) {
	if p.account.CategoryID == 0 {
		return place{inside: true}, nil
	}
	in, err := p.categoryEntries(ctx, w, string(e.ID))
	if err != nil {
		return place{}, err
	}
	at := place{in: in, inside: e.names(p.account.CategoryID)}
	for _, c := range in {
		at.inside = at.inside || p.ours(c)
	}
	return at, nil
}

func (p *Platform) categoryEntries(ctx context.Context, w who, id string) ([]categoryEntry, error) {
	var l list[categoryEntry]
	err := p.as(ctx, w, "categoryentry.list", params{
		"filter": params{"objectType": "KalturaCategoryEntryFilter", "entryIdEqual": id},
		"pager":  params{"pageSize": pageMax, "pageIndex": 1},
	}, &l)
	return slices.DeleteFunc(l.Objects, func(c categoryEntry) bool { return string(c.EntryID) != id }), err
}

// ours tells whether a membership is in the hub's category or below; without one all are.
func (p *Platform) ours(c categoryEntry) bool {
	hub := p.account.CategoryID
	return hub == 0 || int64(c.CategoryID) == hub || under(string(c.FullIDs), hub)
}

func under(fullIDs string, id int64) bool {
	return id == 0 || slices.Contains(strings.Split(fullIDs, ">"), strconv.FormatInt(id, 10))
}

// hubCategory gives the category that the hub is limited to.
func (p *Platform) hubCategory(ctx context.Context, w who) (category, error) {
	var c category
	err := p.as(ctx, w, "category.get", params{"id": p.account.CategoryID}, &c)
	if code(err) == codeCategoryMissing {
		err = gateway.E(gateway.Precondition, "category_missing", "The category that the hub is limited to no longer exists in Kaltura.").
			Next("A hub admin chooses another category in the hub settings.").Because(err)
	}
	return c, err
}

// planCategories looks at the categories that a change names: none may lie outside of what the hub is limited to.
func (p *Platform) planCategories(ctx context.Context, w who, c gateway.EntryChange, out *plan) error {
	if c.Categories == nil && c.CategoryIDs == nil {
		return nil
	}
	out.categorise = true
	var root category
	if p.account.CategoryID != 0 {
		var err error
		if root, err = p.hubCategory(ctx, w); err != nil {
			return err
		}
	}
	for _, full := range deref(c.Categories) {
		name, err := categoryName(full)
		if err != nil {
			return err
		}
		if root.ID != 0 && name != string(root.FullName) && !strings.HasPrefix(name, string(root.FullName)+">") {
			return outside(name, string(root.FullName))
		}
		at, found, err := p.categoryAt(ctx, w, name)
		if err != nil {
			return err
		}
		if found && !p.shows(at) {
			return p.hidden(name)
		}
		if !slices.Contains(out.names, name) {
			out.names = append(out.names, name)
		}
	}
	for _, id := range deref(c.CategoryIDs) {
		var at category
		err := p.as(ctx, w, "category.get", params{"id": id}, &at)
		switch {
		case code(err) == codeCategoryMissing || err == nil && int64(at.ID) != id:
			return gateway.E(gateway.Invalid, "category_unknown", fmt.Sprintf("The Kaltura account has no category %d.", id)).
				Next("Name a category that exists, or name categories by their full names.").At("/category_ids")
		case err != nil:
			return err
		case !under(string(at.FullIDs), p.account.CategoryID):
			return outside(strconv.FormatInt(id, 10), string(root.FullName))
		case !p.shows(at):
			return p.hidden(strconv.FormatInt(id, 10))
		}
		out.categories = append(out.categories, at)
	}
	if len(out.names)+len(out.categories) > categoriesMax {
		return invalid(categoryPointer, "too_many_categories", "An entry can be in 32 categories.", "Name fewer.")
	}
	return nil
}

func deref[T any](p *[]T) []T {
	if p == nil {
		return nil
	}
	return *p
}

func outside(name, root string) error {
	return gateway.E(gateway.Invalid, "category_outside", "The hub may not use the category "+strconv.Quote(cutBytes(name, 200))+".").
		Next("Name categories below %s, to which the hub is limited.", strconv.Quote(root)).At(categoryPointer)
}

func (p *Platform) hidden(name string) error {
	return gateway.E(gateway.Invalid, "category_outside", "The category "+strconv.Quote(cutBytes(name, 200))+" is not in the hub's privacy context.").
		Next("Name a category with the privacy context %s, or add it to this one in the KMC.", strconv.Quote(p.account.PrivacyContext)).At(categoryPointer)
}

// shows tells whether people see what is in a category: where a privacy context is enforced, only what has it.
func (p *Platform) shows(c category) bool {
	return p.account.PrivacyContext == "" || slices.Contains(splitTags(string(c.PrivacyContexts)), p.account.PrivacyContext)
}

// categoryName checks a full name and writes it as Kaltura does.
func categoryName(full string) (string, error) {
	bad := func(next string) error {
		return gateway.E(gateway.Invalid, "category_not_possible", "Kaltura takes no category with the name "+strconv.Quote(cutBytes(full, 200))+".").
			Next("%s", next).At(categoryPointer)
	}
	parts := strings.Split(full, ">")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		switch {
		case part == "":
			return "", bad("Write the names from the root on with > between them, none of them empty.")
		case len(part) > categoryNameMax || !utf8.ValidString(part):
			return "", bad("Each name has at most 60 bytes.")
		case strings.ContainsAny(part, "<,\x00\r\n\t"):
			return "", bad("Leave out commas and < in names.")
		}
		parts[i] = part
	}
	if len(parts) > categoryDepth {
		return "", bad("Categories lie at most 8 deep.")
	}
	return strings.Join(parts, ">"), nil
}

// categoryAt finds a category by its full name.
func (p *Platform) categoryAt(ctx context.Context, w who, full string) (category, bool, error) {
	var l list[category]
	err := p.as(ctx, w, "category.list", params{
		"filter": params{"objectType": "KalturaCategoryFilter", "fullNameEqual": full},
		"pager":  params{"pageSize": pageMax, "pageIndex": 1},
	}, &l)
	if err != nil {
		return category{}, false, err
	}
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		if i := slices.IndexFunc(l.Objects, func(c category) bool { return c.ID > 0 && same(string(c.FullName), full) }); i >= 0 {
			return l.Objects[i], true, nil
		}
	}
	return category{}, false, nil
}

// recategorise puts an entry into the categories of a plan and takes it out of the others that are the hub's to
// change. In first, so that it never is outside.
func (p *Platform) recategorise(ctx context.Context, w who, e entry, plan plan) error {
	id := string(e.ID)
	in, err := p.categoryEntries(ctx, w, id)
	if err != nil {
		return err
	}
	want := map[int64]bool{}
	if hub := p.account.CategoryID; hub != 0 {
		want[hub] = true
	}
	for _, c := range plan.categories {
		want[int64(c.ID)] = true
	}
	for _, full := range plan.names {
		at, err := p.categoryFor(ctx, w, full)
		if err != nil {
			return err
		}
		want[at] = true
	}
	have := map[int64]bool{}
	for _, c := range in {
		have[int64(c.CategoryID)] = true
	}
	for at := range want {
		if have[at] {
			continue
		}
		err := p.as(ctx, w, "categoryentry.add", params{"categoryEntry": params{"objectType": "KalturaCategoryEntry", "categoryId": at, "entryId": id}}, nil)
		if code(err) == codeCategoryMissing { // deleted since it was looked up
			p.known.forgetAll()
			return gateway.E(gateway.Unavailable, "category_changed", "A category was deleted in Kaltura while the entry was put into it.").
				Next("It is tried again by itself.").After(time.Second).Because(err)
		}
		if err != nil && code(err) != codeInCategory {
			return categoryRefusal(err)
		}
	}
	for _, c := range in {
		if want[int64(c.CategoryID)] || !p.ours(c) {
			continue
		}
		err := p.as(ctx, w, "categoryentry.delete", params{"entryId": id, "categoryId": int64(c.CategoryID)}, nil)
		if k := code(err); err != nil && k != codeNotInCategory && k != codeCategoryMissing {
			return categoryRefusal(err)
		}
	}
	return nil
}

func categoryRefusal(err error) error {
	if categoryClosed(err) || code(err) == "CANNOT_REMOVE_ENTRY_FROM_CATEGORY" {
		return gateway.E(gateway.Forbidden, "category_forbidden", "The App Token may not change who is in this category.").
			Next("A hub admin can see in the hub settings which right is missing.").At(categoryPointer).Because(err)
	}
	return err
}

// categoryFor gives the number of a category, which is made with its parents when there is none.
func (p *Platform) categoryFor(ctx context.Context, w who, full string) (int64, error) {
	key := "category\x00" + full
	if id, ok := p.known.get(key, p.clock()); ok {
		return id, nil
	}
	r := <-p.finishing.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*p.patience)
		defer cancel()
		var at category
		parts := strings.Split(full, ">")
		for i := range parts {
			name := strings.Join(parts[:i+1], ">")
			next, found, err := p.categoryAt(ctx, w, name)
			if err == nil && !found {
				next, err = p.categoryAdd(ctx, w, at, name, parts[i])
			}
			if err != nil {
				return nil, err
			}
			at = next
		}
		if !p.shows(at) {
			return nil, p.hidden(full)
		}
		p.known.put(key, int64(at.ID), p.clock())
		return int64(at.ID), nil
	})
	if r.Err != nil {
		return 0, r.Err
	}
	return r.Val.(int64), nil
}

// categoryAdd makes one category below another. Children have their parents' privacy context; one at the root gets
// the hub's. Somebody may be quicker, and what they made may not be listed at once.
func (p *Platform) categoryAdd(ctx context.Context, w who, parent category, full, name string) (category, error) {
	if !under(string(parent.FullIDs), p.account.CategoryID) { // parents of the hub's category are not ours to make
		return category{}, outside(full, strconv.FormatInt(p.account.CategoryID, 10))
	}
	fields := params{"objectType": "KalturaCategory", "name": name}
	if parent.ID != 0 {
		fields["parentId"] = int64(parent.ID)
	} else if p.account.PrivacyContext != "" {
		fields["privacyContext"] = p.account.PrivacyContext
	}
	var made category
	err := p.as(ctx, w, "category.add", params{"category": fields}, &made)
	for try := 0; code(err) == codeCategoryTwice && try < lookAgain; try++ {
		at, found, lerr := p.categoryAt(ctx, w, full)
		if lerr != nil || found {
			return at, lerr
		}
		if serr := sleep(ctx, delay(try+1, nil)); serr != nil {
			return category{}, serr
		}
	}
	switch {
	case code(err) == codeCategoryTwice:
		return category{}, gateway.E(gateway.Unavailable, "category_not_listed", "Kaltura does not list a new category yet.").
			Next("It is tried again by itself.").After(5 * time.Second).Because(err)
	case notAllowed(err):
		return category{}, gateway.E(gateway.Forbidden, "category_not_made", "The App Token may not make the category "+strconv.Quote(full)+".").
			Next("Make it in the KMC, or use an App Token that starts ADMIN sessions.").At(categoryPointer).Because(err)
	case err != nil:
		return category{}, err
	case string(made.FullName) != full:
		return category{}, gateway.E(gateway.Invalid, "category_not_possible", "Kaltura made another category of the name "+strconv.Quote(full)+".").
			Next("Name it without special characters.").At(categoryPointer)
	}
	return made, nil
}
