package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// runXML goes on with an XML job: items first, then waiting until their entries are settled.
func (b *batch) runXML(ctx context.Context, job Job) error {
	t := b.Records.Kaltura()
	if job.Status == jobAlmostDone {
		return b.closeXML(ctx, job)
	}
	root, err := readXML(job.Input)
	if err != nil {
		return b.failXML(ctx, job, fmt.Sprintf("Error: Could not load xml [%d], %s [%s]", job.Number, err, job.Input))
	}
	if problem := checkXML(root); problem != "" {
		return b.failXML(ctx, job, fmt.Sprintf("Error: Validate files failed on job [%d], %s", job.Number, problem))
	}
	var items []*node
	for _, c := range root.all("channel") {
		items = append(items, c.all("item")...)
	}
	failed := 0
	for i, item := range items {
		if i >= len(job.Results) { // else an earlier try has done it
			work := fmt.Sprintf("xml/%d/%d/%d", job.Partner, job.Number, i)
			result, err := b.item(ctx, item, work)
			if err != nil {
				return err
			}
			job.Results = append(job.Results, result)
			if err := t.Jobs().Update(ctx, &job); err != nil {
				return err
			}
		}
		if job.Results[i].Error != "" {
			failed++
		}
	}
	if failed == len(items) {
		if job.Log, err = b.log(ctx, job); err != nil {
			return err
		}
		return b.failXML(ctx, job, "Error: None of the uploaded items were processed succsessfuly") // sic
	}
	job.Status, job.Objects = jobAlmostDone, int64(len(items)-failed)
	job.Message = "Waiting for objects closure"
	job.Description = "\nParsing file [DropFolderXmlBulkUploadEngine]\nWaiting for objects closure"
	return b.commit(ctx, func(tx Tx) error {
		if err := b.handled(ctx, tx.Kaltura(), job); err != nil {
			return err
		}
		return tx.Kaltura().Jobs().Update(ctx, &job)
	})
}

// failXML ends a job of which nothing came.
func (b *batch) failXML(ctx context.Context, job Job, message string) error {
	message = xmlEscape.Replace(strings.ReplaceAll(clean(message), "\x00", ""))
	job.Status, job.Message, job.Description = jobFailed, message, "\n"+message
	return b.commit(ctx, func(tx Tx) error {
		if err := b.handled(ctx, tx.Kaltura(), job); err != nil {
			return err
		}
		return tx.Kaltura().Jobs().Update(ctx, &job)
	})
}

// handled moves the files of a job on.
func (b *batch) handled(ctx context.Context, t Tables, job Job) error {
	lead, err := t.DropFolderFiles().Get(ctx, job.Partner, fmt.Sprint(job.Lead))
	if err != nil {
		return err
	}
	rows, err := led(ctx, t, lead)
	if err != nil {
		return err
	}
	entries := map[string]string{}
	for _, r := range job.Results {
		if r.File != "" {
			entries[r.File] = r.EntryID
		}
	}
	for _, f := range append(rows, lead) {
		if f.Status != fileProcessing {
			continue
		}
		f.Status, f.EntryID = fileHandled, entries[f.FileName]
		if job.Status == jobFailed {
			f.Status, f.ErrorCode, f.ErrorText = fileErrorHandling, xmlError+"ERROR_IN_BULK_UPLOAD", "The XML file could not be ingested"
		}
		if err := t.DropFolderFiles().Update(ctx, &f); err != nil {
			return err
		}
	}
	return nil
}

// closeXML ends a job when the media of its entries are settled.
func (b *batch) closeXML(ctx context.Context, job Job) error {
	status := int64(jobFinished)
	message := "Finished successfully"
	for _, r := range job.Results {
		if r.Error != "" {
			status, message = jobPartly, "Finished, but with some errors"
			continue
		}
		e, err := b.Records.Kaltura().Entries().Get(ctx, job.Partner, r.EntryID)
		if missing(err) {
			continue // deleted, maybe by this very file
		}
		if err != nil {
			return err
		}
		if e.Status == entryImport || e.Status == entryPreconvert {
			return nil // not yet
		}
	}
	var err error
	if job.Log, err = b.log(ctx, job); err != nil {
		return err
	}
	job.Status, job.Message = status, message
	job.Description += "\nUnclosed entries remaining: 0\n" + message
	return b.Records.Kaltura().Jobs().Update(ctx, &job)
}

