package platform

import (
	"fmt"
	"slices"
)

// flavorAdd announces a flavor that is going to be uploaded as it is.
func (c *call) flavorAdd() (any, error) {
	params := c.args.tree("flavorAsset").num("flavorParamsId")
	i := slices.IndexFunc(stockParams, func(p flavorParams) bool { return p.id == params })
	if i < 0 {
		return nil, refuse("FLAVOR_PARAMS_ID_NOT_FOUND", "ID", fmt.Sprint(params))
	}
	f := Flavor{
		Row: Row{Partner: c.partner(), ID: newID()}, EntryID: c.args.str("entryId"), Params: params, Status: flavorQueued,
		Tags: stockParams[i].tags, Given: true,
	}
	err := c.commit(func(tx Tx) error {
		t := tx.Kaltura()
		if _, err := c.owned(t, f.EntryID); err != nil {
			return err
		}
		have, err := t.Flavors().Find(c, Find{Partner: f.Partner, Where: all(in("entry_id", f.EntryID), in("params", params)), Limit: 1})
		if err != nil {
			return err
		}
		if len(have) > 0 {
			return refuse("FLAVOR_ASSET_ALREADY_EXISTS", "ID", have[0].ID, "FLAVOR_PARAMS_ID", fmt.Sprint(params))
		}
		return t.Flavors().Insert(c, &f)
	})
	if err != nil {
		return nil, err
	}
	return viewFlavor(f), nil
}

// flavorSet gives a flavor its file, as it is. The source has no content of its own here: it is the
// entry's, which updateContent changes.
func (c *call) flavorSet() (any, error) {
	token, err := c.loose(c.args.tree("contentResource"))
	if err != nil {
		return nil, err
	}
	f, err := c.flavor()
	if err != nil {
		return nil, err
	}
	if f.Params == 0 && !f.Given {
		return nil, refuse("RESOURCE_TYPE_NOT_SUPPORTED", "RES_TYPE", "KalturaUploadedFileTokenResource")
	}
	blob := fmt.Sprintf("kaltura/%d/%s/%s/%s", f.Partner, f.EntryID, f.ID, token.ID)
	if err := c.Blobs.Adopt(c, token.staged(), blob); err != nil {
		return nil, err
	}
	info, err := c.Blobs.Stat(c, blob)
	if err != nil {
		return nil, err
	}
	old := ""
	err = c.commit(func(tx Tx) (err error) {
		t := tx.Kaltura()
		if _, err := c.owned(t, f.EntryID); err != nil {
			return err
		}
		if f, err = t.Flavors().Get(c, f.Partner, f.ID); err != nil {
			return err
		}
		if err := c.spend(t, token); err != nil {
			return err
		}
		if old = ""; f.Given { // else the file is the package's
			old = f.Blob
		}
		f.Given, f.Blob, f.Size, f.Status = true, blob, info.Size, flavorReady
		f.Width, f.Height, f.Bitrate, f.FrameRate, f.Container, f.Codec, f.Codecs = 0, 0, 0, 0, "", "", ""
		if f.FileExt = "mp4"; token.FileName != nil && extension(*token.FileName) != "" {
			f.FileExt = extension(*token.FileName)
		}
		return t.Flavors().Update(c, &f)
	})
	if err != nil {
		return nil, err
	}
	if old != "" && old != blob {
		err = c.removeBlobs([]string{old})
	}
	return viewFlavor(f), err
}

func (c *call) flavorDelete() (any, error) {
	blob := ""
	err := c.commit(func(tx Tx) error {
		f, err := c.flavor()
		if err != nil {
			return err
		}
		if _, err := c.owned(tx.Kaltura(), f.EntryID); err != nil {
			return err
		}
		if blob = ""; f.Given {
			blob = f.Blob
		}
		return tx.Kaltura().Flavors().Delete(c, f.Partner, f.ID)
	})
	if err != nil || blob == "" {
		return nil, err
	}
	return nil, c.removeBlobs([]string{blob})
}
