package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"isthmus/openapi"
)

type foldersCommand struct {
	List       foldersList       `cmd:"" default:"withargs" help:"List the hub's drop folders with their health."`
	Show       foldersShow       `cmd:"" help:"Show one drop folder."`
	Files      foldersFiles      `cmd:"" help:"List files of drop folders with their states, and what to do about those that are stuck."`
	Activate   foldersActivate   `cmd:"" help:"Make a drop folder with a credential that can send into it; repeating it makes nothing twice."`
	Deactivate foldersDeactivate `cmd:"" help:"Take a folder's credential away; the folder goes on."`
	Pause      foldersPause      `cmd:"" help:"Have a folder take no more files."`
	Resume     foldersResume     `cmd:"" help:"Have a folder take files again."`
	Scan       foldersScan       `cmd:"" help:"Have the server look at a folder now."`
	Retry      foldersRetry      `cmd:"" help:"Try files again."`
}

// folderPrefix begins the ids of drop folders.
const folderPrefix = "dfo_"

// folder finds a drop folder by its id or name. A credential that may only send into one folder needs no list for
// that: its id is enough.
func (s *session) folder(ctx context.Context, name string) (*openapi.DropFolder, error) {
	if strings.HasPrefix(name, folderPrefix) {
		r, err := s.api.GetDropFolderWithResponse(ctx, s.hub, name)
		if err != nil {
			return nil, unreachable(err)
		}
		return answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
	}
	var found []openapi.DropFolder
	p := openapi.ListDropFoldersParams{Q: &name}
	for {
		r, err := s.api.ListDropFoldersWithResponse(ctx, s.hub, &p)
		if err != nil {
			return nil, unreachable(err)
		}
		page, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return nil, err
		}
		for _, f := range page.Items {
			if f.Name == name {
				return &f, nil
			}
			if strings.EqualFold(f.Name, name) {
				found = append(found, f)
			}
		}
		if page.Next == nil {
			break
		}
		p.Cursor = page.Next
	}
	if len(found) == 1 {
		return &found[0], nil
	}
	return nil, fail(exitRefused, "There is no drop folder "+name+" in the hub "+s.hubName+".", `"isthmusctl folders" lists them.`)
}

type foldersList struct {
	Query string `help:"Only what these words are found in." short:"s" name:"search"`
	Limit int    `help:"At most so many." short:"n" default:"100"`
}

// Run prints the folders.
func (c *foldersList) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	return list(a, c.Limit, row{"FOLDER", "WAY IN", "HEALTH", "READY", "UNDER WAY", "STUCK", "NAME"}, func(cursor *string, limit int) ([]openapi.DropFolder, *string, error) {
		r, err := s.api.ListDropFoldersWithResponse(ctx, s.hub, &openapi.ListDropFoldersParams{Q: words(c.Query), Cursor: cursor, Limit: &limit})
		if err != nil {
			return nil, nil, unreachable(err)
		}
		p, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return nil, nil, err
		}
		return p.Items, p.Next, nil
	}, func(f openapi.DropFolder) row {
		ready, busy, stuck := folderCounts(f)
		return row{f.ID, string(f.Source), folderHealth(f), strconv.FormatInt(ready, 10), strconv.FormatInt(busy, 10), strconv.FormatInt(stuck, 10), f.Name}
	})
}

// folderCounts are the files that are done, that something goes on with, and that nothing does.
func folderCounts(f openapi.DropFolder) (ready, busy, stuck int64) {
	for state, n := range f.States {
		switch openapi.DropState(state) {
		case openapi.DropStateReady, openapi.DropStateDeletionDue:
			ready += n.Files
		case openapi.DropStateQuarantined:
			stuck += n.Files
		case openapi.DropStateDeleted, openapi.DropStateGone, openapi.DropStateIgnored:
		default:
			busy += n.Files
		}
	}
	return ready, busy, stuck
}

func folderHealth(f openapi.DropFolder) string {
	switch {
	case f.Paused:
		return "paused"
	case f.Stopped != nil:
		return "stopped"
	case f.Health.State == openapi.DropHealthStateUnseen && f.Source == openapi.DropSourceKindUploads:
		return "ok"
	}
	return string(f.Health.State)
}

type oneFolder struct {
	Folder string `arg:"" help:"Id or name of the folder."`
}

// shown prints a folder and what became of it.
func (o oneFolder) shown(a *app, f *openapi.DropFolder, text string) error {
	if a.JSON {
		return a.printLine(f)
	}
	fmt.Fprintf(a.out, "%s %s %s\n", f.ID, tidy(f.Name), text)
	return nil
}

// open finds the folder.
func (o oneFolder) open(ctx context.Context, a *app) (*session, *openapi.DropFolder, error) {
	s, err := a.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.folder(ctx, o.Folder)
	return s, f, err
}

type foldersShow struct{ oneFolder }

