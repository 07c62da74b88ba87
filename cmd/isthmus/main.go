package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"isthmus/gateway"
	"isthmus/media"
)

func main() {
	media.SandboxMain() // becomes ffmpeg's jail when this process was started as one; else returns
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "isthmus: "+forPeople(err))
		os.Exit(1)
	}
}

// command line of the program; every flag can also come from the environment.
type commandLine struct {
	Serve   serveCommand   `cmd:"" help:"Run the server."`
	Check   checkCommand   `cmd:"" help:"Verify database rows against the files on disk; the server may be stopped or running on Postgres."`
	Migrate migrateCommand `cmd:"" help:"Bring the database schema up to date and stop."`
	Audit   auditCommand   `cmd:"" help:"Check the audit log."`
	Sandbox sandboxCommand `cmd:"" help:"Run only a Kaltura-compatible platform, to develop Kaltura clients against."`
	Setup   setupCommand   `cmd:"" help:"Print the one-time code that makes a signed-in person the first operator; the server may be running."`
	Keys    keysCommand    `cmd:"" help:"Rotate the keys that sign access tokens."`
	Clients clientsCommand `cmd:"" help:"Register, list and change OAuth clients; the server may be running."`
}

func run(ctx context.Context, args []string) error {
	var cl commandLine
	parser, err := kong.New(&cl,
		kong.Name("isthmus"),
		kong.Description("Joins a spaces platform to a Kaltura account."),
		kong.UsageOnError(),
		kong.DefaultEnvars("ISTHMUS"),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil {
		parser.FatalIfErrorf(err)
	}
	return command.Run()
}

// forPeople shows what happened and what to do next; the cause follows because the reader of a
// terminal is the operator.
func forPeople(err error) string {
	var e *gateway.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	text := e.Message
	if e.NextStep != "" {
		text += " " + e.NextStep
	}
	if e.Err != nil {
		text += " (" + e.Err.Error() + ")"
	}
	return text
}

func newLogger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
