package gateway

// Decision says whether an actor may have a media item or library item, and why.
type Decision struct {
	Allowed bool
	Reason  string // stable slug
	Text    string // for the person who asks "why do I (not) see this?"
}

// Decide is the one visibility rule for media on a connected account. Actor.PlatformUserID must be set for people.
func Decide(a Actor, in Integration, m Media) Decision {
	d := decideOwner(a, in, m)
	// Compared with what the platform said about this entry, so that an entry that came in some other
	// way, or was kept from before the setting, is refused.
	if d.Allowed && in.CategoryID != 0 && m.CategoryID != in.CategoryID {
		return Decision{false, "outside_category", "Your hub shows one category of the Kaltura account, and this media is not in it."}
	}
	return d
}

func decideOwner(a Actor, in Integration, m Media) Decision {
	switch {
	case a.HubID != in.HubID:
		return Decision{false, "other_hub", "This media belongs to another hub."}
	case in.Visibility == VisibilityShared:
		if in.CategoryID != 0 {
			return Decision{true, "shared_category", "Your hub shares one category of the Kaltura account with all its participants."}
		}
		return Decision{true, "shared", "Your hub shares the whole Kaltura account with all its participants."}
	case in.Visibility != VisibilityOwn:
		return Decision{false, "unknown_visibility", "The hub's visibility is not set."}
	case a.Machine():
		return Decision{false, "machine_own", "Your hub shows each person only their own media, and this client acts for no person."}
	case a.PlatformUserID != "" && a.PlatformUserID == m.OwnerID:
		return Decision{true, "owner", "You own this media in Kaltura."}
	default:
		return Decision{false, "not_owner", "Your hub shows each person only their own media, and this one belongs to somebody else."}
	}
}

// DecideItem is the same rule for library items: the importer's own, or shared with the hub.
func DecideItem(a Actor, it LibraryItem) Decision {
	switch {
	case a.HubID != it.HubID:
		return Decision{false, "other_hub", "This item belongs to another hub."}
	case it.Shared:
		return Decision{true, "shared_item", "It was shared with the hub."}
	case !a.Machine() && a.ParticipantID == it.ParticipantID && it.Source == SourceSpaces:
		return Decision{true, "owner", "It is yours in the spaces platform."}
	case !a.Machine() && a.ParticipantID == it.ParticipantID:
		return Decision{true, "importer", "You imported it."}
	case a.Machine() && a.ClientID != "" && a.ClientID == it.ClientID && it.Source == SourceSpaces:
		return Decision{true, "registrar", "This client registered it."}
	case a.Machine() && a.ClientID != "" && a.ClientID == it.ClientID && it.ParticipantID == "":
		return Decision{true, "importer", "This client imported it."}
	default:
		return Decision{false, "not_importer", "It belongs to the person who imported it."}
	}
}
