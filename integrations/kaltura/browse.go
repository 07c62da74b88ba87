package kaltura

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"isthmus/gateway"
)

const (
	pageSize  = 100       // of orders that count pages
	pageMax   = 500       // Kaltura cuts larger pages in silence
	windowMax = 10000     // Kaltura lists no deeper
	overlap   = 10        // read beyond the page, so that the last second is usually whole
	maxRounds = 20        // calls for one page; a page may be short when our own filters drop much
	minTime   = 315360000 // Kaltura takes smaller numbers as relative to now
)

// Browse implements gateway.Platform. Pages may be shorter than asked for although more follows.
//
// Orders by time do not count pages: page numbers skip and repeat entries when something is added
// meanwhile, end after 10 000, and have no fixed order within one second. The cursor instead names
// the last entry given, and the next page asks for that second and everything beyond it; within a
// second entries are ordered by id here. Name and duration have no such filter, so their orders
// count pages and end with too_many_results after 10 000.
func (p *Platform) Browse(ctx context.Context, a gateway.Actor, q gateway.Query) (gateway.Page, error) {
	asOf := p.clock()
	if q.Limit <= 0 {
		q.Limit = 30
	}
	q.Limit = min(q.Limit, 100)
	cur, err := readCursor(q, p.account.IntegrationID+"/"+p.partner()+"/"+strconv.FormatInt(p.account.CategoryID, 10))
	if err != nil {
		return gateway.Page{}, err
	}
	filter, possible := p.filter(q)
	if !possible {
		return gateway.Page{AsOf: asOf}, nil
	}
	p.scope(filter)
	w, err := p.lister(ctx, a, q)
	if err != nil {
		return gateway.Page{}, public(err)
	}
	b := &browse{p: p, w: w, q: q, filter: filter, cur: cur, total: cur.Total}
	var more bool
	if b.key = timeKeys[q.Sort]; b.key.field != "" {
		more, err = b.byTime(ctx)
	} else {
		more, err = b.byPage(ctx)
	}
	if err != nil {
		return gateway.Page{}, public(err)
	}
	for i := range b.out {
		b.out[i].CategoryID = p.account.CategoryID // as Kaltura was asked for
	}
	page := gateway.Page{Items: b.out, Total: b.total, AsOf: asOf}
	if !b.exact() {
		page.Total = -1
	}
	if more {
		b.cur.Total = b.total
		page.Next = b.cur.String()
	}
	return page, nil
}

// lister chooses the session: a person's own for their own entries and where entitlement is
// enforced, which shows nobody in particular only what everybody may see; else the one that sees all.
func (p *Platform) lister(ctx context.Context, a gateway.Actor, q gateway.Query) (who, error) {
	enforced := p.account.Entitlement == gateway.EntitlementEnforce
	if a.PlatformUserID != "" && (enforced || q.OwnerID == a.PlatformUserID) {
		return who{user: a.PlatformUserID}, nil
	}
	return p.wide(ctx)
}

type timeKey struct {
	field string // as filter: field + GreaterThanOrEqual, LessThanOrEqual
	desc  bool
	of    func(entry) int64
}

var (
	createdAt = func(e entry) int64 { return int64(e.CreatedAt) }
	updatedAt = func(e entry) int64 { return int64(e.UpdatedAt) }
	timeKeys  = map[gateway.Sort]timeKey{
		"":                  {"createdAt", true, createdAt},
		gateway.SortNewest:  {"createdAt", true, createdAt},
		gateway.SortOldest:  {"createdAt", false, createdAt},
		gateway.SortUpdated: {"updatedAt", true, updatedAt},
	}
	pageOrders = map[gateway.Sort]string{gateway.SortName: "+name", gateway.SortLongest: "-duration"}
)

func (k timeKey) order() string {
	if k.desc {
		return "-" + k.field
	}
	return "+" + k.field
}

func (k timeKey) bound() string {
	if k.desc {
		return k.field + "LessThanOrEqual"
	}
	return k.field + "GreaterThanOrEqual"
}

// before tells whether second a comes before b in this order.
func (k timeKey) before(a, b int64) bool {
	if k.desc {
		return a > b
	}
	return a < b
}

func (k timeKey) next(at int64) int64 {
	if k.desc {
		return at - 1
	}
	return at + 1
}

// browse is one page in the making.
type browse struct {
	p      *Platform
	w      who
	q      gateway.Query
	filter params
	key    timeKey
	cur    cursor
	out    []gateway.Media
	total  int
}

