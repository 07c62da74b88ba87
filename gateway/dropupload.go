package gateway

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
)

// dropTarget is a folder that files are sent to.
type dropTarget struct {
	folder      DropFolder
	rules       *dropRules
	manifests   Manifests
	integration string
}

// targets gives the folders that files are sent to, by id, if the actor may. An app that was made for a folder may send
// to no other place.
func (s *DropFolders) targets(ctx context.Context, a Actor, files []NewUpload, at func(i int, err error) error) (map[string]*dropTarget, error) {
	if s == nil {
		for i, n := range files {
			if n.FolderID != "" {
				return nil, at(i, noSuchFolder().At("/folder_id"))
			}
		}
		return nil, nil
	}
	only := ""
	if a.Machine() && a.ClientID != "" {
		f, err := s.Store.DropFolders().ByApp(ctx, a.ClientID)
		if ignoreNotFound(err) != nil {
			return nil, err
		}
		only = f.ID
	}
	out := map[string]*dropTarget{}
	for i, n := range files {
		if only != "" && n.FolderID != only {
			return nil, at(i, E(Forbidden, "folder_only", "This app may only send files to its own drop folder.").Next("Name the folder %s.", only).At("/folder_id"))
		}
		if n.FolderID == "" || out[n.FolderID] != nil {
			continue
		}
		t, err := s.target(ctx, a, n.FolderID, only)
		if err != nil {
			return nil, at(i, err)
		}
		out[n.FolderID] = t
	}
	return out, nil
}

func (s *DropFolders) target(ctx context.Context, a Actor, id, only string) (*dropTarget, error) {
	var err error
	switch {
	case !a.Machine():
		err = contentAdmin(a, ScopeUploadsWrite)
	case only != id && !slices.Contains(a.Scopes, ScopeDropFoldersWrite):
		err = insufficient(ScopeDropFoldersWrite)
	}
	if err != nil {
		return nil, err
	}
	f, err := s.folder(ctx, s.Store, a, id)
	if err != nil {
		e := *AsError(err)
		return nil, e.At("/folder_id")
	}
	rules, err := rulesOf(f)
	if err != nil {
		return nil, err
	}
	maker, err := s.maker(ctx, s.Store, f)
	if err != nil {
		return nil, err
	}
	o, err := s.Uploads.admit(ctx, maker)
	if err != nil {
		return nil, err
	}
	if only != id {
		if err := a.speaksFor(maker, o.Integration); err != nil {
			return nil, err
		}
	}
	return &dropTarget{f, rules, s.Manifests, o.Integration.ID}, nil
}

// check refuses a file that the folder would not take, before its first byte.
func (t *dropTarget) check(n NewUpload) (manifest bool, err error) {
	if n.Target != TargetKaltura {
		return false, E(Invalid, "target_invalid", "What is sent to a drop folder goes to Kaltura.").Next("Leave the target out.").At("/target")
	}
	if err := checkDropName(n.Name); err != nil {
		return false, err
	}
	manifest = t.manifests != nil && t.manifests.Format(n.Name) != ""
	if manifest && t.folder.Handler == HandleContent {
		return manifest, E(Invalid, "manifest_not_taken", "The folder takes media only, no manifests.").Next("Change what the folder's files are in its settings.").At("/name")
	}
	switch t.rules.left(n.Name, manifest) {
	case "":
		return manifest, nil
	case leftOther:
		return manifest, E(Invalid, "name_not_wanted", "The folder does not take files of this name.").Next("It takes %v.", t.folder.Patterns).At("/name")
	}
	return manifest, E(Invalid, "name_ignored", "The folder ignores files of this name.").Next("Give the file another name.").At("/name")
}

