package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/integrations/kaltura/platform"
	"isthmus/jobs"
	"isthmus/media"
	"isthmus/secrets"
	"isthmus/store"
)

// sandboxCommand is `isthmus sandbox`: the embedded platform alone, for developers of Kaltura clients.
type sandboxCommand struct {
	Data        string     `help:"Folder that keeps the account and its media for the next start. Default: a temporary one, deleted at the end." type:"path" env:"ISTHMUS_SANDBOX_DATA"`
	Addr        string     `help:"Address to listen on; port 0 takes a free one." default:"127.0.0.1:8090" env:"ISTHMUS_SANDBOX_ADDR"`
	BaseURL     string     `help:"Address under which clients reach it, such as http://kaltura:8090. Default: the one it listens on." name:"base-url" env:"ISTHMUS_SANDBOX_BASE_URL"`
	JSON        bool       `help:"Print the account as one line of JSON."`
	UnsafeMedia bool       `help:"Process media even where the kernel cannot sandbox ffmpeg." name:"unsafe-media"`
	LogLevel    slog.Level `help:"debug, info, warn or error." default:"warn" name:"log-level"`
}

// The account is like the recorded one: the same partner id, other secrets.
const (
	sandboxPartner = 102
	sandboxAdmin   = "admin@partner.example"
	sandboxFile    = "sandbox.json"
)

// Validate is called by kong.
func (c *sandboxCommand) Validate() error {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return gateway.E(gateway.Invalid, "addr", "--addr must be HOST:PORT, such as 127.0.0.1:8090.").Because(err)
	}
	if u, err := url.Parse(c.BaseURL); c.BaseURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return gateway.E(gateway.Invalid, "base_url", "--base-url must be http(s)://HOST, such as http://kaltura:8090.")
	}
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	return nil
}

// Run serves until it is told to stop.
func (c *sandboxCommand) Run(ctx context.Context) (err error) {
	listener, err := listen(c.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it already, unless something failed before
	if c.BaseURL == "" {
		c.BaseURL = baseURL(listener.Addr())
	}
	if c.Data == "" {
		if c.Data, err = os.MkdirTemp("", "isthmus-sandbox-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.Data)) }()
	}
	k, err := sandboxAccount(c.Data, c.BaseURL)
	if err != nil {
		return err
	}
	g := &ground{log: newLogger(c.LogLevel)}
	defer g.close()
	if err := g.open(ctx, dataFlags{Data: c.Data}, "", media.Options{Unsafe: c.UnsafeMedia}); err != nil {
		return err
	}
	p, err := g.embed(c.BaseURL)
	if err != nil {
		return err
	}
	if err := seedSandbox(ctx, g, p, &k); err != nil {
		return fmt.Errorf("sandbox account: %w", err)
	}
	return c.serve(ctx, g, p, listener, k)
}

func (c *sandboxCommand) serve(ctx context.Context, g *ground, p *platform.Platform, listener net.Listener, k kalturaFile) error {
	runner, err := g.db.Runner(jobs.New(jobs.Services{Assets: g.assets}), store.JobsOptions{OnError: jobs.LogErrors(g.log)})
	if err != nil {
		return err
	}
	if err := runner.Start(ctx); err != nil {
		return err
	}
	var watching sync.WaitGroup
	defer watching.Wait() // it writes where Run deletes
	looking, stopLooking := context.WithCancel(ctx)
	defer stopLooking()
	watching.Go(func() { g.watch(looking, p) })
	// What an earlier run that was killed left behind.
	if err := errors.Join(p.Sweep(ctx), g.assets.Sweep(ctx)); err != nil {
		g.log.Warn("sweep", "error", err)
	}
	front := g.front(p)
	served := make(chan error, 1)
	go func() { served <- front.Serve(listener) }()
	if err := c.greet(os.Stdout, k); err != nil {
		return err
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if err := front.Shutdown(patience); err != nil {
		_ = front.Close() // a client that sends slowly: what it sent is durable
	}
	return runner.Stop(patience)
}

// baseURL is the address of a listener for clients on the same machine.
func baseURL(at net.Addr) string {
	host, port, _ := net.SplitHostPort(at.String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// sandboxAccount gives the account of an earlier start, at its address of today, or one with new
// secrets, which are on disk before anything uses them.
func sandboxAccount(dir, serviceURL string) (k kalturaFile, _ error) {
	path := filepath.Join(dir, sandboxFile)
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(b, &k); err != nil {
			return k, gateway.E(gateway.Invalid, "sandbox_file", path+" is damaged.").
				Next("Delete the folder to begin anew, or name another one with --data.").Because(err)
		}
		k.ServiceURL, k.DropRoot = serviceURL, filepath.Join(dir, dropRoot) // both may have moved
		k.DropFolderPath = filepath.Join(k.DropRoot, dropFolder)
		return k, nil
	case !errors.Is(err, os.ErrNotExist):
		return k, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return k, err
	}
	if _, err := os.Stat(filepath.Join(dir, secrets.FileName)); err == nil {
		return k, gateway.E(gateway.Conflict, "not_a_sandbox", dir+" is the data folder of a server.").
			Next("Name another folder, or leave --data out for a temporary one.")
	}
	k = newKaltura(serviceURL, sandboxPartner, sandboxAdmin)
	return k, writeFile(path, k)
}

// seedSandbox makes the account and its App Tokens unless an earlier start has done so.
func seedSandbox(ctx context.Context, g *ground, p *platform.Platform, k *kalturaFile) error {
	if err := k.create(ctx, p, platform.Account{Name: "Isthmus sandbox", AdminName: "Sandbox Admin"}); err != nil {
		return err
	}
	if len(k.AppTokens) > 0 {
		return nil
	}
	call, err := adminCalls(ctx, &http.Client{Transport: integrations.NewLocal(p)}, *k, sandboxAdmin)
	if err != nil {
		return err
	}
	if err := g.seedAccount(call, k, "Isthmus sandbox"); err != nil {
		return err
	}
	return writeFile(filepath.Join(g.data, sandboxFile), k)
}

// greet prints the account to who has started the sandbox; nothing else ever shows the secrets.
func (c *sandboxCommand) greet(w io.Writer, k kalturaFile) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(k)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "Kaltura sandbox, until Ctrl-C\n\n")
	fmt.Fprintf(t, "Service URL\t%s\nPartner id\t%d\nAdministrator\t%s\t%s\nAdmin secret\t%s\nUser secret\t%s\nWidget id\t%s\n",
		k.ServiceURL, k.PartnerID, k.AdminEmail, k.AdminPassword, k.AdminSecret, k.UserSecret, k.WidgetID)
	for _, a := range k.AppTokens {
		fmt.Fprintf(t, "App Token (%s)\t%s\t%s\t%s\n", a.Visibility, a.ID, a.Token, a.HashType)
	}
	fmt.Fprintf(t, "Drop folder\t%d\t%s\n", k.DropFolderID, k.DropFolderPath)
	fmt.Fprintf(t, "Operator secret\t%s\t(partners -1 and -2, for drop folders)\n", k.OperatorSecret)
	return t.Flush()
}
