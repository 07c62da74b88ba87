package secrets

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"isthmus/gateway"
)

// FileName is the keyring's file in the data folder. Whoever has it and the database has all
// secrets, so it is backed up apart from the database.
const FileName = "keyring.json"

// Keyring seals and opens secrets. It implements gateway.Sealer and is safe for concurrent use.
type Keyring struct {
	aead    tink.AEAD
	signing []Key // newest first
}

var _ gateway.Sealer = (*Keyring)(nil)

// file is what lies on disk.
type file struct {
	Note    string          `json:"note"`
	Sealing json.RawMessage `json:"sealing"` // tink keyset, in clear
	Signing []signingKey    `json:"signing"` // newest first
}

type signingKey struct {
	ID   string `json:"id"`
	Seed []byte `json:"seed"` // Ed25519
}

// OpenKeyring reads the keyring of a data folder. A missing file is made when mayCreate; say false
// when the database holds sealed values already (store.DB.HasSealed), which a new key could not open.
// Errors are *gateway.Error Precondition with reasons "keyring_missing", "keyring_permissions" and
// "keyring_damaged".
func OpenKeyring(dir string, mayCreate bool) (*Keyring, error) {
	path := filepath.Join(dir, FileName)
	f, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !mayCreate {
			return nil, gateway.E(gateway.Precondition, "keyring_missing", "The key file "+path+" is missing, but the database holds secrets that only it can open.").
				Next("Put the key file back from its backup.")
		}
		if f, err = newFile(); err == nil {
			err = write(path, f, false)
		}
		if errors.Is(err, fs.ErrExist) { // somebody else was first
			f, err = read(path)
		}
	}
	if err != nil {
		return nil, err
	}
	return open(f)
}

// RotateKeyring adds new keys, which seal and sign from now on. The old ones still open and check.
// The server reads them at its next start.
func RotateKeyring(dir string) error {
	path := filepath.Join(dir, FileName)
	f, err := read(path)
	if err != nil {
		return err
	}
	h, err := handle(f)
	if err != nil {
		return err
	}
	m := keyset.NewManagerFromHandle(h)
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err == nil {
		err = m.SetPrimary(id)
	}
	if err != nil {
		return fmt.Errorf("secrets: rotate: %w", err)
	}
	if h, err = m.Handle(); err != nil {
		return fmt.Errorf("secrets: rotate: %w", err)
	}
	if f.Sealing, err = marshal(h); err != nil {
		return err
	}
	f.Signing = append([]signingKey{newSigningKey()}, f.Signing...)
	return write(path, f, true)
}

// Seal encrypts a secret for a place ("table.column/rowid").
func (k *Keyring) Seal(secret gateway.Secret, place string) (gateway.Sealed, error) {
	out, err := k.aead.Encrypt([]byte(secret.Reveal()), []byte(place))
	if err != nil {
		return nil, fmt.Errorf("secrets: seal: %w", err)
	}
	return out, nil
}

// Open decrypts what was sealed for the same place; Precondition with reason "secret_unreadable" otherwise.
func (k *Keyring) Open(sealed gateway.Sealed, place string) (gateway.Secret, error) {
	out, err := k.aead.Decrypt(sealed, []byte(place))
	if err != nil {
		return "", gateway.E(gateway.Precondition, "secret_unreadable", "A stored secret cannot be opened with this server's keys.").
			Next("Ask the operator to put back the key file %s, or enter the secret again.", FileName).Because(err)
	}
	return gateway.Secret(out), nil
}

func newFile() (*file, error) {
	h, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("secrets: new key: %w", err)
	}
	sealing, err := marshal(h)
	if err != nil {
		return nil, err
	}
	return &file{
		Note:    "Keys of Isthmus. Keep secret, back up apart from the database.",
		Sealing: sealing, Signing: []signingKey{newSigningKey()},
	}, nil
}

func newSigningKey() signingKey {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // never fails since Go 1.24
	return signingKey{ID: strings.ToLower(rand.Text()[:16]), Seed: seed}
}

func marshal(h *keyset.Handle) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(h, keyset.NewJSONWriter(&b)); err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	return b.Bytes(), nil
}

func handle(f *file) (*keyset.Handle, error) {
	h, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(f.Sealing)))
	if err != nil {
		return nil, damaged(err)
	}
	return h, nil
}

func open(f *file) (*Keyring, error) {
	h, err := handle(f)
	if err != nil {
		return nil, err
	}
	k := &Keyring{}
	if k.aead, err = aead.New(h); err != nil {
		return nil, damaged(err)
	}
	for _, s := range f.Signing {
		if len(s.Seed) != ed25519.SeedSize {
			return nil, damaged(errors.New("bad seed"))
		}
		k.signing = append(k.signing, Key{ID: s.ID, Alg: EdDSA, Private: ed25519.NewKeyFromSeed(s.Seed)})
	}
	if len(k.signing) == 0 {
		return nil, damaged(errors.New("no signing key"))
	}
	return k, nil
}

func damaged(err error) error {
	return gateway.E(gateway.Precondition, "keyring_damaged", "The key file "+FileName+" cannot be read.").
		Next("Put it back from its backup.").Because(err)
}

// read refuses a file that others on the machine may read or write.
func read(path string) (*file, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, gateway.E(gateway.Precondition, "keyring_permissions", fmt.Sprintf("The key file %s may be read by others (mode %s).", path, info.Mode())).
			Next("Run chmod 600 %s, and rotate the keys if somebody else may have read it.", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("secrets: %w", err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, damaged(errors.New("not JSON")) // the parser's own words could quote a key
	}
	return &f, nil
}

// write publishes the file whole and durable. Without replace it never overwrites one.
func write(path string, f *file, replace bool) (err error) {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), FileName+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone when it was renamed
	_, err = tmp.Write(append(b, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	publish := os.Link // fails when the name is taken
	if replace {
		publish = os.Rename
	}
	if err := publish(tmp.Name(), path); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
