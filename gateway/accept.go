package gateway

import (
	"slices"
	"strings"
)

// Acceptance says which files may be uploaded, judged by name and content type before the first
// byte. It is a courtesy that spares people a long wait: what a file really is, Pipeline.Inspect decides.
type Acceptance struct {
	Types   []MediaType // empty = video, image and audio
	Endings []string    // further limit to these file name endings, lower case without dot; empty = all we can play
}

// playable are the endings that the pipeline takes, by media type.
var playable = map[MediaType][]string{
	Video: {"mp4", "m4v", "mov", "webm", "mkv", "avi", "mpg", "mpeg", "ts", "m2ts", "mts", "3gp", "ogv", "wmv", "flv"},
	Image: {"jpg", "jpeg", "png", "webp", "gif"},
	Audio: {"mp3", "m4a", "aac", "wav", "flac", "ogg", "oga", "opus"},
}

// typeOf guesses the media type from the name, else from the content type; Other when neither says.
func typeOf(name, contentType string) MediaType {
	e := ending(name)
	for t, endings := range playable {
		if slices.Contains(endings, e) {
			return t
		}
	}
	main, sub, _ := strings.Cut(strings.ToLower(contentType), "/")
	sub, _, _ = strings.Cut(sub, ";")
	switch {
	case strings.HasPrefix(sub, "svg"), strings.HasSuffix(sub, "mpegurl"): // programs and playlists that call themselves media
		return Other
	case e != "" && refused[e]:
		return Other
	case main == "video":
		return Video
	case main == "image":
		return Image
	case main == "audio":
		return Audio
	}
	return Other
}

// refused are endings that no content type makes acceptable.
var refused = map[string]bool{
	"svg": true, "m3u8": true, "m3u": true, "mpd": true, "txt": true, "srt": true, "vtt": true, "html": true, "htm": true,
	"exe": true, "js": true, "php": true, "sh": true, "zip": true, "pdf": true, "xml": true,
}

// check gives the media type of an acceptable file.
func (p Acceptance) check(name, contentType string) (MediaType, error) {
	t := typeOf(name, contentType)
	types := p.Types
	if len(types) == 0 {
		types = []MediaType{Video, Image, Audio}
	}
	if slices.Contains(types, t) && (len(p.Endings) == 0 || slices.Contains(p.Endings, ending(name))) {
		return t, nil
	}
	var list []string
	for _, t := range types {
		for _, e := range playable[t] {
			if len(p.Endings) == 0 || slices.Contains(p.Endings, e) {
				list = append(list, e)
			}
		}
	}
	return Other, E(Invalid, "type_not_accepted", "This kind of file is not accepted.").
		Next("Send one of: %s.", strings.Join(list, ", ")).At("/name")
}
