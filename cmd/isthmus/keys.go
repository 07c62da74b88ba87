package main

import (
	"context"
	"fmt"

	"isthmus/api"
	"isthmus/gateway"
	"isthmus/secrets"
)

// keysCommand is `isthmus keys …`. The server may be running.
type keysCommand struct {
	Rotate keysRotate `cmd:"" help:"Make a new key that signs access tokens; the server may be running."`
}

type keysRotate struct {
	dataFlags
	Compromised bool `help:"The present keys are in wrong hands: throw them away now, and with them all access tokens."`
}

// Run makes the key. Running servers read it within a minute.
func (c *keysRotate) Run(ctx context.Context) error {
	db, err := openBeside(ctx, c.dataFlags)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	keyring, err := secrets.OpenKeyring(c.Data, false)
	if err != nil {
		return err
	}
	if err := api.RotateKeys(ctx, db, keyring, gateway.SystemClock, c.Compromised); err != nil {
		return err
	}
	if c.Compromised {
		fmt.Println("The keys were replaced. Access tokens signed so far stop working within a minute; apps refresh them.")
		return nil
	}
	fmt.Println("The new key is published now and signs in ten minutes. Tokens of the present one work until they end.")
	return nil
}
