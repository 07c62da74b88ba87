package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"isthmus/gateway"
)

// setupCommand is `isthmus setup`.
type setupCommand struct {
	dataFlags
	BaseURL string `help:"Public address of the server, for the link that is printed." name:"base-url"`
}

// Run prints the code with which a signed-in person becomes the first operator. The server may be running.
func (c *setupCommand) Run(ctx context.Context) error {
	db, err := openBeside(ctx, c.dataFlags)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	code, until, err := (&gateway.Operators{Store: db, Clock: gateway.SystemClock}).NewSetupCode(ctx)
	if err != nil {
		return err
	}
	fmt.Println(code)
	fmt.Fprintf(os.Stderr, "Sign in, open %s/setup and enter this code before %s. It works once.\n",
		c.BaseURL, until.Local().Format(time.TimeOnly))
	return nil
}