// item does what one item asks. What is wrong with it goes into the result; an error means that a
// later try may do better.
func (b *batch) item(ctx context.Context, item *node, work string) (JobResult, error) {
	r := JobResult{Action: item.val("action"), EntryID: item.val("entryId")}
	c, err := b.as(ctx, "media", item.val("userId"))
	if err != nil {
		return r, err
	}
	ref := item.val("referenceId")
	if r.EntryID == "" && ref != "" && r.Action != "add" {
		found, err := c.tables().Entries().Find(c, Find{Partner: c.partner(), Where: in("reference_id", ref), Limit: 1, Order: []Order{{Column: "created_at"}}})
		if err != nil {
			return r, err
		}
		if len(found) > 0 {
			r.EntryID = found[0].ID
		}
	}
	if r.Action == "" {
		r.Action = map[bool]string{true: "add", false: "update"}[r.EntryID == ""]
	}
	switch r.Action {
	case "add":
		r.EntryID = ""
		err = b.itemAdd(c, item, &r, work)
	case "update":
		err = b.itemUpdate(c, item, &r, work)
	case "delete":
		if err = b.itemExists(c, item, r); err == nil {
			c.args = args{"entryId": r.EntryID}
			_, err = c.entryDelete()
		}
	}
	var refused *fault
	var wrong itemError
	switch {
	case errors.As(err, &refused):
		r.Error = refused.message
	case errors.As(err, &wrong):
		r.Error = string(wrong)
	case errors.Is(err, fs.ErrNotExist):
		r.Error = "The file cannot be read"
	case err != nil:
		return r, err
	}
	return r, nil
}

// itemError is what is wrong with an item, or with a whole file.
type itemError string

func (e itemError) Error() string { return string(e) }

// itemExists tells whether the entry that an item means is there.
func (b *batch) itemExists(c *call, item *node, r JobResult) error {
	if r.EntryID == "" {
		return itemError(fmt.Sprintf("Reference id [%s] not found", item.val("referenceId")))
	}
	_, err := c.tables().Entries().Get(c, c.partner(), r.EntryID)
	if missing(err) {
		return itemError(fmt.Sprintf("Entry id [%s] not found", r.EntryID))
	}
	return err
}

func (b *batch) itemAdd(c *call, item *node, r *JobResult, work string) error {
	name := item.val("name")
	switch kind := item.val("type"); {
	case kind == "":
		return itemError("entry type must be set to a value on item [" + name + "] ") // the blank is the original's
	case kind != "1":
		return itemError("entry type [" + kind + "] is not kept by this server, on item [" + name + "] ")
	}
	a, err := b.fields(c, item)
	if err != nil {
		return err
	}
	a["mediaType"] = item.val("media", "mediaType")
	if a["mediaType"] == "" {
		a["mediaType"] = fmt.Sprint(mediaVideo)
	}
	if template := item.val("templateEntryId"); template != "" {
		a["templateEntryId"] = template
	}
	e, err := b.newEntry(c, a, entryIDOf(work))
	if err != nil {
		return err
	}
	r.EntryID = e.ID
	return b.itemContent(item, r, func(name string, size int64, sum node) error { return b.take(c, &e, work, name, size, sum) })
}

func (b *batch) itemUpdate(c *call, item *node, r *JobResult, work string) error {
	if err := b.itemExists(c, item, *r); err != nil {
		return err
	}
	a, err := b.fields(c, item)
	if err != nil {
		return err
	}
	c.args = args{"entryId": r.EntryID, "mediaEntry": map[string]any(a)}
	if _, err := c.entryUpdate(); err != nil {
		return err
	}
	e, err := c.tables().Entries().Get(c, c.partner(), r.EntryID)
	if err != nil {
		return err
	}
	return b.itemContent(item, r, func(name string, size int64, sum node) error { return b.replace(c, &e, work, name, size, sum) })
}

