package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/oauth2"
)

// vault is the folder with the person's sign-ins: readable by them alone, changed by one process at a time.
type vault struct{ dir string }

// login is a person's access to one hub of one server.
type login struct {
	Server    string       `json:"server"`
	HubID     string       `json:"hub_id"`
	HubName   string       `json:"hub_name"`
	Name      string       `json:"name,omitempty"`
	Email     string       `json:"email,omitempty"`
	ClientID  string       `json:"client_id"`
	TokenURL  string       `json:"token_url"`
	RevokeURL string       `json:"revoke_url,omitempty"`
	Token     oauth2.Token `json:"token"`
	At        time.Time    `json:"at"`
}

// logins is the file; the last one used to sign in comes first.
type logins struct {
	Logins []login `json:"logins"`
}

func openVault() (vault, error) {
	if dir := os.Getenv("ISTHMUS_CONFIG_DIR"); dir != "" {
		return vault{dir}, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return vault{}, fail(exitFailed, "There is no folder for settings: "+err.Error()+".", "Name one with ISTHMUS_CONFIG_DIR.")
	}
	return vault{filepath.Join(dir, "isthmus")}, nil
}

func (v vault) file() string { return filepath.Join(v.dir, "logins.json") }

// read gives what is kept now.
func (v vault) read() (logins, error) {
	var all logins
	b, err := os.ReadFile(v.file())
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		return all, fail(exitFailed, "The kept sign-ins cannot be read: "+err.Error()+".", "Remove "+v.file()+" and sign in again.").because(err)
	}
	return all, nil
}

// change runs f on what is kept while no other process does, and keeps what f made of it if it says so.
func (v vault) change(ctx context.Context, f func(*logins) (keep bool, err error)) error {
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(v.dir, "logins.lock"), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	all, err := v.read()
	if err != nil {
		return err
	}
	keep, err := f(&all)
	if !keep {
		return err
	}
	return errors.Join(err, writePrivate(v.file(), all))
}

// writePrivate puts a JSON file in place whole or not at all, for its owner's eyes only.
func writePrivate(path string, value any) error {
	b, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// find gives the sign-in that fits; empty server or hub: whatever was used last.
func (l logins) find(server, hub string) *login {
	for i := range l.Logins {
		k := &l.Logins[i]
		if (server == "" || k.Server == server) && (hub == "" || k.HubID == hub || strings.EqualFold(k.HubName, hub)) {
			return k
		}
	}
	return nil
}

// put keeps a sign-in as the one used last, instead of an earlier one to the same hub.
func (l *logins) put(k login) {
	l.drop(k.Server, k.HubID)
	l.Logins = append([]login{k}, l.Logins...)
}

func (l *logins) drop(server, hubID string) {
	var rest []login
	for _, k := range l.Logins {
		if k.Server != server || k.HubID != hubID {
			rest = append(rest, k)
		}
	}
	l.Logins = rest
}
