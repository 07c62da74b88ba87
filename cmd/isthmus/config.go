package main

import (
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"isthmus/gateway"
)

// dataFlags say where things are kept; every command has them.
type dataFlags struct {
	Data string `help:"Folder for the database, keys and media." default:"data" type:"path"`
	DB   string `help:"Database: empty for SQLite in the data folder, or postgres://…" name:"db"`
}

type serveCommand struct {
	dataFlags
	Addr       string   `help:"Address to listen on." default:"127.0.0.1:8080"`
	BaseURL    string   `help:"Public address, such as https://media.example.org. Default: http://localhost and the port." name:"base-url"`
	AdminAddr  string   `help:"Address of the admin listener (metrics, pprof, health in detail); empty for none." default:"127.0.0.1:0" name:"admin-addr"`
	FastAddr   string   `help:"UDP address of the fast path and of HTTP/3, or \"off\". Default: that of --addr." name:"fast-addr"`
	FastPublic []string `help:"HOST:PORT, best first, at which clients reach the fast path. Default: the host of --base-url and the port of --fast-addr." name:"fast-public"`
	Replica    string   `help:"Name of this replica among those that share a Postgres database; uploads in flight stay with it. Default: the data folder's own."`
	Demo       bool     `help:"Start with demo hubs, people, media and an embedded Kaltura account."`

	DemoOperator bool `help:"The demo's admin is an operator, too. Without, \"isthmus setup\" makes the first one, as in a real installation." name:"demo-operator" default:"true" negatable:""`
	DemoMedia    bool `help:"The demo's account has media. Without, it begins empty, and no time goes into making them." name:"demo-media" default:"true" negatable:""`

	AllowNetworks []netip.Prefix `help:"Internal networks that Kaltura servers may be in, such as 10.1.0.0/16. Hub admins cannot set this." name:"allow-networks"`
	// Not the networks above: who may name receivers could else feel his way through the internal network.
	AllowWebhookNetworks []netip.Prefix `help:"Internal networks that receivers of webhooks may be in. Every hub admin can then call addresses there; default: none." name:"allow-webhook-networks"`
	// Not the networks above either: whoever may make folders would else read what lies in internal stores.
	AllowBucketNetworks []netip.Prefix `help:"Internal networks that S3 stores of drop folders may be in. Every hub admin can then name stores there; default: none." name:"allow-bucket-networks"`
	DropRoot            string         `help:"Directory below which drop folders' directories lie, a hub's in DIR/HUB; \"off\" for none. Default: drop in the data folder." name:"drop-root"`
	TrustProxies        []netip.Prefix `help:"Networks of reverse proxies whose X-Forwarded-For is believed." name:"trust-proxies"`
	PlaybackHosts       []string       `help:"Hosts from which players may load media, besides our own (Content-Security-Policy), such as https://cdnapisec.kaltura.com." name:"playback-hosts"`

	OIDCIssuer       string `help:"The spaces platform's OpenID issuer." name:"oidc-issuer"`
	OIDCClientID     string `help:"Our client id there." name:"oidc-client-id"`
	OIDCClientSecret string `help:"File with our client secret there." name:"oidc-client-secret-file" type:"existingfile"`
	// Further ones are added by operators, in the running server.
	OIDCName          string `help:"What people read on the sign-in page. Default: the issuer." name:"oidc-name"`
	OIDCWebhookSecret string `help:"File with the secret (whsec_…) with which the spaces platform signs webhooks about its people." name:"oidc-webhook-secret-file" type:"existingfile"`

	RateClient int `help:"Requests a minute of one app; 0 for the default, -1 for no limit." name:"rate-client"`
	RateUser   int `help:"Requests a minute of one person; 0 for the default, -1 for no limit." name:"rate-user"`
	RateHub    int `help:"Requests a minute of one hub; 0 for the default, -1 for no limit." name:"rate-hub"`

	MaxUpload    int64         `help:"Largest upload in bytes." default:"1099511627776" name:"max-upload"`
	MediaWorkers int           `help:"Media jobs at the same time." default:"1" name:"media-workers"`
	Grace        time.Duration `help:"How long links stay readable after a hub's plan was downgraded." default:"720h"`
	AuditKeep    time.Duration `help:"How long records of the audit log are kept. Default: for ever."`
	TicketLife   time.Duration `help:"How long a ticket of the fast path opens sessions; tests give it less." default:"15m" hidden:"" name:"fast-ticket-life"`
	UnsafeMedia  bool          `help:"Process media even where the kernel cannot sandbox ffmpeg. Shows in health." name:"unsafe-media"`
	Patience     time.Duration `help:"How long a call to a Kaltura server may take with all its repeats; half of it without a byte ends it." default:"30s" name:"kaltura-patience"`
	LogLevel     slog.Level    `help:"debug, info, warn or error." default:"info" name:"log-level"`
}

// Validate is called by kong; it also fills in what follows from other flags.
func (c *serveCommand) Validate() error {
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return gateway.E(gateway.Invalid, "addr", "--addr must be HOST:PORT, such as 127.0.0.1:8080.").Because(err)
	}
	if c.BaseURL == "" {
		c.BaseURL = "http://localhost:" + port
	}
	for _, a := range append(c.FastPublic, c.FastAddr) {
		if _, _, err := net.SplitHostPort(a); err != nil && a != "" && a != fastOff {
			return gateway.E(gateway.Invalid, "fast_addr", "--fast-addr and --fast-public must be HOST:PORT, such as 0.0.0.0:8443.").Because(err)
		}
	}
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || (u.Scheme != "http" && u.Scheme != "https") {
		return gateway.E(gateway.Invalid, "base_url", "--base-url must be http(s)://HOST without a path.")
	}
	c.BaseURL = strings.TrimSuffix(c.BaseURL, "/")
	if c.Patience < time.Second {
		return gateway.E(gateway.Invalid, "patience", "--kaltura-patience must be a second at least, such as 30s.")
	}
	if (c.OIDCIssuer == "") != (c.OIDCClientID == "") {
		return gateway.E(gateway.Invalid, "oidc", "--oidc-issuer and --oidc-client-id belong together.")
	}
	return nil
}

// secretFile reads a secret; none without a file.
func secretFile(path string) (gateway.Secret, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	return gateway.Secret(strings.TrimSpace(string(b))), err
}

// proxies gives the trusted networks in the form that the API wants.
func (c *serveCommand) proxies() []*net.IPNet {
	var out []*net.IPNet
	for _, p := range c.TrustProxies {
		out = append(out, &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return out
}