// itemContent finds the file that an item names as its source.
func (b *batch) itemContent(item *node, r *JobResult, take func(name string, size int64, sum node) error) error {
	assets := item.get("contentAssets")
	if assets == nil || len(assets.all("content")) == 0 {
		return nil
	}
	content := assets.get("content")
	switch f := content.attrs["flavorParamsId"]; {
	case len(assets.all("content")) > 1, f != "" && f != "0", content.attrs["flavorParams"] != "", content.attrs["assetId"] != "":
		return itemError("Only the source is taken from files: the other flavors are made by this server")
	}
	file := content.get("dropFolderFileContentResource")
	if file == nil {
		return itemError("Resource type not supported")
	}
	var sum node
	if s := file.get("fileChecksum"); s != nil {
		sum = *s
	}
	r.File = file.attrs["filePath"]
	err := take(r.File, number(file.val("fileSize")), sum)
	if err != nil && strings.HasPrefix(err.Error(), xmlError) {
		return itemError(err.Error())
	}
	return err
}

// fields gives what an item says of an entry in the form of an API call.
func (b *batch) fields(c *call, item *node) (args, error) {
	a := args{}
	for _, name := range []string{"name", "description", "userId", "referenceId", "partnerData", "accessControlId", "conversionProfileId"} {
		if item.get(name) != nil {
			a[name] = item.val(name)
		}
	}
	if name := item.val("conversionProfile"); name != "" {
		p := findProfileByName(name)
		if p == nil {
			return a, itemError("conversion profile [" + name + "] not defined")
		}
		a["conversionProfileId"] = fmt.Sprint(p.id)
	}
	if name := item.val("accessControl"); name != "" {
		found, err := c.tables().AccessControls().Find(c, Find{Partner: c.partner(), Where: in("system_name", name), Limit: 1})
		if err != nil {
			return a, err
		}
		if len(found) == 0 {
			return a, itemError("access control [" + name + "] not defined")
		}
		a["accessControlId"] = found[0].ID
	}
	join := func(list, element, field string) {
		if n := item.get(list); n != nil {
			var out []string
			for _, s := range n.all(element) {
				out = append(out, strings.TrimSpace(s.text))
			}
			if len(out) > 0 || len(n.sub) == 0 {
				a[field] = strings.Join(out, ",")
			}
		}
	}
	if item.get("partnerSortData") != nil {
		a["partnerSortValue"] = item.val("partnerSortData")
	}
	for _, name := range []string{"startDate", "endDate"} {
		if text := item.val(name); text != "" {
			at, err := time.Parse("2006-01-02T15:04:05", text[:min(len(text), 19)]) // a zone is not looked at, as in the original
			if err != nil {
				return a, itemError(name + " [" + text + "] is no date")
			}
			a[name] = fmt.Sprint(at.Unix())
		}
	}
	if ref := item.val("parentReferenceId"); ref != "" {
		found, err := c.tables().Entries().Find(c, Find{Partner: c.partner(), Where: in("reference_id", ref), Limit: 1, Order: []Order{{Column: "created_at"}}})
		if err != nil {
			return a, err
		}
		if len(found) == 0 {
			return a, itemError(fmt.Sprintf("Reference id [%s] not found", ref))
		}
		a["parentEntryId"] = found[0].ID
	}
	for _, name := range []string{"entitledUsersEdit", "entitledUsersPublish", "entitledUsersView"} {
		if join(name, "user", name); strings.Contains(a.str(name), "{existing_value}") {
			delete(a, name)
		}
	}
	join("tags", "tag", "tags")
	join("categories", "category", "categories")
	join("categories", "categoryId", "categoriesIds")
	return a, nil
}

