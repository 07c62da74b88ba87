package kaltura

import (
	"net/http"
	"strings"
	"testing"

	"isthmus/gateway"
)

// account is a small Kaltura with one entry that plays and one upload token that is whole.
type account struct {
	*wire
	token, replacement int    // states
	other              int    // when the entry was made that is replacing ours; 0 = there is none
	calls              string // of what changes something
}

const tokenMade = 1795286800

func newAccount(t *testing.T) *account {
	a := &account{wire: newWire(t), token: tokenFull}
	a.onFunc("uploadtoken.get", func(rw http.ResponseWriter, _ call) {
		writeJSON(rw, map[string]any{"id": "0_token", "status": a.token, "uploadedFileSize": "5", "createdAt": tokenMade, "objectType": "KalturaUploadToken"})
	})
	a.onFunc("media.get", func(rw http.ResponseWriter, c call) {
		if c.params["entryId"] == "0_other" {
			writeJSON(rw, map[string]any{"id": "0_other", "status": "1", "createdAt": a.other, "objectType": "KalturaMediaEntry"})
			return
		}
		writeJSON(rw, a.entry())
	})
	a.change("media.updatecontent", func() any { a.token, a.replacement = tokenClosed, replaceApproved; return a.entry() })
	a.change("media.cancelreplace", func() any { a.replacement, a.other = replaceNone, 0; return a.entry() })
	a.change("media.approvereplace", func() any { a.replacement = replaceApproved; return a.entry() })
	return a
}

func (a *account) entry() map[string]any {
	e := map[string]any{"id": "0_entry", "status": 2, "mediaType": 1, "replacementStatus": a.replacement, "objectType": "KalturaMediaEntry"}
	if a.other != 0 {
		e["replacingEntryId"] = "0_other"
	}
	return e
}

func (a *account) change(op string, fn func() any) {
	a.onFunc(op, func(rw http.ResponseWriter, _ call) {
		_, action, _ := strings.Cut(op, ".")
		a.calls += action + " "
		writeJSON(rw, fn())
	})
}

func refused(code string) map[string]any {
	return map[string]any{"code": code, "message": "no", "objectType": "KalturaAPIException", "args": []any{}}
}

// TestReplacementStates: Kaltura converts new content in a hidden entry that takes over later, one at a time, and some
// accounts want that approved.
func TestReplacementStates(t *testing.T) {
	busy := func(a *account) func() any {
		return func() any {
			if a.other != 0 || a.replacement != replaceNone {
				return refused(codeReplacing)
			}
			a.token, a.replacement = tokenClosed, replaceApproved
			return a.entry()
		}
	}
	for name, c := range map[string]struct {
		set    func(a *account)
		calls  string
		reason string
	}{
		"approved by itself": {func(*account) {}, "updatecontent ", ""},
		"to be approved": {func(a *account) {
			a.change("media.updatecontent", func() any { a.token, a.replacement = tokenClosed, replaceUnapproved; return a.entry() })
		}, "updatecontent approvereplace ", ""},
		"not ours to approve": {func(a *account) {
			a.token, a.replacement = tokenClosed, replaceReady
			a.change("media.approvereplace", func() any { return refused(codeForbidden) })
		}, "approvereplace ", "replacement_not_approved"},
		"used before": {func(a *account) { a.token, a.replacement = tokenClosed, replaceApproved }, "", ""},
		"an older one under way": {func(a *account) {
			a.other, a.replacement = tokenMade-1, replaceApproved
			a.change("media.updatecontent", busy(a))
		}, "updatecontent cancelreplace updatecontent ", ""},
		"a younger one under way, perhaps ours": {func(a *account) {
			a.other, a.replacement = tokenMade+1, replaceApproved
			a.change("media.updatecontent", busy(a))
		}, "updatecontent ", "replacing"},
		"an earlier one failed": {func(a *account) {
			a.replacement = replaceFailed
			a.change("media.updatecontent", busy(a))
		}, "updatecontent cancelreplace updatecontent ", ""},
		"the answer was lost": {func(a *account) {
			a.change("media.updatecontent", func() any {
				a.token, a.replacement, a.other = tokenClosed, replaceApproved, tokenMade+1
				return refused(codeReplacing)
			})
		}, "updatecontent ", ""},
		"nothing was taken": {func(a *account) { a.change("media.updatecontent", func() any { return a.entry() }) }, "updatecontent ", "kaltura_garbled"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount(t)
			c.set(a)
			in, err := a.platform().Create(t.Context(), alice, gateway.NewMedia{Handle: "0_token", Size: 5})
			if err != nil {
				t.Fatal(err)
			}
			m, err := in.(gateway.Replacer).Replace(t.Context(), "0_entry", gateway.ManifestRef{}, gateway.ManifestRef{})
			if c.reason == "" && (err != nil || m.Replacing != gateway.MediaProcessing || m.Status != gateway.MediaReady) {
				t.Errorf("%+v, %v", m, err)
			}
			if c.reason != "" && !gateway.IsReason(err, c.reason) {
				t.Errorf("%v, want %s", err, c.reason)
			}
			if a.calls != c.calls {
				t.Errorf("called %q, want %q", a.calls, c.calls)
			}
		})
	}
}

// TestFailedReplacement: what plays is still there, and the new content is told to have failed.
func TestFailedReplacement(t *testing.T) {
	a := newAccount(t)
	a.replacement = replaceFailed
	a.raw("flavorasset.getbyentryid", "[]")
	m, err := a.platform().Get(t.Context(), alice, "0_entry")
	if err != nil || m.Replacing != gateway.MediaFailed || m.Status != gateway.MediaReady {
		t.Errorf("%+v, %v", m, err)
	}
}
