package platform

import "strings"

// resource checks a resource parameter and gives the token it names, empty when there is none.
func (c *call) resource() (string, error) {
	if r := c.args.tree("resource"); r != nil {
		return resourceToken(r)
	}
	return "", nil
}

// resourceToken gives the upload token that a resource names.
func resourceToken(r args) (string, error) {
	switch kind := r.str("objectType"); {
	case kind == "":
		return "", refuse("OBJECT_TYPE_ABSTRACT", "OBJ_TYPE", "KalturaResource")
	case !strings.EqualFold(kind, "KalturaUploadedFileTokenResource"):
		return "", refuse("RESOURCE_TYPE_NOT_SUPPORTED", "RES_TYPE", kind)
	case !r.has("token"):
		return "", refuse("PROPERTY_VALIDATION_CANNOT_BE_NULL", "PROP_NAME", "KalturaUploadedFileTokenResource::token")
	}
	return r.str("token"), nil
}

// entryAddContent gives an entry its file. Without a resource it does nothing and says nothing.
func (c *call) entryAddContent() (any, error) {
	token, err := c.resource()
	if err != nil {
		return nil, err
	}
	e, err := c.owned(c.tables(), c.args.str("entryId"))
	if err != nil {
		return nil, err
	}
	if c.args.tree("resource") == nil {
		return c.view(e), nil
	}
	if e.Status != entryNoContent && e.Status != entryImport {
		return nil, refuse("ENTRY_ALREADY_WITH_CONTENT")
	}
	if err := c.attach(&e, token); err != nil {
		return nil, err
	}
	return c.view(e), nil
}

// emptyEntry takes the content from an entry, so that it can get another. Its asset stays for the
// caller to remove.
func (c *call) emptyEntry(e *Entry) error {
	if e.Status == entryNoContent || e.Status == entryImport {
		return nil
	}
	var blobs []string
	err := c.commit(func(tx Tx) (err error) {
		if *e, err = tx.Kaltura().Entries().Get(c, e.Partner, e.ID); err != nil {
			return err
		}
		if blobs, err = dropFlavors(c, tx.Kaltura(), *e); err != nil {
			return err
		}
		e.Status, e.AssetID, e.Generations, e.FlavorParams = entryNoContent, "", nil, ""
		return tx.Kaltura().Entries().Update(c, e)
	})
	if err != nil {
		return err
	}
	return c.removeBlobs(blobs)
}

// entryUpdateContent gives an entry another file. The old one plays until this call, not longer:
// there is no hidden replacement entry here.
func (c *call) entryUpdateContent() (any, error) {
	token, err := c.resource()
	if err != nil {
		return nil, err
	}
	e, err := c.owned(c.tables(), c.args.str("entryId"))
	if err != nil {
		return nil, err
	}
	t, err := c.uploadToken(c.tables(), token)
	if err != nil {
		return nil, err
	}
	// What cannot be used must not cost the entry what it has.
	if t.Status == tokenClosed || t.EntryID != "" && t.EntryID != e.ID {
		return nil, refuse("UPLOAD_TOKEN_INVALID_STATUS_FOR_ADD_ENTRY")
	}
	if id := c.args.num("conversionProfileId"); id != 0 && findProfile(id) == nil && id != -1 {
		return nil, refuse("CONVERSION_PROFILE_ID_NOT_FOUND", "ID", c.args.str("conversionProfileId"))
	}
	old := e.AssetID
	if err := c.emptyEntry(&e); err != nil {
		return nil, err
	}
	if id := c.args.num("conversionProfileId"); id != 0 && id != e.ConversionProfile {
		e.ConversionProfile = id
		if err := c.tables().Entries().Update(c, &e); err != nil {
			return nil, err
		}
	}
	if err := c.attach(&e, token); err != nil {
		return nil, err
	}
	if old != "" {
		if err := c.Assets.Remove(c, old); err != nil && !missing(err) {
			return nil, err
		}
	}
	return c.view(e), nil
}
