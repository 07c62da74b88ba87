package kaltura

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/asticode/go-astisub"
	"golang.org/x/text/encoding/charmap"

	"isthmus/gateway"
)

// captionLimit bounds a caption file. A feature film's is some 100 kB.
const captionLimit = 8 << 20

type captionAsset struct {
	ID              text   `json:"id"`
	Language        text   `json:"language"` // in English words
	LanguageCode    text   `json:"languageCode"`
	Label           text   `json:"label"`
	Format          text   `json:"format"`
	IsDefault       flag   `json:"isDefault"`
	DisplayOnPlayer *flag  `json:"displayOnPlayer"`
	Status          number `json:"status"`
}

const captionReady = 2

// captionFormats are Kaltura's numbers.
var captionFormats = map[text]string{"1": "srt", "2": "dfxp", "3": "webvtt", "4": "cap", "5": "scc"}

// convertible are the formats that we can make WebVTT of.
var convertible = []string{"srt", "dfxp", "webvtt"}

// captions lists the text tracks of an entry. Accounts without them refuse the question, or do not
// know it: then there are none.
func (p *Platform) captions(ctx context.Context, w who, id string) ([]gateway.Caption, error) {
	if !entryIDs.MatchString(id) {
		return nil, nil
	}
	var l list[captionAsset]
	err := p.as(ctx, w, "caption_captionasset.list", params{
		"filter": params{"objectType": "KalturaCaptionAssetFilter", "entryIdEqual": id},
		"pager":  params{"pageSize": pageMax, "pageIndex": 1},
	}, &l)
	if code(err) != "" && !renewable(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := []gateway.Caption{}
	for _, c := range l.Objects {
		format := captionFormats[c.Format]
		if c.Status != captionReady || c.DisplayOnPlayer != nil && !bool(*c.DisplayOnPlayer) || !entryIDs.MatchString(string(c.ID)) || !slices.Contains(convertible, format) {
			continue
		}
		out = append(out, gateway.Caption{
			ID: string(c.ID), Language: languageTag(c), Label: first(string(c.Label), string(c.Language)), Format: format, Default: bool(c.IsDefault),
		})
	}
	return out, nil
}

var languageTags = regexp.MustCompile(`^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$`)

// languageTag is the language as players want it (RFC 5646), "und" when Kaltura does not tell.
func languageTag(c captionAsset) string {
	if s := string(c.LanguageCode); languageTags.MatchString(s) {
		return strings.ReplaceAll(s, "_", "-")
	}
	return "und"
}

// Caption implements gateway.Captioner.
func (p *Platform) Caption(ctx context.Context, a gateway.Actor, c gateway.Caption) ([]byte, error) {
	missing := gateway.E(gateway.NotFound, "caption_not_found", "Kaltura does not have these captions any more.").Next("Load the media again.")
	if !entryIDs.MatchString(c.ID) {
		return nil, missing
	}
	w, err := p.person(ctx, a)
	if err != nil {
		return nil, public(err)
	}
	var b []byte
	err = p.with(ctx, w, func(s session) error {
		b, err = p.file(ctx, "caption_captionasset.serve", params{"captionAssetId": c.ID}, s.ks)
		return err
	})
	switch code(err) {
	case "CAPTION_ASSET_ID_NOT_FOUND", "CAPTION_ASSET_IS_NOT_READY":
		return nil, missing.Because(err)
	}
	if err != nil {
		return nil, public(err)
	}
	vtt, err := webVTT(b, c.Format)
	if err != nil {
		return nil, gateway.E(gateway.Invalid, "caption_unreadable", "These captions cannot be read.").
			Next("Ask the owner of the media to upload them again as SRT or WebVTT.").Because(err)
	}
	return vtt, nil
}

// file posts an action that answers with a file, which may be at a redirect's end.
func (p *Platform) file(ctx context.Context, op string, q params, ks gateway.Secret) ([]byte, error) {
	var b []byte
	_, err := p.guard.again(ctx, op, func(ctx context.Context) (answer, error) {
		all := params{"format": formatJSON, "clientTag": clientTag, "ks": ks.Reveal()}
		maps.Copy(all, q)
		body, err := json.Marshal(all)
		if err != nil {
			return answer{}, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.action(p.base, op), bytes.NewReader(body))
		if err != nil {
			return answer{}, err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := p.http.Do(req)
		if err != nil {
			return answer{}, netFault(op, err)
		}
		if res.StatusCode >= 300 && res.StatusCode < 400 { // to where files lie; the session does not go along
			_ = res.Body.Close()
			if res, err = p.get(ctx, op, res.Header.Get("Location"), nil); err != nil {
				return answer{}, err
			}
		}
		res.Body = idle(res.Body, p.silence())
		defer func() { _ = res.Body.Close() }()
		if err := statusFault(op, res); err != nil {
			return answer{}, err
		}
		if b, err = io.ReadAll(io.LimitReader(res.Body, captionLimit+1)); err != nil {
			return answer{}, netFault(op, err)
		}
		if len(b) > captionLimit {
			return answer{}, &fault{Op: op, Kind: faultTooLarge}
		}
		if kind := res.Header.Get("Content-Type"); strings.HasPrefix(kind, "application/json") || strings.HasPrefix(strings.TrimSpace(string(b[:min(len(b), 64)])), `{"`) {
			return answer{}, check(op, bytes.TrimSpace(b))
		}
		return answer{}, nil
	})
	return b, err
}

// webVTT turns captions into WebVTT, the one format that browsers take.
func webVTT(b []byte, format string) (vtt []byte, err error) {
	defer func() { // the library stumbles over some broken files
		if r := recover(); r != nil {
			vtt, err = nil, fmt.Errorf("captions: %v", r)
		}
	}()
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(b) { // old subtitles are in Windows' Western encoding
		if b, err = charmap.Windows1252.NewDecoder().Bytes(b); err != nil {
			return nil, err
		}
	}
	// What is called SRT often is WebVTT, and the other way round.
	var s *astisub.Subtitles
	switch {
	case bytes.HasPrefix(b, []byte("WEBVTT")):
		return b, nil
	case format == "dfxp":
		s, err = astisub.ReadFromTTML(bytes.NewReader(b))
	default:
		s, err = astisub.ReadFromSRT(bytes.NewReader(b))
	}
	if err != nil {
		return nil, err
	}
	if len(s.Items) == 0 {
		return []byte("WEBVTT\n"), nil
	}
	var out bytes.Buffer
	err = s.WriteToWebVTT(&out)
	return out.Bytes(), err
}
