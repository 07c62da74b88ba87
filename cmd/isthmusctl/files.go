package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"isthmus/transfer"
)

// localFile is a file to be sent.
type localFile struct {
	path    string // where it is opened
	name    string // what it is called there: UTF-8, parts of a tree divided by "/"
	size    int64
	changed time.Time
	open    func() (transfer.File, error) // nil: the file at path
	lasting bool                          // open gives the same bytes on another day, too
}

// left is what is not sent, and why.
type left struct {
	path string
	why  string
	bad  bool // somebody wanted it sent
}

// searchRules say what of a tree is taken.
type searchRules struct {
	follow bool // symbolic links inside of trees
	hidden bool // names that begin with a dot
	most   int  // files, after which nobody looks any further; 0: no end
}

// search collects what the arguments name: files, whole folders, patterns where the shell left them. What
// is named and does not exist is an error before anything is sent; what a tree holds besides readable
// files is told and left out.
func search(args []string, rules searchRules) (files []localFile, out []left, _ error) {
	seen := map[string]bool{}
	var missing []string
	for _, arg := range args {
		paths := []string{arg}
		if _, err := os.Lstat(arg); errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(arg, "*?[") {
			found, gerr := filepath.Glob(arg)
			if gerr != nil || len(found) == 0 {
				missing = append(missing, fmt.Sprintf("nothing fits %s", arg))
				continue
			}
			paths = found
		}
		for _, p := range paths {
			st, err := os.Stat(p) // a link that is named is followed
			switch {
			case errors.Is(err, fs.ErrNotExist):
				missing = append(missing, fmt.Sprintf("%s does not exist", p))
			case err != nil:
				out = append(out, left{p, reason(err), true})
			case st.IsDir():
				w := walk{rules: rules, seen: seen, files: &files, out: &out}
				w.dir(p, rootName(p), nil)
			default:
				w := walk{rules: rules, seen: seen, files: &files, out: &out}
				w.file(p, filepath.Base(p), st)
			}
		}
	}
	if len(missing) > 0 {
		return nil, nil, fail(exitUsage, "Nothing was sent: "+strings.Join(missing, "; ")+".", "Check the names.")
	}
	return files, out, nil
}

// rootName is what a tree is called: the folder's own name, also of "." and "..".
func rootName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if base := filepath.Base(dir); base != string(filepath.Separator) && base != "." {
		return base
	}
	return ""
}

// walk goes through one argument.
type walk struct {
	rules searchRules
	seen  map[string]bool // paths taken, each once
	files *[]localFile
	out   *[]left
}

func (w *walk) leave(path, why string, bad bool) { *w.out = append(*w.out, left{path, why, bad}) }

// dir takes a folder; above are the folders that it lies in, so that links in a circle end.
func (w *walk) dir(dir, name string, above []fs.FileInfo) {
	st, err := os.Stat(dir)
	if err != nil {
		w.leave(dir, reason(err), true)
		return
	}
	for _, a := range above {
		if os.SameFile(a, st) {
			w.leave(dir, "a link back to a folder that it lies in", false)
			return
		}
	}
	entries, err := os.ReadDir(dir) // sorted by name; what was read before an error counts
	if err != nil {
		w.leave(dir, reason(err), true)
	}
	above = append(above[:len(above):len(above)], st)
	for _, e := range entries {
		if w.rules.most > 0 && len(*w.files) > w.rules.most {
			return
		}
		p, n := filepath.Join(dir, e.Name()), path.Join(name, e.Name())
		if strings.HasPrefix(e.Name(), ".") && !w.rules.hidden {
			w.leave(p, "hidden (--hidden sends it)", false)
			continue
		}
		if e.Type()&fs.ModeSymlink != 0 && !w.rules.follow {
			w.leave(p, "a symbolic link (--follow sends what it leads to)", false)
			continue
		}
		st, err := os.Stat(p)
		switch {
		case err != nil:
			w.leave(p, reason(err), true)
		case st.IsDir():
			w.dir(p, n, above)
		default:
			w.file(p, n, st)
		}
	}
}

