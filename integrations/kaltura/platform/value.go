package platform

// An answer is built from nil, bool, int, int64, float64, string, []any, dict and *object. The
// encoders give each its form on the wire.

// object is a typed Kaltura object. Members are kept in declaration order and with their nulls:
// XML writes an empty element for a null, JSON and PHP leave it out.
type object struct {
	class   string
	members []member
}

type member struct {
	name  string
	value any
}

// dict is an untyped map with an order: the arguments of an error.
type dict []member

func newObject(class string) *object { return &object{class: class} }

// set appends a member.
func (o *object) set(name string, value any) *object {
	o.members = append(o.members, member{name, value})
	return o
}

// null appends members without a value.
func (o *object) null(names ...string) *object {
	for _, n := range names {
		o.members = append(o.members, member{n, nil})
	}
	return o
}

// get gives a member, nil when absent.
func (o *object) get(name string) any {
	if name == "objectType" {
		return o.class
	}
	for _, m := range o.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// only gives a copy with the members for which keep is true.
func (o *object) only(keep func(name string) bool) *object {
	out := newObject(o.class)
	for _, m := range o.members {
		if keep(m.name) {
			out.members = append(out.members, m)
		}
	}
	return out
}

// list is the usual answer of a list action.
func list(class string, total int, objects []any) *object {
	if objects == nil {
		objects = []any{}
	}
	return newObject(class).set("totalCount", total).set("objects", objects)
}

// orNil turns an empty string into null.
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// orZero turns 0 into null.
func orZero(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// orNull turns a nil pointer into null.
func orNull[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
