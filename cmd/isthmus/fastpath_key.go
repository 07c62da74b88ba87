package main

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"isthmus/gateway"
	"isthmus/transfer"
)

// fastKeyName is the fast path's TLS key in the data folder. Tickets carry its hash, so it stays.
const fastKeyName = "fastpath.pem"

type fastKey struct {
	certificate tls.Certificate
	hash        transfer.KeyHash
	secret      []byte // see transfer.Config
}

// openFastKey reads the key, or makes it.
func openFastKey(dir string) (fastKey, error) {
	path := filepath.Join(dir, fastKeyName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = makeFastKey(path)
	}
	if err != nil {
		return fastKey{}, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return fastKey{}, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fastKey{}, gateway.E(gateway.Precondition, "fast_key_permissions", "Others can read the fast path's key "+path+".").
			Next("Delete it, and a new one is made; tickets given out so far then no longer fit.")
	}
	k := fastKey{}
	if k.certificate, err = tls.X509KeyPair(b, b); err != nil {
		return fastKey{}, gateway.E(gateway.Precondition, "fast_key_damaged", "The fast path's key "+path+" cannot be read.").
			Next("Put it back from its backup, or delete it, and a new one is made.").Because(err)
	}
	if k.hash, err = transfer.HashKey(k.certificate); err != nil {
		return fastKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.certificate.PrivateKey)
	if err != nil {
		return fastKey{}, err
	}
	k.secret, err = hkdf.Key(sha256.New, der, nil, "isthmus fast path restarts", 32)
	return k, err
}

func makeFastKey(path string) ([]byte, error) {
	c, err := transfer.NewCertificate()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return nil, err
	}
	return b, errors.Join(syncFile(tmp), os.Rename(tmp, path), syncFile(filepath.Dir(path)))
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