// log writes the XML that tells what became of the items.
func (b *batch) log(ctx context.Context, job Job) (string, error) {
	var out strings.Builder
	out.WriteString(`<?xml version="1.0"?>` + "\n" +
		`<mrss xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="2.0"><channel>`)
	for _, r := range job.Results {
		out.WriteString("<item>")
		if r.Error != "" {
			out.WriteString("<result>")
			xmlElement(&out, "errorDescription", r.Error)
			out.WriteString("</result>")
		} else {
			out.WriteString("<result/>")
		}
		xmlElement(&out, "action", r.Action)
		if r.EntryID != "" && r.Error == "" {
			xmlElement(&out, "entryId", r.EntryID)
			e, err := b.Records.Kaltura().Entries().Get(ctx, job.Partner, r.EntryID)
			if err != nil && !missing(err) {
				return "", err
			}
			if err == nil {
				if err := b.logEntry(ctx, &out, e); err != nil {
					return "", err
				}
			}
		}
		out.WriteString("</item>")
	}
	out.WriteString("</channel></mrss>\n")
	return out.String(), nil
}

func (b *batch) logEntry(ctx context.Context, out *strings.Builder, e Entry) error {
	write := func(pairs ...any) {
		for i := 0; i < len(pairs); i += 2 {
			xmlElement(out, pairs[i].(string), pairs[i+1])
		}
	}
	attr := func(pairs ...any) {
		for i := 0; i < len(pairs); i += 2 {
			out.WriteString(" " + pairs[i].(string) + `="`)
			writeXML(out, pairs[i+1], false)
			out.WriteString(`"`)
		}
	}
	tags := func(list string) {
		out.WriteString("<tags>")
		for tag := range strings.SplitSeq(list, ",") { // blanks after commas stay, as in the original
			if tag != "" {
				xmlElement(out, "tag", tag)
			}
		}
		out.WriteString("</tags>")
	}
	if e.ReferenceID != "" {
		write("referenceID", e.ReferenceID)
	}
	write("createdAt", e.CreatedAt.Unix(), "updatedAt", e.UpdatedAt.Unix(), "title", e.Name, "type", e.Type, "licenseType", -1,
		"userId", e.UserID, "name", e.Name, "status", e.Status, "description", e.Description)
	out.WriteString("<thumbnailUrl")
	attr("url", b.viewEntry(e).get("thumbnailUrl"))
	out.WriteString("/>")
	tags(e.Tags)
	for full := range strings.SplitSeq(e.Categories, ",") {
		if full != "" {
			out.WriteString("<category")
			attr("name", full[strings.LastIndexByte(full, '>')+1:])
			out.WriteString(">")
			writeXML(out, full, false)
			out.WriteString("</category>")
		}
	}
	if e.PartnerData == "" {
		out.WriteString("<partnerData/>")
	} else {
		write("partnerData", e.PartnerData)
	}
	write("accessControlId", e.AccessControl, "conversionProfileId", e.ConversionProfile)
	out.WriteString("<media>")
	write("mediaType", e.MediaType, "duration", e.DurationMS, "flavorParamsIds", e.FlavorParams, "plays", 0, "views", 0)
	out.WriteString("</media>")
	flavors, err := b.flavors(ctx, e)
	if err != nil {
		return err
	}
	for _, f := range flavors {
		out.WriteString("<content")
		attr("url", b.serveURL(e, f, false), "flavorAssetId", f.ID, "isSource", fmt.Sprint(f.Params == 0), "containerFormat", f.Container,
			"extension", f.FileExt, "createdAt", f.CreatedAt.UTC().Format("2006-01-02 15:04:05"), "flavorParamsId", f.Params,
			"flavorParamsName", paramsOf(f.Params).name, "format", f.Container, "videoBitrate", f.Bitrate, "videoCodec", f.Codec,
			"audioBitrate", 0, "audioCodec", "", "frameRate", f.FrameRate, "height", f.Height, "width", f.Width, "fileSize", f.Size)
		out.WriteString(">")
		tags(f.Tags)
		out.WriteString("</content>")
	}
	return nil
}
