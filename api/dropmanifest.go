package api

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"isthmus/gateway"
	"isthmus/openapi"
)

// manifestFormats are the formats of manifests by the content type of a body.
var manifestFormats = map[string]gateway.ManifestFormat{
	"application/xml": gateway.ManifestXML, "application/json": gateway.ManifestJSON, "text/csv": gateway.ManifestCSV,
}

// ValidateDropManifest says what a manifest would do. Its body is read as it comes.
func (s *Server) ValidateDropManifest(ctx context.Context, r ValidateDropManifestRequestObject) (ValidateDropManifestResponseObject, error) {
	kind, _, _ := mime.ParseMediaType(r.ContentType) // looked at before, see acceptAny
	p, err := s.drops.Validate(ctx, actorOf(ctx), deref(r.Params.Folder), manifestFormats[kind], r.Body)
	if err != nil {
		return nil, err
	}
	if len(p.Faults) == 0 {
		return ValidateDropManifest200JSONResponse(dropPreviewOf(p)), nil
	}
	const code = "manifest_faults"
	t := traceOf(ctx)
	out := ValidateDropManifest422ApplicationProblemPlusJSONResponse{
		Type: problemType + code, Title: http.StatusText(http.StatusUnprocessableEntity), Status: http.StatusUnprocessableEntity, Code: code, TraceID: t.trace,
		Instance: text(t.instance), Detail: text("The manifest has one fault."), NextStep: text("Correct what is wrong and look again."),
		Faults: each(p.Faults, faultOf), More: p.More, Preview: ptr(dropPreviewOf(p)),
	}
	if n := len(p.Faults); n > 1 {
		out.Detail = text("The manifest has " + strconv.Itoa(n) + " faults.")
	}
	return out, nil
}

func faultOf(f gateway.ManifestFault) openapi.ManifestFault {
	return openapi.ManifestFault{Line: f.Line, Column: f.Column, Item: some(f.Item), Rule: f.Rule, Text: f.Text, Fix: f.Fix, Fatal: some(f.Fatal)}
}

func dropPreviewOf(p gateway.DropPreview) openapi.DropPreview {
	out := openapi.DropPreview{
		Format: openapi.ManifestFormat(p.Format), Total: p.Total, Items: each(p.Items, dropPreviewItemOf), Truncated: p.Truncated, Missing: listed(p.Missing),
	}
	actions := map[string]int64{}
	for action, n := range p.Actions {
		if action == "" {
			action = "add_or_update"
		}
		actions[string(action)] = n
	}
	out.Actions = &actions
	if len(p.Warnings) > 0 {
		out.Warnings = ptr(each(p.Warnings, faultOf))
	}
	return out
}

func dropPreviewItemOf(it gateway.DropPreviewItem) openapi.DropPreviewItem {
	out := openapi.DropPreviewItem{
		Number: it.Number, Line: it.Line, Column: some(it.Column), Action: some(openapi.ManifestAction(it.Action)), EntryID: text(it.EntryID),
		ReferenceID: text(it.ReferenceID), Name: it.Name, Description: it.Description, Type: some(openapi.MediaType(it.Type)), UserID: text(it.UserID),
		Tags: it.Tags, Categories: it.Categories, AccessControl: refText(it.AccessControl), ConversionProfile: refText(it.ConversionProfile),
		StartAt: it.StartAt, EndAt: it.EndAt, Thumbnails: some(int64(len(it.Thumbnails))), CustomData: some(int64(len(it.CustomData))),
		Does: text(it.Does), Lost: listed(it.Lost),
	}
	var files, hosts []string
	from := func(r gateway.ManifestResource) {
		if r.File != "" {
			files = append(files, r.File)
		}
		if u, err := url.Parse(r.URL); err == nil && u.Host != "" { // the rest may be a secret
			hosts = append(hosts, u.Hostname())
		}
	}
	for _, c := range it.Contents {
		from(c.ManifestResource)
	}
	for _, t := range it.Thumbnails {
		from(t.ManifestResource)
	}
	out.Files, out.Urls = listed(files), listed(hosts)
	return out
}

