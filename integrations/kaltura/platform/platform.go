package platform

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"isthmus/gateway"
)

// Config is what a platform works with.
type Config struct {
	BaseURL string // public prefix of the handler without trailing slash, e.g. http://localhost:8080/kaltura
	Records Records
	Staging gateway.Staging
	Blobs   gateway.Blobs
	Assets  *gateway.Assets
	Sealer  gateway.Sealer
	Clock   gateway.Clock
	Log     *slog.Logger
	// FinalWait is how long the final chunk of an upload waits for chunks that are still on their
	// way on other connections; 0 = 45 seconds, as the original.
	FinalWait time.Duration
	// DropRoot is the folder on this machine below which the paths of drop folders lie; empty = no
	// drop folder is watched.
	DropRoot string
}

// Platform is the server. Safe for concurrent use.
type Platform struct {
	Config
	actions  map[string]*action
	services map[string]bool
	accounts sync.Map      // partner id → *account: opened secrets, a cache only
	scaling  chan struct{} // limits pictures being scaled at the same time
}

// New makes the server. It does no I/O.
func New(c Config) *Platform {
	if c.Clock == nil {
		c.Clock = gateway.SystemClock
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.FinalWait == 0 {
		c.FinalWait = 45 * time.Second
	}
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	p := &Platform{Config: c, scaling: make(chan struct{}, 2)}
	p.register()
	return p
}

// ServeHTTP answers paths below the public prefix, which the caller has stripped: /api_v3/… for
// the API, /p/… and /dash/… for playback.
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Server, Content-Length, Content-Range, Date, X-Kaltura, X-Kaltura-Session, X-Me")
	h.Set("X-Me", "isthmus")
	h.Set("X-Kaltura-Session", fmt.Sprintf("%d, %d", rand.Uint32(), p.Clock().Unix()))
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Headers", "Origin, X-Requested-With, Content-Type, Accept, Range, Cache-Control")
		h.Set("Access-Control-Allow-Methods", "POST, GET, HEAD, OPTIONS")
		h.Set("Access-Control-Max-Age", "86400")
		return
	}
	at := r.URL.EscapedPath()
	switch {
	case at == "/api_v3" || strings.HasPrefix(at, "/api_v3/"):
		p.serveAPI(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "", http.StatusMethodNotAllowed)
	case strings.HasPrefix(at, "/dash/"), strings.HasPrefix(at, "/hls/"):
		p.servePackage(w, r)
	default:
		p.serveDelivery(w, r)
	}
}

// failed logs an unexpected error of a request. Neither addresses nor bodies are logged:
// both may hold sessions.
func (p *Platform) failed(ctx context.Context, what string, err error) {
	if ctx.Err() != nil {
		return // whoever asked went away
	}
	p.Log.ErrorContext(ctx, "kaltura platform: "+what, "error", err)
}

// CreateAccount makes an account, once: an account that exists is left alone. HubID scopes the
// account's assets; empty = "kaltura:" and the partner id.
func (p *Platform) CreateAccount(ctx context.Context, a Account) error {
	id := fmt.Sprint(a.PartnerID)
	row := AccountRow{Row: Row{Partner: a.PartnerID, ID: id}, HubID: a.HubID, Name: a.Name, AdminEmail: a.AdminEmail, Entitlement: a.Entitlement}
	if row.HubID == "" {
		row.HubID = "kaltura:" + id
	}
	if err := p.seal(&row, a.AdminSecret, a.UserSecret); err != nil {
		return err
	}
	now := p.Clock()
	return p.Records.KalturaTx(ctx, func(tx Tx) error {
		t := tx.Kaltura()
		if _, err := t.Accounts().Get(ctx, a.PartnerID, id); !missing(err) {
			return err
		}
		if err := t.Accounts().Insert(ctx, &row); err != nil {
			return err
		}
		// The administrator, and the user without a name who owns what sessions without a user make.
		first, last, _ := strings.Cut(a.AdminName, " ")
		admin := User{
			Row: Row{Partner: a.PartnerID, ID: a.AdminEmail}, Email: a.AdminEmail, ScreenName: a.AdminEmail,
			FirstName: first, LastName: last, Status: userActive, IsAdmin: true, IsOwner: true, LoginEnabled: true, StatusUpdatedAt: now,
		}
		if a.AdminPassword != "" {
			admin.Password = hashPassword(a.AdminPassword.Reveal())
		}
		if err := t.Users().Insert(ctx, &admin); err != nil {
			return err
		}
		nobody := User{Row: Row{Partner: a.PartnerID, ID: ""}, Status: userActive, StatusUpdatedAt: now}
		if err := t.Users().Insert(ctx, &nobody); err != nil {
			return err
		}
		profile := AccessControl{
			Row: Row{Partner: a.PartnerID, ID: fmt.Sprint(defaultAccessControl)}, Name: "Default", SystemName: "Default",
			Description: "Default access control profile", IsDefault: true,
		}
		if err := t.AccessControls().Insert(ctx, &profile); err != nil || a.DropFolder == "" {
			return err
		}
		folder := newFolder(a.PartnerID)
		folder.Name, folder.Path, folder.Status = "Drop folder", path.Clean("/"+a.DropFolder), folderEnabled
		folder.Handler, folder.Patterns, folder.DeletePolicy, folder.CheckInterval = handlerXML, "*.xml", deleteByHand, 2
		return insertFolder(ctx, t, &folder)
	})
}

