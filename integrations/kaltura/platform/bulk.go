package platform

import (
	"fmt"
	"time"
)

// bulkActions are the actions on XML jobs, which go by an old and a new name.
func bulkActions(service string) []*action {
	return []*action{
		{service: service, name: "get", who: adminOnly, operators: true, needs: []string{"id"}, run: (*call).bulkGet},
		{service: service, name: "list", who: adminOnly, operators: true, run: (*call).bulkList},
		{service: service, name: "serve", who: adminOnly, operators: true, needs: []string{"id"}, run: (*call).bulkServe},
		{service: service, name: "serveLog", who: adminOnly, operators: true, needs: []string{"id"}, run: (*call).bulkServeLog},
	}
}

// viewJob shows an XML job. The addresses carry the caller's own session, as in the original.
func (c *call) viewJob(j Job) *object {
	address := func(action string) string {
		return fmt.Sprintf("%s/api_v3/service/bulkUpload/action/%s/id/%d/ks/%s", c.BaseURL, action, j.Number, c.ks.text)
	}
	var objects any
	if j.Objects != 0 {
		objects = j.Objects
	}
	return newObject("KalturaBulkUpload").
		set("id", j.Number).set("uploadedBy", "Drop Folder").null("uploadedByUserId").set("uploadedOn", j.CreatedAt.Unix()).
		null("numOfEntries").set("status", j.Status).set("logFileUrl", address("serveLog")).set("csvFileUrl", address("serve")).
		set("bulkFileUrl", address("serve")).set("bulkUploadType", j.Kind).null("results").set("error", orNil(j.Message)).
		null("errorType", "errorNumber").set("fileName", j.FileName).set("description", orNil(j.Description)).
		set("numOfObjects", objects).set("bulkUploadObjectType", "1")
}

func (c *call) job() (Job, error) {
	id := c.args.str("id")
	j, err := c.tables().Jobs().Get(c, c.partner(), id)
	if missing(err) || err == nil && j.Kind != jobXML {
		return j, refuse("BULK_UPLOAD_NOT_FOUND", "ID", id)
	}
	return j, err
}

func (c *call) bulkGet() (any, error) {
	j, err := c.job()
	if err != nil {
		return nil, err
	}
	return c.viewJob(j), nil
}

func (c *call) bulkList() (any, error) {
	f := c.args.tree("bulkUploadFilter")
	where := c.numbers([]Cond{in("kind", jobXML)}, f, "status", "status")
	where = c.times(where, f, "uploadedOn", "created_at")
	rows, total, err := find(c, c.tables().Jobs(), where, nil, Order{Column: "number", Desc: true})
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(rows))
	for _, j := range rows {
		out = append(out, c.viewJob(j))
	}
	return list("KalturaBulkUploadListResponse", total, out), nil
}

// bulkServe gives the XML as it came.
func (c *call) bulkServe() (any, error) {
	j, err := c.job()
	if err != nil {
		return nil, err
	}
	return &document{kind: "text/plain;charset=UTF-8", keep: 24 * time.Hour, body: string(j.Input)}, nil
}

// bulkServeLog gives the XML of results, or a sentence when there is none (yet).
func (c *call) bulkServeLog() (any, error) {
	j, err := c.job()
	if err != nil {
		return nil, err
	}
	if j.Log == "" {
		return &document{
			kind: "text/html; charset=UTF-8",
			body: `<?xml version="1.0" encoding="UTF-8"?><mrss><error>Log file is not ready: ` + j.Message + `</error></mrss>`,
		}, nil
	}
	return &document{kind: "text/xml; charset=UTF-8", body: j.Log}, nil
}
