package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"isthmus/transfer"
)

const (
	pickLife    = time.Hour
	mostPicks   = 256
	mostEntries = 2000  // of one folder's list
	mostFiles   = 10000 // of one job, as the server's API takes at once
)

// agentPicks is what pages may choose from: what the person chooses in a dialog on their own screen, and
// the folders that they opened to pages. Pages get names, sizes and marks; paths stay here.
type agentPicks struct {
	folders []openFolder
	dialogs *fileDialog
	now     func() time.Time

	mu    sync.Mutex
	picks map[string]pick
}

// openFolder is a folder that the person opened to pages.
type openFolder struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	path string
}

// pick is something chosen, until a job takes it.
type pick struct {
	server string
	files  []queueFile
	view   pickView
	until  time.Time
}

// pickView is what a page sees of it.
type pickView struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Folder bool   `json:"folder"`
	Files  int    `json:"files"`
	Size   int64  `json:"size"`
}

// folderEntry is one line of a folder's list.
type folderEntry struct {
	Name     string    `json:"name"`
	Folder   bool      `json:"folder"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified_at"`
}

type folderList struct {
	Entries   []folderEntry `json:"entries"`
	Truncated bool          `json:"truncated"`
}

// newAgentPicks opens folders to pages; their ids stay the same over restarts.
func newAgentPicks(folders []string, dialogs *fileDialog) (*agentPicks, error) {
	p := &agentPicks{dialogs: dialogs, now: time.Now, picks: map[string]pick{}}
	for _, f := range folders {
		// The real path, so that what the page's paths are compared with has no links in it.
		abs, err := filepath.Abs(f)
		if err == nil {
			abs, err = filepath.EvalSymlinks(abs)
		}
		if err != nil {
			return nil, fail(exitUsage, "The folder "+f+" cannot be opened to pages: "+reason(err)+".", "Check its name.")
		}
		id := sha256.Sum256([]byte(abs))
		p.folders = append(p.folders, openFolder{hex.EncodeToString(id[:6]), filepath.Base(abs), abs})
	}
	return p, nil
}

func (p *agentPicks) folder(id string) (openFolder, error) {
	for _, f := range p.folders {
		if f.ID == id {
			return f, nil
		}
	}
	return openFolder{}, errOutside
}

// list gives what lies in an open folder, or in one below it. Hidden names and what leads out are left out.
func (p *agentPicks) list(id, path string) (folderList, error) {
	var out folderList
	f, err := p.folder(id)
	if err != nil {
		return out, err
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return out, openProblem(err)
	}
	defer func() { _ = root.Close() }() // only read
	dir, err := root.Open(inside(path))
	if err != nil {
		return out, openProblem(err)
	}
	defer func() { _ = dir.Close() }() // only read
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return out, openProblem(err)
	}
	slices.Sort(names)
	out.Entries = []folderEntry{}
	for _, name := range names {
		// By the root, not the folder: a link is shown as what it leads to if that lies inside.
		st, err := root.Stat(filepath.Join(inside(path), name))
		if strings.HasPrefix(name, ".") || err != nil || !st.IsDir() && !st.Mode().IsRegular() {
			continue
		}
		if len(out.Entries) == mostEntries {
			out.Truncated = true
			break
		}
		out.Entries = append(out.Entries, folderEntry{textName(name), st.IsDir(), st.Size(), st.ModTime().UTC()})
	}
	return out, nil
}

// choose takes files and folders of an open folder.
func (p *agentPicks) choose(server, id string, paths []string) ([]pickView, error) {
	f, err := p.folder(id)
	if err != nil {
		return nil, err
	}
	return p.each(server, paths, func(path string) ([]queueFile, bool, error) { return collectInside(f, inside(path)) })
}

// choosePaths takes whole paths, as a person pastes them; they must lie in an open folder.
func (p *agentPicks) choosePaths(server string, paths []string) ([]pickView, error) {
	return p.each(server, paths, func(path string) ([]queueFile, bool, error) {
		path = strings.Trim(strings.TrimSpace(path), `"'`) // as file managers copy them
		if !filepath.IsAbs(path) {
			return nil, false, badRequest("This is not a whole path.")
		}
		// A path by way of a link is the same place.
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		for _, f := range p.folders {
			if rel, err := filepath.Rel(f.path, path); err == nil && filepath.IsLocal(rel) {
				return collectInside(f, rel)
			}
		}
		return nil, false, errOutside
	})
}

// dialog lets the person choose on their own screen.
func (p *agentPicks) dialog(ctx context.Context, server, kind string) ([]pickView, error) {
	if kind != "files" && kind != "folder" {
		return nil, badRequest("The kind of dialog is files or folder.")
	}
	paths, err := p.dialogs.ask(ctx, kind == "folder", server)
	if err != nil {
		return nil, err
	}
	return p.each(server, paths, func(path string) ([]queueFile, bool, error) {
		st, err := os.Stat(path)
		if err != nil {
			return nil, false, openProblem(err)
		}
		files, err := collect(path)
		return files, st.IsDir(), err
	})
}

