package secrets_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"isthmus/gateway"
	"isthmus/secrets"
)

func keyring(t *testing.T, dir string) *secrets.Keyring {
	t.Helper()
	k, err := secrets.OpenKeyring(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealedValuesOpenOnlyInTheirPlace(t *testing.T) {
	dir := t.TempDir()
	sealed, err := keyring(t, dir).Seal("top secret token", "integrations.app_token/a")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("top secret")) {
		t.Fatal("in clear")
	}
	k := keyring(t, dir) // a restart
	got, err := k.Open(sealed, "integrations.app_token/a")
	if err != nil || got.Reveal() != "top secret token" {
		t.Fatal(got.Reveal(), err)
	}
	if _, err := k.Open(sealed, "integrations.app_token/b"); !gateway.IsReason(err, "secret_unreadable") {
		t.Fatal("moved to another row:", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open(bad, "integrations.app_token/a"); err == nil {
			t.Fatal("changed at", i)
		}
	}
	if _, err := keyring(t, t.TempDir()).Open(sealed, "integrations.app_token/a"); err == nil {
		t.Fatal("opened by another keyring")
	}
}

func TestRotatedKeyringOpensOldValues(t *testing.T) {
	dir := t.TempDir()
	before := keyring(t, dir)
	old, err := before.Seal("s", "p")
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := tickets(t, before).Issue("play", "x", 1e11)
	if err != nil {
		t.Fatal(err)
	}
	if err := secrets.RotateKeyring(dir); err != nil {
		t.Fatal(err)
	}
	after := keyring(t, dir)
	if got, err := after.Open(old, "p"); err != nil || got.Reveal() != "s" {
		t.Fatal(err)
	}
	fresh, err := after.Seal("s", "p")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Open(fresh, "p"); err == nil {
		t.Fatal("the new key was not used")
	}
	if _, err := tickets(t, after).Check("play", ticket); err != nil {
		t.Fatal("old ticket:", err)
	}
}

func TestKeyringFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, secrets.FileName)
	if _, err := secrets.OpenKeyring(dir, false); !gateway.IsReason(err, "keyring_missing") {
		t.Fatal(err)
	}
	keyring(t, dir)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	if _, err := secrets.OpenKeyring(dir, false); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o602, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := secrets.OpenKeyring(dir, true); !gateway.IsReason(err, "keyring_permissions") {
			t.Fatalf("mode %o: %v", mode, err)
		}
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{}", "null", string(good[:len(good)/2]), `{"sealing":{"key":[]},"signing":[]}`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := secrets.OpenKeyring(dir, true); !gateway.IsReason(err, "keyring_damaged") {
			t.Fatalf("%q: %v", bad, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != bad {
			t.Fatal("a damaged key file was replaced")
		}
	}
}

// Whoever loses the race to make the file uses the winner's.
func TestKeyringMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	sealed := make([]gateway.Sealed, 8)
	errs := make([]error, 8)
	for i := range sealed {
		wg.Go(func() {
			k, err := secrets.OpenKeyring(dir, true)
			if err == nil {
				sealed[i], err = k.Seal("x", "p")
			}
			errs[i] = err
		})
	}
	wg.Wait()
	k := keyring(t, dir)
	for i := range sealed {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if _, err := k.Open(sealed[i], "p"); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Fatal("files left behind:", left, err)
	}
}

func TestNothingShowsASecret(t *testing.T) {
	k := keyring(t, t.TempDir())
	sealed, err := k.Seal("canary-canary", "p")
	if err != nil {
		t.Fatal(err)
	}
	js, err := json.Marshal(map[string]any{"a": sealed, "b": gateway.Secret("canary-canary")})
	if err != nil {
		t.Fatal(err)
	}
	out := string(js) + fmt.Sprintf("%v %+v %#v %s", gateway.Secret("canary-canary"), gateway.Secret("canary-canary"), gateway.Secret("canary-canary"), sealed)
	if bytes.Contains([]byte(out), []byte("canary")) {
		t.Fatal(out)
	}
}
