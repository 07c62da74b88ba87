package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sync/errgroup"

	"isthmus/gateway"
	"isthmus/integrations"
	"isthmus/outbound"
)

// account opens the sandbox's account behind a proxy with the client that the server uses, over the
// guarded transport.
func (w *faultWorld) account(t testing.TB, serviceURL string, o outbound.Options) gateway.Platform {
	t.Helper()
	o.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	token := w.kaltura.AppTokens[0]
	p, err := integrations.New(integrations.Options{Outbound: outbound.New(o), CheckURL: o.ServiceURL, Patience: 4 * time.Second}).Open(gateway.Account{
		IntegrationID: gateway.NewID("int"), HubID: "hub_1", Platform: gateway.PlatformKaltura, ServiceURL: serviceURL, PartnerID: w.kaltura.PartnerID,
		AppTokenID: token.ID, AppToken: gateway.Secret(token.Token), HashType: token.HashType, MatchBy: gateway.MatchEmail,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// put brings a file to Kaltura as the relay does: chunk by chunk, again from the handle after an
// error, anew when Kaltura has forgotten the upload.
func put(ctx context.Context, p gateway.Platform, ref string, content []byte, chunk int) (gateway.Media, error) {
	actor := gateway.Actor{HubID: "hub_1", ParticipantID: "par_1", PlatformUserID: "lost@school.example"}
	m := gateway.NewMedia{ReferenceID: ref, Name: ref, FileName: "x.png", Type: gateway.Image, Size: int64(len(content))}
	var last error
	for range 40 {
		media, err := func() (gateway.Media, error) {
			in, err := p.Create(ctx, actor, m)
			if err != nil {
				return gateway.Media{}, err
			}
			m.Handle = in.Handle()
			var all errgroup.Group
			for at := 0; at < len(content); at += chunk {
				end := min(at+chunk, len(content))
				if end == len(content) { // closes the upload: after all others, as the relay does
					if err := all.Wait(); err != nil {
						return gateway.Media{}, err
					}
				}
				all.Go(func() error {
					return in.WriteAt(ctx, int64(at), int64(end-at), bytes.NewReader(content[at:end]))
				})
			}
			if err := all.Wait(); err != nil {
				return gateway.Media{}, err
			}
			return in.Finish(ctx, m)
		}()
		if err == nil {
			return media, nil
		}
		if gateway.IsReason(err, "ingest_gone") {
			m.Handle = ""
		}
		last = err
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return gateway.Media{}, ctx.Err()
		}
	}
	return gateway.Media{}, last
}

func envCount(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return def
}

// lostAnswers: the answer to each step of an upload is lost after Kaltura has done it. However often
// that happens, there is one entry. ISTHMUS_LOST_ANSWERS says how many uploads (default 500).
func (w *faultWorld) lostAnswers(t *testing.T) {
	n := envCount("ISTHMUS_LOST_ANSWERS", 500)
	ops := []string{"multirequest", "uploadtoken.add", "uploadtoken.upload"} // entry and content are made by one multirequest
	var next, lost atomic.Int64
	var wg sync.WaitGroup
	refs := make([]string, n)
	for lane := range 5 {
		proxy := newFaultProxy(t, w.kaltura.ServiceURL, nil)
		p := w.account(t, proxy.url(), outbound.Options{})
		wg.Go(func() {
			content := w.picture(8+lane, 8)
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				refs[i] = fmt.Sprintf("lost-%d", i)
				op, once := ops[i%len(ops)], new(atomic.Bool)
				proxy.set(func(x *exchange) bool {
					if !strings.HasPrefix(x.op, op) || once.Swap(true) {
						return false
					}
					x.forward()
					lost.Add(1)
					x.cut()
					return true
				})
				if _, err := put(t.Context(), p, refs[i], content, 100); err != nil {
					t.Errorf("%s: %v", refs[i], err)
				}
			}
		})
	}
	wg.Wait()
	doubled := 0
	for _, ref := range refs {
		if c := w.entries(t, ref); c != 1 {
			doubled++
			t.Errorf("%d entries with the reference id %s", c, ref)
		}
	}
	if lost.Load() != int64(n) {
		t.Errorf("%d answers were lost, want %d", lost.Load(), n)
	}
	reportFault(faultRow{"M33", fmt.Sprintf("answer lost after Kaltura did it, %d times (entry with content, upload token, chunk)", n), "nothing", fmt.Sprintf("nothing; %d entries too many", doubled), 0})
}

// tampered rewrites a chunk's request on its way.
func tampered(x *exchange, change func(meta map[string]any)) {
	meta := map[string]any{}
	for k, v := range x.param {
		meta[k] = v
	}
	change(meta)
	var file []byte
	_, boundary, _ := bytes.Cut([]byte(x.r.Header.Get("Content-Type")), []byte("boundary="))
	if form, err := multipart.NewReader(bytes.NewReader(x.body), string(boundary)).ReadForm(64 << 20); err == nil {
		if f, err := form.File["fileData"][0].Open(); err == nil {
			file, _ = io.ReadAll(f)
		}
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	j, _ := json.Marshal(meta)
	_ = form.WriteField("json", string(j))
	part, _ := form.CreateFormFile("fileData", "chunk")
	_, _ = part.Write(file)
	_ = form.Close()
	x.body = b.Bytes()
	x.r.Header.Set("Content-Type", form.FormDataContentType())
	x.r.Header.Del("Content-Length")
}

// chunks: what may happen to a chunk at a resume.
func (w *faultWorld) chunks(t *testing.T) {
	upload := func(f func(*exchange)) fault {
		return func(x *exchange) bool {
			if x.op != "uploadtoken.upload" || x.chunk == 0 {
				return false
			}
			f(x)
			return true
		}
	}
	var held sync.Mutex
	for _, c := range []struct {
		name string
		f    fault
	}{
		{"every chunk arrives twice", upload(func(x *exchange) {
			if x.param["resume"] == true {
				x.forward()
			}
			x.write(x.forward())
		})},
		{"chunks arrive after later ones", upload(func(x *exchange) {
			if at, _ := x.param["resumeAt"].(float64); int(at)%200 == 100 && held.TryLock() {
				defer held.Unlock()
				time.Sleep(50 * time.Millisecond)
			}
			x.write(x.forward())
		})},
		{"a chunk lands one byte too far", func() fault {
			var once atomic.Bool
			return upload(func(x *exchange) {
				if at, _ := x.param["resumeAt"].(float64); at > 0 && !once.Swap(true) {
					tampered(x, func(m map[string]any) { m["resumeAt"] = at + 1 })
				}
				x.write(x.forward())
			})
		}()},
		{"the last chunk is acknowledged and lost", func() fault {
			var once atomic.Bool
			return upload(func(x *exchange) {
				if at, _ := x.param["resumeAt"].(float64); at >= 200 && !once.Swap(true) {
					x.say(200, "application/json", fmt.Sprintf(`{"id":%q,"status":1,"uploadedFileSize":%d,"objectType":"KalturaUploadToken"}`, x.param["uploadTokenId"], int(at)+x.chunk))
					return
				}
				x.write(x.forward())
			})
		}()},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy := newFaultProxy(t, w.kaltura.ServiceURL, nil)
			p := w.account(t, proxy.url(), outbound.Options{})
			content := w.picture(9, 9)
			proxy.set(c.f)
			ref := gateway.NewID("upl")
			m, err := put(t.Context(), p, ref, content, 100)
			if err != nil {
				t.Fatal(err)
			}
			if n := w.entries(t, ref); n != 1 {
				t.Errorf("%d entries", n)
			}
			resp, err := http.Get(fmt.Sprintf("%s/p/%d/sp/%d00/raw/entry_id/%s", w.kaltura.ServiceURL, w.kaltura.PartnerID, w.kaltura.PartnerID, m.ID))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, _ := io.ReadAll(resp.Body); !bytes.Equal(got, content) {
				t.Errorf("Kaltura holds other bytes: %d of %d", len(got), len(content))
			}
			reportFault(faultRow{"M36", c.name, "nothing", "nothing; 1 entry, same bytes", 0})
		})
	}
}