// each makes a pick of every path, or none.
func (p *agentPicks) each(server string, paths []string, collect func(string) ([]queueFile, bool, error)) ([]pickView, error) {
	if len(paths) > 1000 {
		return nil, badRequest("These are too many at once.")
	}
	var made []pick
	all := 0
	for _, path := range paths {
		files, folder, err := collect(path)
		if err != nil {
			return nil, err
		}
		if all += len(files); all > mostFiles {
			return nil, errTooMany
		}
		v := pickView{ID: rand.Text(), Name: textName(filepath.Base(path)), Folder: folder, Files: len(files)}
		if len(files) > 0 {
			v.Name, _, _ = strings.Cut(files[0].Name, "/") // also of a folder that was named "."
		}
		for _, f := range files {
			v.Size += f.Size
		}
		made = append(made, pick{server, files, v, p.now().Add(pickLife)})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var views []pickView
	for _, m := range made {
		makeRoom(p.picks, mostPicks, p.now(), func(p pick) time.Time { return p.until })
		p.picks[m.view.ID] = m
		views = append(views, m.view)
	}
	return views, nil
}

// take gives the files of picks, which are used up by that, and the name of the first.
func (p *agentPicks) take(server string, ids []string) (files []queueFile, name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		k, ok := p.picks[id]
		if !ok || k.server != server || p.now().After(k.until) {
			return nil, "", errNoPick
		}
		files = append(files, k.files...)
		name = cmp.Or(name, k.view.Name)
	}
	if len(files) == 0 {
		return nil, "", &agentProblem{http.StatusConflict, "nothing", "There is nothing to send in what was chosen: empty, hidden and special files stay where they are.", "Choose something else."}
	}
	if len(files) > mostFiles {
		return nil, "", errTooMany
	}
	for _, id := range ids {
		delete(p.picks, id)
	}
	return files, name, nil
}

// inside makes a page's path one that stays below the folder that it belongs to; os.Root sees to it that
// no link leads out.
func inside(path string) string {
	rel := filepath.ToSlash(filepath.Clean(string(filepath.Separator) + filepath.FromSlash(path)))
	return cmp.Or(strings.TrimLeft(rel, "/"), ".")
}

// collectInside finds the files of a path in an open folder. They are opened through the folder again when
// they are sent, so that nobody can put a link to another place there meanwhile.
func collectInside(f openFolder, rel string) ([]queueFile, bool, error) {
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, false, openProblem(err)
	}
	defer func() { _ = root.Close() }() // only read
	st, err := root.Stat(rel)
	if err != nil {
		return nil, false, openProblem(err)
	}
	files, err := collect(filepath.Join(f.path, rel))
	if err != nil {
		return nil, false, err
	}
	for i := range files {
		inner, err := filepath.Rel(f.path, files[i].Path)
		if err != nil {
			return nil, false, err
		}
		files[i].Root, files[i].Path = f.path, inner
	}
	return files, st.IsDir(), nil
}

var errTooMany = &agentProblem{http.StatusConflict, "too_many_files", "These are more than 10 000 files.", "Send them in several transfers."}

// collect finds the files of a path by the rules of the command send, and a few more than one job takes if there
// are so many: a page cannot keep the disk busy with a large tree.
func collect(path string) ([]queueFile, error) {
	found, _, err := search([]string{path}, searchRules{most: mostFiles})
	if err != nil {
		return nil, err
	}
	var files []queueFile
	for _, f := range found {
		files = append(files, queueFile{Path: f.path, Name: f.name, Size: f.size, Changed: f.changed})
	}
	return files, nil
}

// local gives the file as the command send takes it.
func (f queueFile) local() localFile {
	l := localFile{path: f.Path, name: f.Name, size: f.Size, changed: f.Changed}
	if f.Root != "" {
		l.path = filepath.Join(f.Root, f.Path) // to be shown only
		l.lasting = true
		l.open = func() (transfer.File, error) {
			root, err := os.OpenRoot(f.Root)
			if err != nil {
				return nil, err
			}
			file, err := root.OpenFile(f.Path, readOnly, 0)
			if cerr := root.Close(); err != nil || cerr != nil {
				return nil, errors.Join(err, cerr)
			}
			return &steady{File: file, size: f.Size, changed: f.Changed}, nil
		}
	}
	return l
}

// openProblem tells a page no more than it may know.
func openProblem(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &agentProblem{http.StatusNotFound, "no_file", "There is no such file or folder.", "Look at the list again."}
	case errors.Is(err, fs.ErrPermission):
		return &agentProblem{http.StatusForbidden, "no_permission", "The agent may not read this.", "Change its permissions, or choose something else."}
	}
	return errOutside // os.Root has no name for what leads out
}