// announce makes the rows of files that will be sent to folders, and writes into the uploads which those are. A name can
// be used again when its file is done; before that it is Conflict.
func (s *DropFolders) announce(ctx context.Context, tx Tx, a Actor, all []Upload, at func(i int, err error) error) error {
	folders := map[string][]int{}
	for i, u := range all {
		if u.FolderID != "" {
			folders[u.FolderID] = append(folders[u.FolderID], i)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(folders)) {
		f, err := tx.DropFolders().Lock(ctx, id)
		if err == nil && f.DeletedAt != nil {
			err = noSuchFolder()
		}
		if err != nil {
			return err
		}
		files, bytes, err := s.room(ctx, tx, f)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for page := range slices.Chunk(folders[id], scanPage) {
			for _, i := range page {
				if files--; files < 0 {
					return at(i, E(Conflict, "folder_full", "The drop folder has as many open files as it may have.").
						Next("Wait until some are done, look at those that wait, or ask for a higher limit."))
				}
				if bytes -= all[i].Size; bytes < 0 {
					return at(i, E(TooLarge, "folder_bytes", "The drop folder's open files may not have so many bytes together.").
						Next("Wait until some are done, or ask for a higher limit.").At("/size"))
				}
				key := dropKey(all[i].Name)
				if seen[key] {
					return at(i, E(Conflict, reasonTwin, "Two of the files have the same name.").Next("Rename one of them.").At("/name"))
				}
				seen[key] = true
			}
			if err := s.announcePage(ctx, tx, a, f, all, page, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *DropFolders) announcePage(ctx context.Context, tx Tx, a Actor, f DropFolder, all []Upload, page []int, at func(i int, err error) error) error {
	keys := make([]string, len(page))
	for j, i := range page {
		keys[j] = dropKey(all[i].Name)
	}
	rows, err := tx.DropFiles().OfNames(ctx, f.ID, keys)
	if err != nil {
		return err
	}
	byKey := map[string]*DropFile{}
	for i := range rows {
		byKey[rows[i].NameKey] = &rows[i]
	}
	var fresh []DropFile
	for j, i := range page {
		u := &all[i]
		old := byKey[keys[j]]
		if old != nil && old.State == DropParsed { // its manifest came first
			old.UploadID, old.Identity, old.Size, old.Name = u.ID, uploadIdentity+u.ID, u.Size, u.Name
			u.DropFileID = old.ID
			if err := s.move(ctx, tx, old, DropUploading, "upload.created", a, ""); err != nil {
				return err
			}
			continue
		}
		if old != nil && !old.State.Over() && old.State != DropDue {
			return at(i, E(Conflict, "name_taken", fmt.Sprintf("The folder has a file “%s” that is %s.", cutText(old.Name, 200), old.State)).
				Next("Wait until it is done, cancel it, or give this one another name.").At("/name"))
		}
		now := s.Clock()
		n := DropFile{
			Row: Row{ID: NewID("dfi"), HubID: f.HubID}, FolderID: f.ID, Name: u.Name, NameKey: keys[j], Size: u.Size, Identity: uploadIdentity + u.ID,
			Manifest: s.Manifests != nil && s.Manifests.Format(u.Name) != "", State: DropUploading, SizeSetAt: &now, UploadID: u.ID,
		}
		if old != nil {
			if err := s.supersede(ctx, tx, old); err != nil {
				return err
			}
			if err := s.inherit(ctx, tx, &n, *old); err != nil {
				return err
			}
		}
		u.DropFileID = n.ID
		fresh = append(fresh, n)
	}
	in, err := tx.DropFiles().InsertAll(ctx, fresh)
	if err == nil && len(in) != len(fresh) {
		err = E(Conflict, "changed_meanwhile", "Another file of the same name was announced just now.").Next("Try again.")
	}
	if err != nil || len(in) == 0 {
		return err
	}
	now := s.Clock()
	lines := make([]DropChange, len(in))
	for i, n := range in {
		lines[i] = dropChange(n, "upload.created", a.Subject(), "", now)
	}
	if err := tx.DropChanges().InsertAll(ctx, lines); err != nil {
		return err
	}
	return s.Events.Append(ctx, tx, f.HubID, AudienceContent, "drop_folder.scanned", f.ID, f.news())
}

// sent makes a file whole whose upload was finished.
func (s *DropFolders) sent(ctx context.Context, tx Tx, a Actor, u Upload) error {
	f, err := tx.DropFiles().Get(ctx, AnyHub, u.DropFileID)
	if err != nil || f.UploadID != u.ID || !unsettled(f.State) {
		return ignoreNotFound(err)
	}
	f.Size, f.SHA256 = u.Size, u.SHA256
	return s.move(ctx, tx, &f, DropPending, "upload.finished", a, "")
}

// audience is who hears of an upload. One that the server fetched for a folder is nobody's own.
func (u Upload) audience() string {
	if u.FolderID != "" && u.ParticipantID == "" && u.ClientID == "" {
		return AudienceContent
	}
	return audienceOf(u.ParticipantID, u.ClientID)
}

// described tells whether an upload's bytes are no media but describe some: they never go to the platform.
func (u Upload) described() bool {
	return u.FolderID != "" && typeOf(path.Base(u.Name), u.ContentType) == Other
}

// senderOf gives in whose name an upload goes to the platform: of one to a folder it is the folder's maker.
func senderOf(ctx context.Context, st Tables, u Upload) (Actor, error) {
	if u.FolderID == "" {
		return actorOf(ctx, st, u.HubID, u.ParticipantID, u.ClientID)
	}
	f, err := st.DropFolders().Get(ctx, Scope(u.HubID), u.FolderID)
	if err != nil {
		return Actor{}, err
	}
	return (&DropFolders{}).maker(ctx, st, f)
}

// finishIngest makes an entry of an upload, or gives one that exists its content.
func finishIngest(ctx context.Context, ing Ingest, u Upload) (Media, error) {
	if u.Replaces == "" {
		return ing.Finish(ctx, newMedia(u))
	}
	r, ok := ing.(Replacer)
	if !ok {
		return Media{}, notOffered()
	}
	return r.Replace(ctx, u.Replaces, ManifestRef{Name: u.Flavor}, ManifestRef{ID: u.ProfileID})
}

// noteUpload lets a file follow the upload that carries it, in the same transaction. Items of manifests look after theirs.
func (s *DropFolders) noteUpload(ctx context.Context, tx Tx, u Upload) error {
	if s == nil || u.DropFileID == "" {
		return nil
	}
	f, err := tx.DropFiles().Get(ctx, AnyHub, u.DropFileID)
	if err != nil || f.UploadID != u.ID || f.Superseded && f.State.Over() {
		return ignoreNotFound(err)
	}
	by := system(f.HubID)
	switch u.State {
	case UploadIngesting:
		if f.State == DropQuarantined { // somebody tried the upload again
			if err := s.move(ctx, tx, &f, DropPending, "upload.retried", by, ""); err != nil {
				return err
			}
			return s.move(ctx, tx, &f, DropImporting, "upload.retried", by, "")
		}
	case UploadProcessing:
		if f.LeadID == "" && f.State == DropImporting {
			f.EntryID = u.EntryID
			if err := tx.DropFiles().Update(ctx, &f); err != nil {
				return err
			}
			return tx.Enqueue(ctx, HandleDropFile{FileID: f.ID})
		}
	case UploadReady:
		switch {
		case f.LeadID != "":
		case f.State == DropProcessing:
			return s.ready(ctx, tx, &f, "upload.ready", "")
		case f.State == DropImporting:
			return tx.Enqueue(ctx, HandleDropFile{FileID: f.ID})
		}
	case UploadFailed:
		if f.LeadID == "" && f.State.Busy() {
			return s.aside(ctx, tx, &f, "upload.failed", u.refusal())
		}
	case UploadCancelled, UploadExpired:
		text := "Its upload was cancelled."
		if u.State == UploadExpired {
			text = "Its upload expired."
		}
		aside := f.State == DropQuarantined || f.State == DropIgnored // nobody can try it again
		if uploaded(f.Identity) && f.State.mayBecome(DropGone) && (aside || !f.State.Over()) {
			return s.move(ctx, tx, &f, DropGone, "upload."+string(u.State), by, text)
		}
	}
	return nil
}

// wanted tells whether somebody will ask for the bytes of an upload that waits for its folder: one that was put aside, and
// that nobody looked after for as long as uploads live, is not kept.
func (s *DropFolders) wanted(ctx context.Context, tx Tx, u Upload) (bool, error) {
	if s == nil || u.DropFileID == "" {
		return false, nil
	}
	f, err := tx.DropFiles().Get(ctx, AnyHub, u.DropFileID)
	if err != nil {
		return false, ignoreNotFound(err)
	}
	return f.UploadID == u.ID && !f.State.Over(), nil
}

// supersede makes room for a newer file of the same name: nobody tries the older one again, so its bytes are let go.
func (s *DropFolders) supersede(ctx context.Context, tx Tx, f *DropFile) error {
	if f.State == DropDue && f.FormerState == "" { // the folder's policy; nothing of it is left to delete
		if err := s.move(ctx, tx, f, DropReady, "replaced", system(f.HubID), "Another file has its name."); err != nil {
			return err
		}
	}
	if f.State != DropDue { // what somebody deletes by hand is deleted, with its entry if that was said
		f.DeleteAt = nil
	}
	f.Superseded, f.TryAt = true, nil
	if err := tx.DropFiles().Update(ctx, f); err != nil {
		return err
	}
	if f.Manifest {
		if err := tx.Enqueue(ctx, HandleDropFile{FileID: f.ID}); err != nil { // its files hear of it
			return err
		}
	}
	return s.letGo(ctx, tx, f.UploadID)
}

// letGo cancels the upload of a file that is no longer there. Harmless when it has ended.
func (s *DropFolders) letGo(ctx context.Context, tx Tx, uploadID string) error {
	if uploadID == "" {
		return nil
	}
	u, err := tx.Uploads().Get(ctx, AnyHub, uploadID)
	if err != nil || u.State != UploadHeld && u.State != UploadReceiving {
		return ignoreNotFound(err)
	}
	return s.cancel(ctx, tx, u)
}

func (s *DropFolders) cancel(ctx context.Context, tx Tx, u Upload) error {
	u.State = UploadCancelled
	u.clear()
	if err := tx.Uploads().Update(ctx, &u); err != nil {
		return err
	}
	if err := tx.Enqueue(ctx, AbandonIngest{UploadID: u.ID}); err != nil {
		return err
	}
	return s.Uploads.tell(ctx, tx, u, "upload.cancelled")
}