// CreateOperator makes the accounts of the operator, once: the console's (-2) and the batch's (-1),
// with one secret for both. Their sessions act for any account, and may only do what concerns drop
// folders: only the operator can make those. Without this call nobody can.
func (p *Platform) CreateOperator(ctx context.Context, secret gateway.Secret) error {
	return p.Records.KalturaTx(ctx, func(tx Tx) error {
		for _, partner := range []int64{consolePartner, batchPartner} {
			row := AccountRow{Row: Row{Partner: partner, ID: fmt.Sprint(partner)}, Name: "Operator"}
			if _, err := tx.Kaltura().Accounts().Get(ctx, partner, row.ID); !missing(err) {
				return err
			}
			// Nobody is told a user secret, so no session without administrator's rights can be made with one.
			if err := p.seal(&row, secret, gateway.Secret(randomHex())); err != nil {
				return err
			}
			if err := tx.Kaltura().Accounts().Insert(ctx, &row); err != nil {
				return err
			}
		}
		return nil
	})
}

// seal puts the secrets of an account into its row.
func (p *Platform) seal(row *AccountRow, admin, user gateway.Secret) (err error) {
	if row.AdminSecret, err = p.Sealer.Seal(admin, row.place("admin_secret")); err != nil {
		return err
	}
	row.UserSecret, err = p.Sealer.Seal(user, row.place("user_secret"))
	return err
}

// Account describes an account to be made.
type Account struct {
	PartnerID   int64
	Name        string
	AdminName   string
	AdminEmail  string
	AdminSecret gateway.Secret // signs sessions; 32 characters by custom
	UserSecret  gateway.Secret
	HubID       string
	// AdminPassword lets the administrator use user.loginByLoginId and partner.getSecrets; empty = nobody can.
	AdminPassword gateway.Secret
	// DropFolder is the path, below Config.DropRoot, of a folder whose XML files are ingested; it gets
	// the number 1. Empty = none.
	DropFolder string
	// Entitlement is enforced for sessions that do not say otherwise: who may see an entry follows
	// from its categories.
	Entitlement bool
}

// place is where a secret of the account is sealed.
func (a AccountRow) place(column string) string { return "kaltura_accounts." + column + "/" + a.ID }

// account is an account with its secrets open.
type account struct {
	AccountRow
	adminSecret, userSecret string
}

// account gives an account; cold tells that it had to be read. Accounts never change, so a copy
// in memory stays true.
func (p *Platform) account(ctx context.Context, partner int64) (a *account, cold bool, err error) {
	if have, ok := p.accounts.Load(partner); ok {
		return have.(*account), false, nil
	}
	row, err := p.Records.Kaltura().Accounts().Get(ctx, partner, fmt.Sprint(partner))
	if err != nil {
		return nil, true, err
	}
	a = &account{AccountRow: row}
	admin, err := p.Sealer.Open(row.AdminSecret, row.place("admin_secret"))
	if err != nil {
		return nil, true, err
	}
	user, err := p.Sealer.Open(row.UserSecret, row.place("user_secret"))
	if err != nil {
		return nil, true, err
	}
	a.adminSecret, a.userSecret = admin.Reveal(), user.Reveal()
	p.accounts.Store(partner, a)
	return a, true, nil
}