func refText(r gateway.ManifestRef) *string {
	if r.Name == "" && r.ID != 0 {
		return text(strconv.FormatInt(r.ID, 10))
	}
	return text(r.Name)
}

// GetDropManifest shows a manifest as it was sent.
func (s *Server) GetDropManifest(ctx context.Context, r GetDropManifestRequestObject) (GetDropManifestResponseObject, error) {
	m, err := s.drops.Source(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetDropManifest200JSONResponse{Format: openapi.ManifestFormat(m.Format), Text: m.Text, Truncated: m.Truncated}, nil
}

func dropItemOf(it gateway.DropItem) openapi.DropItem {
	return openapi.DropItem{
		ID: it.ID, Number: it.Number, Line: it.Line, State: openapi.DropItemState(it.State), Action: some(openapi.ManifestAction(it.Action)), Title: it.Title,
		ReferenceID: text(it.ReferenceID), EntryID: text(it.EntryID), Reason: text(it.Reason), Text: text(it.Text), NextStep: text(it.NextStep), UpdatedAt: it.UpdatedAt,
	}
}

// ListDropItems lists the items of a manifest.
func (s *Server) ListDropItems(ctx context.Context, r ListDropItemsRequestObject) (ListDropItemsResponseObject, error) {
	w, size, err := window(r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	after := int64(0)
	if w.After != "" {
		if after, err = strconv.ParseInt(w.After, 10, 64); err != nil {
			return nil, gateway.E(gateway.Invalid, "bad_cursor", "The cursor is not one of ours.").At("cursor").Next("Use next of the page before, or begin without a cursor.")
		}
	}
	var states []gateway.DropItemState
	if r.Params.State != nil {
		states = []gateway.DropItemState{gateway.DropItemState(*r.Params.State)}
	}
	rows, err := s.drops.Items(ctx, actorOf(ctx), r.ID, states, after, w.Limit)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, w, size, func(it gateway.DropItem) string { return strconv.FormatInt(it.Number, 10) })
	return ListDropItems200JSONResponse{
		Body: openapi.DropItemPage{Items: each(rows, dropItemOf), Next: next}, Headers: ListDropItems200ResponseHeaders{Link: nextLink(ctx, next)},
	}, nil
}

// UndoDropItem keeps an entry that a manifest is about to delete.
func (s *Server) UndoDropItem(ctx context.Context, r UndoDropItemRequestObject) (UndoDropItemResponseObject, error) {
	it, err := s.drops.UndoItem(ctx, actorOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return UndoDropItem200JSONResponse(dropItemOf(it)), nil
}

// xsdPath is where the schema of the XML is.
const xsdPath = "/docs/drop-folders.xsd"

// GetDropFolderOptions says what this server offers.
func (s *Server) GetDropFolderOptions(ctx context.Context, _ GetDropFolderOptionsRequestObject) (GetDropFolderOptionsResponseObject, error) {
	o, err := s.drops.Options(ctx, actorOf(ctx))
	if err != nil {
		return nil, err
	}
	out := GetDropFolderOptions200JSONResponse{
		Sources: each(o.Sources, func(k gateway.DropSourceKind) openapi.DropSourceKind { return openapi.DropSourceKind(k) }), MaxFiles: o.MaxOpen,
		MaxDocumentBytes: o.Document, UndoSeconds: int64(gateway.DropUndoTime.Seconds()),
	}
	if s.dropSchema {
		out.XsdURL = text(xsdPath)
	}
	for _, k := range o.Sources {
		out.Directories = out.Directories || k == gateway.DropDirectory
	}
	for _, w := range gateway.DropStateTexts {
		status, _ := gateway.KalturaFile(w.State, "")
		out.States = append(out.States, openapi.DropStateInfo{
			State: openapi.DropState(w.State), Title: w.Title, Description: text(w.Text), Over: w.State.Over(), KalturaStatus: &status, KalturaName: text(w.Kaltura),
		})
	}
	for _, w := range gateway.DropReasonTexts {
		_, code := gateway.KalturaFile(gateway.DropQuarantined, w.Reason)
		out.Reasons = append(out.Reasons, openapi.DropReasonInfo{Reason: w.Reason, Title: w.Title, Fix: w.Fix, KalturaCode: text(code)})
	}
	return out, nil
}

// ListRemoteDropFolders lists the drop folders that Kaltura keeps itself.
func (s *Server) ListRemoteDropFolders(ctx context.Context, r ListRemoteDropFoldersRequestObject) (ListRemoteDropFoldersResponseObject, error) {
	rows, next, err := s.drops.RemoteFolders(ctx, actorOf(ctx), deref(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	items := each(rows, func(f gateway.RemoteDropFolder) openapi.RemoteDropFolder {
		return openapi.RemoteDropFolder{
			ID: f.ID, Name: f.Name, Description: text(f.Description), Path: text(f.Path), Kind: text(f.Kind), Enabled: f.Enabled, Error: text(f.Error), CheckedAt: f.CheckedAt,
		}
	})
	return ListRemoteDropFolders200JSONResponse{
		Body:    openapi.RemoteDropFolderPage{Items: items, Next: text(next)},
		Headers: ListRemoteDropFolders200ResponseHeaders{Link: nextLink(ctx, text(next))},
	}, nil
}

// ListRemoteDropFiles lists the files of such a folder.
func (s *Server) ListRemoteDropFiles(ctx context.Context, r ListRemoteDropFilesRequestObject) (ListRemoteDropFilesResponseObject, error) {
	rows, next, err := s.drops.RemoteFiles(ctx, actorOf(ctx), r.ID, deref(r.Params.Failed), deref(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	return ListRemoteDropFiles200JSONResponse{
		Body:    openapi.RemoteDropFilePage{Items: each(rows, remoteDropFileOf), Next: text(next)},
		Headers: ListRemoteDropFiles200ResponseHeaders{Link: nextLink(ctx, text(next))},
	}, nil
}

// ListRemoteDropManifests lists the XML that Kaltura read from its own folders.
func (s *Server) ListRemoteDropManifests(ctx context.Context, r ListRemoteDropManifestsRequestObject) (ListRemoteDropManifestsResponseObject, error) {
	rows, next, err := s.drops.RemoteManifests(ctx, actorOf(ctx), deref(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	items := each(rows, func(m gateway.RemoteManifest) openapi.RemoteDropManifest {
		return openapi.RemoteDropManifest{
			ID: m.ID, Name: m.Name, State: openapi.DropState(m.State), KalturaStatus: m.Status, Text: text(m.Text), Items: m.Items, CreatedAt: m.CreatedAt,
		}
	})
	return ListRemoteDropManifests200JSONResponse{
		Body:    openapi.RemoteDropManifestPage{Items: items, Next: text(next)},
		Headers: ListRemoteDropManifests200ResponseHeaders{Link: nextLink(ctx, text(next))},
	}, nil
}

func remoteDropFileOf(f gateway.RemoteDropFile) openapi.RemoteDropFile {
	return openapi.RemoteDropFile{
		ID: f.ID, FolderID: f.FolderID, Name: f.Name, Size: f.Size, State: openapi.DropState(f.State), KalturaStatus: f.Status,
		KalturaCode: text(f.ErrorCode), Text: text(f.ErrorText), EntryID: text(f.EntryID), CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt,
		Actions: each(f.Actions(), func(a gateway.DropAction) openapi.RemoteDropFileAction { return openapi.RemoteDropFileAction(a) }),
	}
}

// ChangeRemoteDropFile does something with a file of a folder that Kaltura keeps itself.
func (s *Server) ChangeRemoteDropFile(ctx context.Context, r ChangeRemoteDropFileRequestObject) (ChangeRemoteDropFileResponseObject, error) {
	f, err := s.drops.ChangeRemoteFile(ctx, actorOf(ctx), r.ID, r.File, gateway.DropAction(r.Action))
	if err != nil {
		return nil, err
	}
	return ChangeRemoteDropFile200JSONResponse(remoteDropFileOf(f)), nil
}