// Run prints a folder.
func (c *foldersShow) Run(ctx context.Context, a *app) error {
	_, f, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printLine(f)
	}
	say := func(what, text string) {
		if text != "" {
			fmt.Fprintf(a.out, "%-12s %s\n", what, tidy(text))
		}
	}
	say("Name", f.Name)
	say("Id", f.ID)
	say("Description", f.Description)
	say("Way in", strings.TrimSpace(string(f.Source)+" "+f.Path))
	say("Takes", string(f.Handler)+" "+strings.Join(f.Patterns, " "))
	say("Match", string(f.Match))
	say("Delete", string(f.Delete))
	say("Health", folderHealth(*f))
	for _, e := range []*openapi.ItemError{f.Stopped, f.Health.Error} {
		if e != nil {
			say("", e.Message+" "+deref(e.NextStep))
		}
	}
	states := make([]string, 0, len(f.States))
	for state, n := range f.States {
		states = append(states, fmt.Sprintf("%s %d", state, n.Files))
	}
	slices.Sort(states)
	say("Files", strings.Join(states, ", "))
	return nil
}

type foldersFiles struct {
	Folder string   `help:"Of one folder, by id or name." placeholder:"FOLDER"`
	State  []string `help:"In this state, such as quarantined; several with commas." placeholder:"STATE"`
	Query  string   `help:"Only what these words are found in." short:"s" name:"search"`
	Limit  int      `help:"At most so many." short:"n" default:"100"`
}

// Run prints files.
func (c *foldersFiles) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	p := openapi.ListDropFilesParams{Q: words(c.Query)}
	if c.Folder != "" {
		f, err := s.folder(ctx, c.Folder)
		if err != nil {
			return err
		}
		p.Folder = &f.ID
	}
	if len(c.State) > 0 {
		states := make([]openapi.DropState, len(c.State))
		for i, state := range c.State {
			states[i] = openapi.DropState(state)
		}
		p.State = &states
	}
	return list(a, c.Limit, row{"FILE", "STATE", "SIZE", "ENTRY", "NAME", "WHY"}, func(cursor *string, limit int) ([]openapi.DropFile, *string, error) {
		p.Cursor, p.Limit = cursor, &limit
		r, err := s.api.ListDropFilesWithResponse(ctx, s.hub, &p)
		if err != nil {
			return nil, nil, unreachable(err)
		}
		page, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.Next, nil
	}, func(f openapi.DropFile) row {
		return row{f.ID, string(f.State), bytesText(f.Size), deref(f.EntryID), f.Name, strings.TrimSpace(deref(f.Text) + " " + deref(f.NextStep))}
	})
}

type foldersActivate struct {
	Name      string   `arg:"" help:"Name of the folder; it is made when there is none."`
	Handler   string   `help:"content: every file is media; xml: only what manifests name; both." enum:",content,xml,both" default:""`
	Match     string   `help:"add, match_or_add or match_or_wait." enum:",add,match_or_add,match_or_wait" default:""`
	Directory string   `help:"Also what lies in this directory below the server's drop root, for admins of the hub." placeholder:"PATH"`
	Rename    string   `help:"Of the directory: names that are still written, such as *.part." placeholder:"PATTERN"`
	Marker    string   `help:"Of the directory: ending of an empty file that says that the other is whole, such as .done." placeholder:"ENDING"`
	Tags      []string `help:"Tags of the entries." name:"tag"`
	Save      string   `help:"Write the credential to this new file, for --key-file." type:"path" placeholder:"FILE"`
}

// Run makes the folder with its credential.
func (c *foldersActivate) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	var save *os.File
	if c.Save != "" { // before the secret is made, which is shown once
		if save, err = os.OpenFile(c.Save, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			text, next := "The credential cannot be kept: "+err.Error()+".", "Name a file that can be written."
			if errors.Is(err, fs.ErrExist) {
				text, next = c.Save+" is there already.", "Name a new file; a credential is not overwritten."
			}
			return fail(exitUsage, text, next)
		}
	}
	v, err := c.activate(ctx, s)
	if err == nil && save != nil {
		err = keepCredential(save, s.server, v)
	}
	if err != nil {
		if save != nil {
			_ = save.Close()
			_ = os.Remove(c.Save)
		}
		return err
	}
	if a.JSON {
		return a.printLine(v)
	}
	did := "was there already."
	if v.Created {
		did = "was made."
	}
	fmt.Fprintf(a.out, "%s %s %s\n", v.Folder.ID, tidy(v.Folder.Name), did)
	switch {
	case c.Save != "":
		fmt.Fprintf(a.out, "Send with: isthmusctl --key-file %s send --folder %s FILE…\n", shellWord(c.Save), v.Folder.ID)
	case v.Secret != nil:
		fmt.Fprintf(a.out, "ISTHMUS_URL=%s\nISTHMUS_CLIENT_ID=%s\nISTHMUS_CLIENT_SECRET=%s\n", s.server, deref(v.ClientID), *v.Secret)
		a.notice("The secret is shown this once. Send with: isthmusctl send --folder %s FILE…", v.Folder.ID)
	default:
		fmt.Fprintf(a.out, "ISTHMUS_CLIENT_ID=%s\n", deref(v.ClientID))
		a.notice("Its secret was shown when it was made. When it is lost, deactivate the folder and activate it again.")
	}
	return nil
}

