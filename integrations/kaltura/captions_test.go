package kaltura

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"isthmus/gateway"
)

const captionList = `{"totalCount":5,"objects":[
 {"id":"0_srt12345","entryId":"0_ibxqqyzw","language":"English","languageCode":"en","label":"English","format":"1","isDefault":true,"status":2,"objectType":"KalturaCaptionAsset"},
 {"id":"0_ttml1234","entryId":"0_ibxqqyzw","language":"Portuguese (Brazil)","languageCode":"pt_br","format":2,"isDefault":0,"status":"2","displayOnPlayer":true,"objectType":"KalturaCaptionAsset"},
 {"id":"0_vtt12345","entryId":"0_ibxqqyzw","language":"Klingon","label":"tlhIngan","format":"3","status":2,"objectType":"KalturaCaptionAsset"},
 {"id":"0_hidden12","entryId":"0_ibxqqyzw","language":"German","languageCode":"de","format":"1","status":2,"displayOnPlayer":false,"objectType":"KalturaCaptionAsset"},
 {"id":"0_notready","entryId":"0_ibxqqyzw","language":"French","languageCode":"fr","format":"1","status":0,"objectType":"KalturaCaptionAsset"}],"objectType":"KalturaCaptionAssetListResponse"}`

const (
	srt  = "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nHello <i>there</i>\r\n\r\n2\r\n00:01:00,000 --> 00:01:01,000\r\n日本語\r\n"
	ttml = `<?xml version="1.0"?><tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="00:00:01.000" end="00:00:02.500">Olá</p></div></body></tt>`
)

func TestCaptions(t *testing.T) {
	w := newWire(t)
	w.on("media.get", "media/get-ready")
	w.raw("flavorasset.getByEntryId", "[]")
	w.raw("caption_captionasset.list", captionList)
	files := map[string]string{"0_srt12345": srt, "0_ttml1234": ttml, "0_vtt12345": "WEBVTT\n\n00:01.000 --> 00:02.000\nqapla'\n"}
	w.onFunc("caption_captionasset.serve", func(rw http.ResponseWriter, c call) {
		if c.params["ks"] != userKS {
			t.Errorf("served with %v", c.params["ks"])
		}
		id, _ := c.params["captionAssetId"].(string)
		if files[id] == "" {
			writeJSON(rw, map[string]any{"code": "CAPTION_ASSET_ID_NOT_FOUND", "message": "no", "objectType": "KalturaAPIException", "args": []any{}})
			return
		}
		rw.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(rw, files[id])
	})
	p := w.platform()
	m, err := p.Get(t.Context(), alice, "0_ibxqqyzw")
	if err != nil {
		t.Fatal(err)
	}
	want := []gateway.Caption{
		{ID: "0_srt12345", Language: "en", Label: "English", Format: "srt", Default: true},
		{ID: "0_ttml1234", Language: "pt-br", Label: "Portuguese (Brazil)", Format: "dfxp"},
		{ID: "0_vtt12345", Language: "und", Label: "tlhIngan", Format: "webvtt"},
	}
	if len(m.Captions) != len(want) {
		t.Fatalf("%+v", m.Captions)
	}
	for i, says := range []string{"Hello", "Olá", "qapla'"} {
		if m.Captions[i] != want[i] {
			t.Errorf("%+v, want %+v", m.Captions[i], want[i])
		}
		vtt, err := p.Caption(t.Context(), alice, m.Captions[i])
		if err != nil || !strings.HasPrefix(string(vtt), "WEBVTT") || !strings.Contains(string(vtt), says) {
			t.Errorf("%s: %v\n%s", m.Captions[i].ID, err, vtt)
		}
		if i < 2 && !strings.Contains(string(vtt), "00:00:01.000 --> 00:00:02.500") {
			t.Errorf("%s: %s", m.Captions[i].ID, vtt)
		}
	}
	_, err = p.Caption(t.Context(), alice, gateway.Caption{ID: "0_gone1234", Format: "srt"})
	if gateway.CodeOf(err) != gateway.NotFound {
		t.Errorf("%v", err)
	}
	files["0_srt12345"] = "\x00\x01 no captions at all"
	if _, err = p.Caption(t.Context(), alice, want[0]); err != nil && !gateway.IsReason(err, "caption_unreadable") {
		t.Errorf("%v", err)
	}
	// An account without the plugin has entries all the same.
	w.raw("caption_captionasset.list", `{"code":"SERVICE_DOES_NOT_EXISTS","message":"no","objectType":"KalturaAPIException","args":{"SRV_NAME":"caption_captionasset"}}`)
	if m, err = p.Get(t.Context(), alice, "0_ibxqqyzw"); err != nil || len(m.Captions) != 0 {
		t.Errorf("%+v, %v", m.Captions, err)
	}
	if strings.Contains(w.log.String(), "djJ8") {
		t.Error("a KS in the log")
	}
}

func TestWebVTT(t *testing.T) {
	for name, c := range map[string]struct{ in, format, want string }{
		"Windows' letters":  {"1\n00:00:01,000 --> 00:00:02,000\nGr\xfc\xdfe\n", "srt", "Grüße"},
		"WebVTT called SRT": {"WEBVTT\n\n00:01.000 --> 00:02.000\nx\n", "srt", "00:01.000"},
		"empty":             {"", "srt", "WEBVTT"},
	} {
		got, err := webVTT([]byte(c.in), c.format)
		if err != nil || !strings.Contains(string(got), c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := webVTT([]byte("<tt><body><p begin=\"never\">x</p>"), "dfxp"); err == nil {
		t.Error("broken TTML was read")
	}
}

// What comes out for whatever is sent is an error or WebVTT, and never a crash.
func FuzzWebVTT(f *testing.F) {
	f.Add([]byte(srt), true)
	f.Add([]byte(ttml), false)
	f.Fuzz(func(t *testing.T, b []byte, isSRT bool) {
		format := "dfxp"
		if isSRT {
			format = "srt"
		}
		if got, err := webVTT(b, format); err == nil && !strings.HasPrefix(string(got), "WEBVTT") {
			t.Errorf("%q became %q", b, got)
		}
	})
}