func (w *walk) file(p, name string, st fs.FileInfo) {
	abs, err := filepath.Abs(p)
	if err != nil {
		abs = p
	}
	if w.seen[abs] {
		return // named twice
	}
	w.seen[abs] = true
	switch {
	case !st.Mode().IsRegular():
		w.leave(p, "not a regular file (send a pipe with - and --name)", true)
	case st.Size() == 0:
		w.leave(p, "empty: there is nothing to play in it", true)
	default:
		f, err := openFile(p)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			w.leave(p, reason(err), true)
			return
		}
		*w.files = append(*w.files, localFile{path: p, name: textName(name), size: st.Size(), changed: st.ModTime()})
	}
}

// textName gives a name as text: names are bytes to some systems, but the server and other people's
// machines want UTF-8. What is none becomes U+FFFD; the file itself is still found by its own name.
func textName(name string) string {
	name = filepath.ToSlash(name)
	if utf8.ValidString(name) {
		return name
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

// title is what an entry is called: the file's own name without its ending.
func (f localFile) title() string {
	base := path.Base(f.name)
	if t := strings.TrimSuffix(base, path.Ext(base)); t != "" {
		return t
	}
	return base
}

// reason is why a file cannot be read, without the path that is told beside it.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// endSize is how much of either end of a file goes into its fingerprint.
const endSize = 1 << 20

// fingerprint is the mark by which an unfinished upload of the file is found again, on this or another
// device; the web page makes the same one (web/src/upload/fingerprint.ts).
func (f localFile) fingerprint() (string, error) {
	file, err := f.reader()
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // only read
	h := sha256.New()
	parts := [][2]int64{{0, f.size}}
	if f.size > 2*endSize {
		parts = [][2]int64{{0, endSize}, {f.size - endSize, endSize}}
	}
	for _, p := range parts {
		if n, err := io.Copy(h, io.NewSectionReader(file, p[0], p[1])); err != nil {
			return "", err
		} else if n != p[1] {
			return "", errors.New("it became shorter just now")
		}
	}
	name := []rune(norm.NFC.String(path.Base(f.name)))
	if len(name) > 60 {
		name = name[:60]
	}
	return fmt.Sprintf("v1:%d:%d:%x:%s", f.size, f.changed.UnixMilli(), h.Sum(nil), string(name)), nil
}

// bytesOf is what a fingerprint says of the bytes, their number and both ends; names and times differ between
// devices. Empty: nothing.
func bytesOf(mark string) string {
	if x := strings.SplitN(mark, ":", 5); len(x) == 5 && x[0] == "v1" && x[3] != "" {
		return x[1] + ":" + x[3]
	}
	return ""
}

func (f localFile) reader() (transfer.File, error) {
	if f.open != nil {
		return f.open()
	}
	file, err := openFile(f.path)
	if err != nil {
		return nil, err
	}
	return &steady{File: file, size: f.size, changed: f.changed}, nil
}

// readOnly opens what was a file when it was found. A pipe that took its place would let us wait for a writer.
const readOnly = os.O_RDONLY | syscall.O_NONBLOCK

func openFile(path string) (*os.File, error) { return os.OpenFile(path, readOnly, 0) }

// steady is a file that must stay as it was when it was announced. What was changed while it was sent
// would arrive as a mixture of both; the digest does not tell, for it is computed from the same mixture.
type steady struct {
	*os.File
	size    int64
	changed time.Time
}

var errChanged = &transfer.Error{Code: transfer.CodeChanged, Text: "the file was changed while it was sent"}

func (s *steady) check() error {
	st, err := s.File.Stat()
	if err == nil && (!st.Mode().IsRegular() || st.Size() != s.size || !st.ModTime().Equal(s.changed)) {
		err = errChanged
	}
	return err
}

// Stat implements transfer.File.
func (s *steady) Stat() (fs.FileInfo, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.File.Stat()
}

// ReadAt implements io.ReaderAt. It looks every time, so that hours are not spent on a file that is spoilt.
func (s *steady) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.File.ReadAt(p, off)
	if cerr := s.check(); cerr != nil {
		return 0, cerr
	}
	return n, err
}