// names: the name service is slow, fails, or knows nothing.
func (w *faultWorld) names(t *testing.T) {
	var mode atomic.Pointer[string]
	set := func(m string) { mode.Store(&m) }
	set("good")
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		for buf := make([]byte, 1500); ; {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) == 0 {
				continue
			}
			m.Response, m.Additionals = true, nil
			switch *mode.Load() {
			case "silent":
				continue
			case "failing":
				m.RCode = dnsmessage.RCodeServerFailure
			case "unknown":
				m.RCode = dnsmessage.RCodeNameError
			default:
				if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
					m.Answers = []dnsmessage.Resource{{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
						Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
					}}
				}
			}
			if b, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(b, from)
			}
		}
	}()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	proxy := newFaultProxy(t, w.kaltura.ServiceURL, nil)
	u, err := url.Parse(proxy.url())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ mode, name string }{
		{"silent", "name service does not answer"}, {"failing", "name service fails"}, {"unknown", "name unknown"},
	} {
		p := w.account(t, "http://kaltura.example:"+u.Port(), outbound.Options{Resolver: resolver, Connect: time.Second})
		ask := func() error {
			_, err := p.Browse(t.Context(), gateway.Actor{HubID: "hub_1", ClientID: "cli"}, gateway.Query{})
			return err
		}
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		set(c.mode)
		proxy.down() // names are looked up for new connections
		proxy.up()
		var told error
		await(t, c.name, func() error {
			if told = ask(); !gateway.IsReason(told, "kaltura_name") {
				return fmt.Errorf("told %w", told)
			}
			return nil
		})
		set("good")
		began := time.Now()
		await(t, "pages again", ask)
		reportFault(faultRow{"M37", c.name, "kaltura_name: “" + gateway.AsError(told).Message + "”", "nothing", time.Since(began)})
	}
}
