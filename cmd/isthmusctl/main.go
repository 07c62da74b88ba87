package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

func main() { os.Exit(run(os.Args[1:], usual)) }

// commandLine of the program.
type commandLine struct {
	Server  string `help:"Address of the server, such as https://isthmus.example.org. Default: where you signed in last." env:"ISTHMUS_URL" placeholder:"URL"`
	Hub     string `help:"Hub, by id or name, when you are signed in to several. Default: the one you signed in to last." env:"ISTHMUS_HUB"`
	KeyFile string `help:"JSON file with client_id and client_secret of an app, for machines. ISTHMUS_CLIENT_ID and ISTHMUS_CLIENT_SECRET do the same." env:"ISTHMUS_KEY_FILE" name:"key-file" placeholder:"FILE"`
	JSON    bool   `help:"Write JSON: one object per line for what happens, lists as they come from the server." name:"json"`
	Plain   bool   `help:"Write plain lines instead of moving bars, also on a terminal; for screen readers and logs." env:"ISTHMUS_PLAIN"`
	Quiet   bool   `help:"Write results and errors only." short:"q"`

	Login     loginCommand     `cmd:"" help:"Sign in at a server, in a browser on any device."`
	Logout    logoutCommand    `cmd:"" help:"Sign out and forget the tokens."`
	Whoami    whoamiCommand    `cmd:"" help:"Say who is signed in, where, and what for."`
	Send      sendCommand      `cmd:"" help:"Send files and folders."`
	Fetch     fetchCommand     `cmd:"" help:"Fetch the original of a library item."`
	Ls        lsCommand        `cmd:"" help:"List the library, media in Kaltura, or your uploads."`
	Agent     agentCommand     `cmd:"" help:"Send in the background for the transfer page of a browser."`
	Transfers transfersCommand `cmd:"" help:"List, watch, re-order and cancel transfers."`
	Folders   foldersCommand   `cmd:"" help:"List, make and look after drop folders, whose files become entries by themselves."`
	Validate  validateCommand  `cmd:"" help:"Say what a manifest (XML, JSON or CSV) would do, or what is wrong with it, by line and column."`
}

// app is what a command finds around it.
type app struct {
	*commandLine
	in       io.Reader
	out, err io.Writer
	vault    vault
	patience patience
}

const description = `Sends files to a hub and fetches them, by the fast path or over HTTPS, whichever the network lets through.

Exit codes: 0 done, 1 failed, 2 wrong command line or no such file, 3 not signed in, 4 some files were not sent,
5 paused (--resume goes on), 6 server not reachable, 7 refused by the server, 130 stopped at once.`

// run is main with the arguments after the program's name; it returns the exit code.
func run(args []string, p patience) int {
	a := &app{commandLine: &commandLine{}, in: os.Stdin, out: os.Stdout, err: os.Stderr, patience: p}
	ctx, stop := interruptible(context.Background())
	defer stop()
	ended := -1
	parser, err := kong.New(a.commandLine,
		kong.Name("isthmusctl"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(a.out, a.err), kong.Exit(func(code int) { ended = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(a),
	)
	if err != nil {
		return a.report(err)
	}
	command, err := parser.Parse(args)
	if ended >= 0 { // --help
		return ended
	}
	if err != nil {
		return a.report(fail(exitUsage, err.Error()+".", `"isthmusctl --help" lists what there is.`))
	}
	if a.vault, err = openVault(); err != nil {
		return a.report(err)
	}
	err = command.Run()
	renewing.Lock() // nobody may be using a token any more
	return a.report(err)
}

// report says what went wrong and gives the exit code.
func (a *app) report(err error) int {
	code := exitCode(err)
	if err == nil || errors.Is(err, errTold) {
		return code
	}
	var f *failure
	if a.JSON {
		e := event{Event: "error", Text: err.Error(), Exit: &code}
		if errors.As(err, &f) {
			e.Text, e.Next, e.Code = f.text, f.next, f.slug
		}
		a.emit(e)
		return code
	}
	for line := range strings.Lines("isthmusctl: " + err.Error()) { // names and servers' words may be in it
		fmt.Fprintln(a.err, tidy(strings.TrimSuffix(line, "\n")))
	}
	return code
}

// errTold is an end that was explained already.
var errTold = errors.New("told")

// notice tells what is worth knowing and no result.
func (a *app) notice(format string, args ...any) {
	text := tidy(fmt.Sprintf(format, args...))
	switch {
	case a.JSON:
		a.emit(event{Event: "notice", Text: text})
	case !a.Quiet:
		fmt.Fprintln(a.err, text)
	}
}