func (c *foldersActivate) activate(ctx context.Context, s *session) (*openapi.DropActivation, error) {
	in := openapi.DropFolderInput{Name: c.Name}
	if c.Handler != "" {
		in.Handler = ptr(openapi.DropHandler(c.Handler))
	}
	if c.Match != "" {
		in.Match = ptr(openapi.DropMatch(c.Match))
	}
	if len(c.Tags) > 0 {
		in.Origin = &openapi.DropOrigin{Tags: &c.Tags}
	}
	if c.Directory != "" {
		in.Source, in.Path = ptr(openapi.DropSourceKindDirectory), &c.Directory
		in.Complete = &openapi.DropComplete{Rename: words(c.Rename), Marker: words(c.Marker)}
	}
	r, err := s.api.ActivateDropFolderWithResponse(ctx, s.hub, nil, in)
	if err != nil {
		return nil, unreachable(err)
	}
	return answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
}

// keepCredential writes what --key-file reads.
func keepCredential(to *os.File, server string, v *openapi.DropActivation) error {
	if v.Secret == nil {
		return fail(exitRefused, "The folder has a credential, whose secret was shown when it was made.", "Deactivate the folder and activate it again.")
	}
	b, err := json.Marshal(map[string]string{"base_url": server, "client_id": deref(v.ClientID), "client_secret": *v.Secret})
	if err == nil {
		_, err = to.Write(append(b, '\n'))
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fail(exitFailed, "The credential cannot be kept: "+err.Error()+".", "Free some room; then deactivate the folder and activate it again.")
	}
	return nil
}

type foldersDeactivate struct{ oneFolder }

// Run takes the credential away.
func (c *foldersDeactivate) Run(ctx context.Context, a *app) error {
	s, f, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	r, err := s.api.DeactivateDropFolderWithResponse(ctx, s.hub, f.ID, nil)
	if err != nil {
		return unreachable(err)
	}
	if f, err = answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse); err != nil {
		return err
	}
	return c.shown(a, f, "has no credential any more; people can still send into it.")
}

type foldersPause struct{ oneFolder }

// Run pauses the folder.
func (c *foldersPause) Run(ctx context.Context, a *app) error {
	s, f, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	r, err := s.api.PauseDropFolderWithResponse(ctx, s.hub, f.ID, nil)
	if err != nil {
		return unreachable(err)
	}
	if f, err = answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse); err != nil {
		return err
	}
	return c.shown(a, f, "is paused.")
}

type foldersResume struct{ oneFolder }

// Run resumes the folder.
func (c *foldersResume) Run(ctx context.Context, a *app) error {
	s, f, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	r, err := s.api.ResumeDropFolderWithResponse(ctx, s.hub, f.ID, nil)
	if err != nil {
		return unreachable(err)
	}
	if f, err = answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse); err != nil {
		return err
	}
	return c.shown(a, f, "takes files.")
}

type foldersScan struct{ oneFolder }

// Run has the folder looked at.
func (c *foldersScan) Run(ctx context.Context, a *app) error {
	s, f, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	r, err := s.api.ScanDropFolderWithResponse(ctx, s.hub, f.ID, nil)
	if err != nil {
		return unreachable(err)
	}
	if f, err = answer(r.JSON202, r.ApplicationProblemJSONDefault, r.HTTPResponse); err != nil {
		return err
	}
	return c.shown(a, f, "is looked at.")
}

type foldersRetry struct {
	Files []string `arg:"" help:"Ids of the files, as folders files shows them."`
}

// Run tries files again.
func (c *foldersRetry) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	done, failed := 0, 0
	for batch := range slices.Chunk(c.Files, 500) {
		r, err := s.api.ChangeDropFilesWithResponse(ctx, s.hub, nil, openapi.DropBulkInput{Action: openapi.DropBulkInputActionRetry, Ids: &batch})
		if err != nil {
			return unreachable(err)
		}
		all, err := answer(r.JSON200, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		if err != nil {
			return err
		}
		for _, one := range all.Results {
			done++
			if one.Error != nil {
				done, failed = done-1, failed+1
			}
			switch {
			case a.JSON:
				if err := a.printLine(one); err != nil {
					return err
				}
			case one.Error != nil:
				fmt.Fprintln(a.err, tidy(one.ID+": "+one.Error.Message+" "+deref(one.Error.NextStep)))
			default:
				fmt.Fprintln(a.out, tidy(one.ID+" is "+string(deref(one.State))+"."))
			}
		}
	}
	switch {
	case failed > 0 && done > 0:
		return told(exitSome)
	case failed > 0:
		return told(exitRefused)
	}
	return nil
}
