package kaltura

import (
	"context"
	"strings"

	"isthmus/gateway"
)

// customMax bounds one object of custom metadata.
const customMax = 1 << 20

// planCustom looks up the profiles of custom metadata.
func (p *Platform) planCustom(ctx context.Context, w who, c gateway.EntryChange, out *plan) error {
	seen := map[int64]bool{}
	for _, d := range c.CustomData {
		one := custom{xml: strings.TrimSpace(d.XML)}
		switch d.Action {
		case "", "replace":
			if one.xml == "" || len(one.xml) > customMax {
				return invalid(metadataProfiles.pointer, "custom_data_invalid", "Custom metadata are missing, or longer than 1 MiB.", "Correct them.")
			}
		case "delete":
			one.delete = true
		default:
			return invalid(metadataProfiles.pointer, "custom_data_action", "Custom metadata can be replaced or deleted, nothing else.", "Name replace or delete.")
		}
		if d.Profile.Zero() {
			return invalid(metadataProfiles.pointer, metadataProfiles.reason, "Custom metadata need a profile.", "Name one by its number or its system name.")
		}
		var err error
		if one.profile, err = p.lookUp(ctx, w, metadataProfiles, d.Profile); err != nil {
			return err
		}
		if seen[one.profile] {
			return invalid(metadataProfiles.pointer, "custom_data_twice", "An entry has custom metadata of a profile once.", "Say it all in one place.")
		}
		seen[one.profile] = true
		out.custom = append(out.custom, one)
	}
	return nil
}

// customOf reads an entry's metadata of one profile; an id of 0 means none.
func (p *Platform) customOf(ctx context.Context, w who, id string, profile int64) (metadata, error) {
	var l list[metadata]
	err := p.as(ctx, w, "metadata_metadata.list", params{
		"filter": params{
			"objectType": "KalturaMetadataFilter", "objectIdEqual": id, "metadataObjectTypeEqual": "1", "metadataProfileIdEqual": profile,
		},
		"pager": params{"pageSize": pageMax, "pageIndex": 1},
	}, &l)
	for _, m := range l.Objects {
		if err == nil && int64(m.ProfileID) == profile && string(m.ObjectID) == id {
			return m, nil
		}
	}
	return metadata{}, err
}

// writeCustom makes an entry's metadata what they should be. Somebody may add or delete them meanwhile: then it is
// looked again, once.
func (p *Platform) writeCustom(ctx context.Context, w who, id string, c custom) error {
	var err error
	for range 2 {
		var had metadata
		if had, err = p.customOf(ctx, w, id, c.profile); err != nil {
			return err
		}
		switch {
		case had.ID == 0 && c.delete, had.ID != 0 && !c.delete && strings.TrimSpace(string(had.XML)) == c.xml:
			return nil
		case c.delete:
			err = p.as(ctx, w, "metadata_metadata.delete", params{"id": int64(had.ID)}, nil)
		case had.ID != 0:
			err = p.as(ctx, w, "metadata_metadata.update", params{"id": int64(had.ID), "xmlData": c.xml}, nil)
		default:
			err = p.as(ctx, w, "metadata_metadata.add", params{
				"metadataProfileId": c.profile, "objectType": "1", "objectId": id, "xmlData": c.xml,
			}, nil)
		}
		if k := code(err); k != codeMetadataTwice && k != codeMetadataGone {
			break
		}
	}
	switch code(err) {
	case "INVALID_METADATA_DATA", "METADATA_UNABLE_TO_TRANSFORM":
		return gateway.E(gateway.Invalid, "custom_data_invalid", "The custom metadata do not follow the schema of their profile.").
			Next("Compare them with the schema of the metadata profile in the KMC.").At(metadataProfiles.pointer).Because(err)
	case "METADATA_PROFILE_NOT_FOUND":
		p.known.forgetAll()
		return gateway.E(gateway.Invalid, metadataProfiles.reason, "The metadata profile no longer exists in Kaltura.").
			Next("Name another one.").At(metadataProfiles.pointer).Because(err)
	}
	return err
}
