package gateway

import "testing"

func TestDecide(t *testing.T) {
	in := func(v Visibility) Integration { return Integration{Row: Row{HubID: "hub_1"}, Visibility: v} }
	ada := Actor{HubID: "hub_1", ParticipantID: "par_ada", PlatformUserID: "ada"}
	unmapped := Actor{HubID: "hub_1", ParticipantID: "par_new"}
	machine := Actor{HubID: "hub_1", ClientID: "cli_1"}
	admin := Actor{HubID: "hub_1", ParticipantID: "par_admin", PlatformUserID: "boss", Role: RoleAdmin}
	stranger := Actor{HubID: "hub_2", ParticipantID: "par_x", PlatformUserID: "ada"}
	hers, ownerless := Media{OwnerID: "ada"}, Media{}
	seven := func(v Visibility) Integration { i := in(v); i.CategoryID = 7; return i }
	hers7, bobs7 := Media{OwnerID: "ada", CategoryID: 7}, Media{OwnerID: "bob", CategoryID: 7}
	for _, c := range []struct {
		name   string
		a      Actor
		in     Integration
		m      Media
		ok     bool
		reason string
	}{
		{"shared, owner", ada, in(VisibilityShared), hers, true, "shared"},
		{"shared, not mapped", unmapped, in(VisibilityShared), hers, true, "shared"},
		{"shared, machine", machine, in(VisibilityShared), hers, true, "shared"},
		{"shared, another hub", stranger, in(VisibilityShared), hers, false, "other_hub"},
		{"own, owner", ada, in(VisibilityOwn), hers, true, "owner"},
		{"own, owner in capitals is somebody else", ada, in(VisibilityOwn), Media{OwnerID: "Ada"}, false, "not_owner"},
		{"own, somebody else", ada, in(VisibilityOwn), Media{OwnerID: "bob"}, false, "not_owner"},
		{"own, admin is no exception", admin, in(VisibilityOwn), hers, false, "not_owner"},
		{"own, not mapped", unmapped, in(VisibilityOwn), hers, false, "not_owner"},
		{"own, not mapped, no owner", unmapped, in(VisibilityOwn), ownerless, false, "not_owner"},
		{"own, no owner", ada, in(VisibilityOwn), ownerless, false, "not_owner"},
		{"own, machine", machine, in(VisibilityOwn), hers, false, "machine_own"},
		{"own, machine, no owner", machine, in(VisibilityOwn), ownerless, false, "machine_own"},
		{"own, same user id in another hub", stranger, in(VisibilityOwn), hers, false, "other_hub"},
		{"category, in it", ada, seven(VisibilityShared), bobs7, true, "shared_category"},
		{"category, outside", ada, seven(VisibilityShared), hers, false, "outside_category"},
		{"category, in another", ada, seven(VisibilityShared), Media{OwnerID: "ada", CategoryID: 8}, false, "outside_category"},
		{"category, machine outside", machine, seven(VisibilityShared), hers, false, "outside_category"},
		{"category and own", ada, seven(VisibilityOwn), hers7, true, "owner"},
		{"category and own, owner outside", ada, seven(VisibilityOwn), hers, false, "outside_category"},
		{"category and own, somebody else", ada, seven(VisibilityOwn), bobs7, false, "not_owner"},
		{"category and own, machine", machine, seven(VisibilityOwn), ownerless, false, "machine_own"},
		{"not set", ada, in(""), hers, false, "unknown_visibility"},
		{"unknown", ada, in("everything"), hers, false, "unknown_visibility"},
	} {
		d := Decide(c.a, c.in, c.m)
		if d.Allowed != c.ok || d.Reason != c.reason || d.Text == "" {
			t.Errorf("%s: got %+v, want %v %s", c.name, d, c.ok, c.reason)
		}
	}
}

func TestDecideItem(t *testing.T) {
	ada := Actor{HubID: "hub_1", ParticipantID: "par_ada"}
	admin := Actor{HubID: "hub_1", ParticipantID: "par_admin", Role: RoleAdmin}
	machine, other := Actor{HubID: "hub_1", ClientID: "cli_1"}, Actor{HubID: "hub_1", ClientID: "cli_2"}
	item := func(par, cli string, shared bool) LibraryItem {
		return LibraryItem{Row: Row{HubID: "hub_1"}, ParticipantID: par, ClientID: cli, Shared: shared}
	}
	registered := func(par string, shared bool) LibraryItem {
		it := item(par, "cli_1", shared)
		it.Source = SourceSpaces
		return it
	}
	for _, c := range []struct {
		name   string
		a      Actor
		it     LibraryItem
		ok     bool
		reason string
	}{
		{"importer", ada, item("par_ada", "", false), true, "importer"},
		{"importer through a client", ada, item("par_ada", "cli_1", false), true, "importer"},
		{"somebody else", ada, item("par_bob", "", false), false, "not_importer"},
		{"admin is no exception", admin, item("par_ada", "", false), false, "not_importer"},
		{"shared", ada, item("par_bob", "", true), true, "shared_item"},
		{"shared, another hub", Actor{HubID: "hub_2", ParticipantID: "par_ada"}, item("par_ada", "", true), false, "other_hub"},
		{"machine, its own", machine, item("", "cli_1", false), true, "importer"},
		{"machine, another client's", other, item("", "cli_1", false), false, "not_importer"},
		{"machine, a person's", machine, item("par_ada", "", false), false, "not_importer"},
		{"machine, what it imported for a person", machine, item("par_ada", "cli_1", false), false, "not_importer"},
		{"person, a machine's", ada, item("", "cli_1", false), false, "not_importer"},
		{"registered, its owner", ada, registered("par_ada", false), true, "owner"},
		{"registered, its client", machine, registered("par_ada", false), true, "registrar"},
		{"registered, another client", other, registered("par_ada", false), false, "not_importer"},
		{"registered, another person", admin, registered("par_ada", false), false, "not_importer"},
		{"registered, shared", admin, registered("par_ada", true), true, "shared_item"},
		{"registered, nobody at all", Actor{HubID: "hub_1"}, registered("", false), false, "not_importer"},
		{"nobody at all", Actor{HubID: "hub_1"}, item("par_ada", "", false), false, "not_importer"},
	} {
		d := DecideItem(c.a, c.it)
		if d.Allowed != c.ok || d.Reason != c.reason || d.Text == "" {
			t.Errorf("%s: got %+v, want %v %s", c.name, d, c.ok, c.reason)
		}
	}
}
