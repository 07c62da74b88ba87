package kaltura

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recording is one exchange with a real Kaltura server.
type recording struct {
	Name    string `json:"name"`
	Request struct {
		URL    string            `json:"url"`
		Params map[string]string `json:"params"`
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
		JSON    json.RawMessage   `json:"json"`
	} `json:"response"`
}

func recorded(t testing.TB, name string) recording {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wire", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r recording
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// recordings walks all API exchanges that were recorded.
func recordings(t *testing.T, fn func(recording)) {
	t.Helper()
	root := filepath.Join("testdata", "wire")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimSuffix(strings.TrimPrefix(path, root+"/"), ".json")
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") || !strings.Contains(name, "/") || name == "pager/limits" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var r recording
		if json.Unmarshal(b, &r) == nil && strings.Contains(r.Request.URL, "/api_v3/") {
			fn(r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryRecordedAnswerIsSorted(t *testing.T) {
	seen := map[string]int{}
	recordings(t, func(r recording) {
		err := check("x.y", []byte(strings.TrimSpace(r.Response.Body)))
		var ae *apiError
		var f *fault
		var want struct{ Code, ObjectType string }
		_ = json.Unmarshal(r.Response.JSON, &want)
		switch {
		case r.Response.Status != http.StatusOK:
			return
		case want.ObjectType == "KalturaAPIException":
			seen["exception"]++
			if !errors.As(err, &ae) || ae.Code != want.Code {
				t.Errorf("%s: %v, want %s", r.Name, err, want.Code)
			} else if strings.Contains(err.Error(), "djJ8") {
				t.Errorf("%s: the error holds a KS: %v", r.Name, err)
			}
		case r.Response.Body == "":
			seen["empty"]++
			if !errors.As(err, &f) || f.Kind != faultGarbled {
				t.Errorf("%s: empty: %v", r.Name, err)
			}
		case strings.HasPrefix(r.Response.Body, "<"):
			seen["xml"]++
			if !errors.As(err, &f) || f.Kind != faultNotAPI {
				t.Errorf("%s: markup: %v", r.Name, err)
			}
		case json.Valid([]byte(r.Response.Body)):
			seen["good"]++
			if err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
	})
	if seen["exception"] < 50 || seen["good"] < 100 || seen["xml"] < 5 || seen["empty"] < 1 {
		t.Errorf("too few recordings were read: %v", seen)
	}
}

func TestRecordedObjectsAreDecoded(t *testing.T) {
	n := 0
	recordings(t, func(r recording) {
		body := []byte(strings.TrimSpace(r.Response.Body))
		if check("x.y", body) != nil || !json.Valid(body) {
			return
		}
		var o struct{ ObjectType string }
		if json.Unmarshal(body, &o) != nil {
			if strings.HasPrefix(string(body), `[{"id":`) && strings.Contains(string(body), "KalturaFlavorAsset\"") && strings.Contains(r.Name, "getByEntryId") {
				var fs []flavorAsset
				if err := json.Unmarshal(body, &fs); err != nil || len(fs) == 0 || fs[0].SizeInBytes < 0 {
					t.Errorf("%s: %v", r.Name, err)
				}
				n++
			}
			return
		}
		var v any
		switch o.ObjectType {
		case "KalturaMediaEntry":
			v = &entry{}
		case "KalturaMediaListResponse", "KalturaBaseEntryListResponse":
			v = &list[entry]{}
		case "KalturaUser":
			v = &user{}
		case "KalturaUserListResponse":
			v = &list[user]{}
		case "KalturaUploadToken":
			v = &uploadToken{}
		case "KalturaSessionInfo", "KalturaStartWidgetSessionResponse":
			v = &sessionInfo{}
		case "KalturaPlaybackContext":
			v = &playbackContext{}
		case "KalturaAppToken":
			v = &appToken{}
		default:
			return
		}
		n++
		if err := json.Unmarshal(body, v); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
	})
	if n < 100 {
		t.Errorf("only %d objects were decoded", n)
	}
}

func TestNumbersAndTextsInEveryDress(t *testing.T) {
	var v struct {
		A, B, C, D, E, F number
		T, U, V          text
		X, Y, Z          flag
	}
	err := json.Unmarshal([]byte(`{"A":1,"B":"41155","C":"","D":null,"E":true,"F":1.9,"T":7,"U":"é","V":null,"X":"1","Y":true,"Z":"0"}`), &v)
	if err != nil || v.A != 1 || v.B != 41155 || v.C != 0 || v.D != 0 || v.E != 1 || v.F != 1 || v.T != "7" || v.U != "é" || v.V != "" || !v.X || !v.Y || v.Z {
		t.Errorf("%+v, %v", v, err)
	}
	if json.Unmarshal([]byte(`{"A":"twelve"}`), &v) == nil {
		t.Error("a word passed for a number")
	}
	if json.Unmarshal([]byte(`{"T":{}}`), &v) == nil {
		t.Error("an object passed for text")
	}
}

func TestThreeMeaningsOfInvalidKS(t *testing.T) {
	for name, want := range map[string]struct {
		renew, rights bool
	}{
		"errors/expired-ks-json":                  {renew: true},
		"apptoken/session-after-token-delete":     {renew: true},
		"errors/tampered-ks-v2":                   {renew: true},
		"errors/ks-of-unknown-partner":            {renew: true},
		"media/update-user-with-edit-other-entry": {rights: true},
		"media/addContent-not-owner":              {rights: true},
		"session/actionslimit-1-second-use":       {},
		"session/iprestrict-other-address":        {},
		"errors/ks-user-on-admin-action":          {rights: true},
	} {
		err := check("x.y", []byte(recorded(t, name).Response.Body))
		if renewable(err) != want.renew || notAllowed(err) != want.rights {
			t.Errorf("%s: renewable %v, not allowed %v (%v)", name, renewable(err), notAllowed(err), err)
		}
	}
}

func TestTokenHashVectorFromTheWire(t *testing.T) {
	r := recorded(t, "apptoken/startSession-sha256").Request.Params
	got := tokenHash("SHA256", r["ks"], "80b6909ea89eaa04cfe41c2d9e830d65")
	if got != r["tokenHash"] {
		t.Errorf("hash %s, recorded %s", got, r["tokenHash"])
	}
}

func TestRecordedEntryInOurWords(t *testing.T) {
	var e entry
	if err := json.Unmarshal([]byte(recorded(t, "media/get-ready").Response.Body), &e); err != nil {
		t.Fatal(err)
	}
	m := e.media()
	if m.ID != "0_ibxqqyzw" || m.OwnerID != "alice" || m.DurationMS != 12005 || m.Type != "video" || m.Status != "ready" ||
		m.ReferenceID != "lec-2" || m.ThumbVersion != "100002" || len(m.Tags) != 2 || m.Tags[1] != "week-1" || m.Is360() {
		t.Errorf("%+v", m)
	}
	var fs []flavorAsset
	if err := json.Unmarshal([]byte(recorded(t, "flavorasset/getByEntryId-ready").Response.Body), &fs); err != nil {
		t.Fatal(err)
	}
	rs := renditions(e, fs)
	if len(rs) != 7 || !rs[0].Original || rs[0].Size != 6599494 || rs[0].Label != "Original" || rs[1].Label != "360p" || rs[1].Bitrate != 509000 || !rs[1].Ready {
		t.Errorf("%+v", rs)
	}
}