func (b *browse) byTime(ctx context.Context) (more bool, err error) {
	for round := range maxRounds {
		size := b.q.Limit + 2*overlap // entries of the cursor's second come again
		if round > 0 {
			size = pageMax // our own filters drop much
		}
		got, total, err := b.list(ctx, b.window(b.cur.At, 0), size, 1)
		if err != nil {
			return false, err
		}
		end := len(got) == 0 || total <= len(got)
		got = slices.DeleteFunc(got, func(e entry) bool { return b.cur.At != 0 && b.key.before(b.key.of(e), b.cur.At) })
		if len(got) == 0 {
			return false, nil
		}
		b.sort(got)
		resume := int64(0)
		if !end {
			// The last second may go on beyond what we read.
			last := b.key.of(got[len(got)-1])
			cut := slices.IndexFunc(got, func(e entry) bool { return b.key.of(e) == last })
			if whole := got[:cut]; b.fresh(whole) > 0 {
				got, resume = whole, last
			} else if got, err = b.second(ctx, last); err != nil {
				return false, err
			} else {
				resume = b.key.next(last)
			}
		}
		if b.take(got) {
			return true, nil
		}
		if end {
			return false, nil
		}
		b.cur.At, b.cur.After = resume, ""
		if len(b.out) >= b.q.Limit {
			return true, nil
		}
	}
	return true, nil
}

// take gives out the entries beyond the cursor and tells whether the page is full with some left over.
func (b *browse) take(got []entry) (left bool) {
	for _, e := range got {
		at, id := b.key.of(e), string(e.ID)
		if at == b.cur.At && id <= b.cur.After {
			continue
		}
		m := e.media()
		if !b.keep(m) {
			b.cur.At, b.cur.After = at, id
			continue
		}
		if len(b.out) >= b.q.Limit {
			return true
		}
		b.out = append(b.out, m)
		b.cur.At, b.cur.After = at, id
	}
	return false
}

func (b *browse) fresh(got []entry) (n int) {
	for _, e := range got {
		if b.key.of(e) != b.cur.At || string(e.ID) > b.cur.After {
			n++
		}
	}
	return n
}

// second reads everything of one second, up to 10 000 entries. Pages of entries that are equal in
// the order asked for may overlap and miss some, so they are ordered by name here and read again
// when the count says that some are missing.
func (b *browse) second(ctx context.Context, at int64) ([]entry, error) {
	f := b.window(at, at)
	f["orderBy"] = "+name"
	found := map[text]entry{}
	for range 4 {
		total := 0
		for page := 1; (page-1)*pageMax < windowMax; page++ {
			got, n, err := b.list(ctx, f, pageMax, page)
			if err != nil {
				return nil, err
			}
			for _, e := range got {
				found[e.ID] = e
			}
			if total = n; len(got) == 0 || page*pageMax >= total {
				break
			}
		}
		if len(found) >= total {
			break
		}
	}
	all := slices.Collect(maps.Values(found))
	b.sort(all)
	return all, nil
}

func (b *browse) sort(got []entry) {
	slices.SortFunc(got, func(x, y entry) int {
		if kx, ky := b.key.of(x), b.key.of(y); kx != ky {
			if b.key.before(kx, ky) {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.ID, y.ID)
	})
}

// window narrows the filter to the cursor's bound and, when until is set, to that one second.
func (b *browse) window(at, until int64) params {
	f := make(params, len(b.filter)+3)
	for k, v := range b.filter {
		f[k] = v
	}
	f["orderBy"] = b.key.order()
	if at != 0 {
		f[b.key.bound()] = at
	}
	if until != 0 {
		f[b.key.field+"GreaterThanOrEqual"], f[b.key.field+"LessThanOrEqual"] = at, until
	}
	return f
}

func (b *browse) byPage(ctx context.Context) (more bool, err error) {
	order, ok := pageOrders[b.q.Sort]
	if !ok {
		return false, gateway.E(gateway.Invalid, "sort_unknown", "This order is not known.").Next("Leave the order out.").At("/sort")
	}
	f := b.window(0, 0)
	f["orderBy"] = order
	b.cur.Page = max(1, b.cur.Page)
	for range maxRounds {
		got, total, err := b.list(ctx, f, pageSize, b.cur.Page)
		if err != nil {
			return false, err
		}
		for ; b.cur.Pos < len(got); b.cur.Pos++ {
			m := got[b.cur.Pos].media()
			if !b.keep(m) {
				continue
			}
			if len(b.out) >= b.q.Limit {
				return true, nil
			}
			b.out = append(b.out, m)
		}
		if len(got) == 0 || b.cur.Page*pageSize >= total {
			return false, nil
		}
		b.cur.Page, b.cur.Pos = b.cur.Page+1, 0
	}
	return true, nil
}

func (b *browse) list(ctx context.Context, filter params, size, page int) ([]entry, int, error) {
	var l list[entry]
	err := b.p.as(ctx, b.w, "media.list", params{"filter": filter, "pager": params{"pageSize": size, "pageIndex": page}}, &l)
	if err != nil {
		return nil, 0, err
	}
	if b.total < 0 && b.cur.At == 0 {
		b.total = max(0, int(l.TotalCount))
	}
	return sane(l.Objects), max(0, int(l.TotalCount)), nil
}

// sane leaves out what no address can be made of, and repetitions.
func sane(all []entry) []entry {
	seen := map[text]bool{}
	return slices.DeleteFunc(all, func(e entry) bool {
		odd := !entryIDs.MatchString(string(e.ID)) || seen[e.ID]
		seen[e.ID] = true
		return odd
	})
}

// exact tells whether Kaltura's filter alone decides, so that its count is ours.
func (b *browse) exact() bool {
	return b.q.Only360 == nil && len(b.q.Tags) == 0 && !slices.Contains(b.q.Types, gateway.Other)
}

// keep repeats here what Kaltura's index only approximates (tags) or would ignore in silence if a
// filter's name were unknown to it (owner, type).
func (b *browse) keep(m gateway.Media) bool {
	if b.q.OwnerID != "" && m.OwnerID != b.q.OwnerID {
		return false
	}
	if b.q.Only360 != nil && m.Is360() != *b.q.Only360 {
		return false
	}
	for _, t := range b.q.Tags {
		if !hasTag(m.Tags, t) {
			return false
		}
	}
	if len(b.q.Types) > 0 && !slices.Contains(b.q.Types, m.Type) {
		return false
	}
	return len(b.q.Statuses) == 0 || slices.Contains(b.q.Statuses, m.Status)
}

// filter says the query in Kaltura's words; possible is false when nothing can match.
func (p *Platform) filter(q gateway.Query) (f params, possible bool) {
	f = params{"objectType": "KalturaMediaEntryFilter", "statusIn": statusIn(q.Statuses), "mediaTypeIn": "1,2,5"}
	if len(q.Types) > 0 {
		var in []string
		for _, t := range q.Types {
			n, ok := mediaTypes[t]
			if !ok { // "other" is everything else
				in = nil
				break
			}
			in = append(in, string(rune('0'+n)))
		}
		f["mediaTypeIn"] = strings.Join(in, ",")
		if in == nil {
			delete(f, "mediaTypeIn")
		}
	}
	tags := slices.Clone(q.Tags)
	if q.Only360 != nil && *q.Only360 {
		tags = append(tags, gateway.Tag360)
	}
	if len(tags) > 0 {
		f["tagsMultiLikeAnd"] = strings.Join(tags, ",")
	}
	if q.OwnerID != "" {
		f["userIdEqual"] = q.OwnerID
	}
	if !q.CreatedAfter.IsZero() {
		f["createdAtGreaterThanOrEqual"] = seconds(q.CreatedAfter)
	}
	if !q.CreatedBefore.IsZero() {
		f["createdAtLessThanOrEqual"] = seconds(q.CreatedBefore)
	}
	if q.Text != "" {
		words := searchWords(q.Text)
		if words == "" {
			return nil, false
		}
		f["freeText"] = words
	}
	return f, true
}

func seconds(t time.Time) int64 { return max(t.Unix(), minTime+1) }

// searchWords makes the text plain words for freeText, where quotes, commas and exclamation marks
// are operators. Words of three letters and more also match as beginnings.
func searchWords(s string) string {
	fields := strings.FieldsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune("-_.@'", r)
	})
	var out []string
	for _, w := range fields {
		if strings.IndexFunc(w, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) < 0 {
			continue
		}
		if len([]rune(w)) >= 3 {
			w += "*"
		}
		out = append(out, w)
		if len(out) == 16 {
			break
		}
	}
	return strings.Join(out, " ")
}
