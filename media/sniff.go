package media

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf8"

	"isthmus/gateway"
)

// format is a kind of file that we take. The demuxer is forced: ffmpeg's own guessing would follow
// a playlist that calls itself video.mp4 to other files.
type format struct {
	name     string // as in Inspection.Container
	kind     gateway.MediaType
	mime     string
	demuxer  string   // -f
	allow    string   // -format_whitelist
	decoders []string // -codec_whitelist
}

const (
	webmDemuxer = "matroska,webm"
	movDemuxer  = "mov,mp4,m4a,3gp,3g2,mj2"
)

var (
	videoDecoders = []string{"h264", "hevc", "vp8", "vp9", "libvpx", "libvpx-vp9", "av1", "libdav1d", "mpeg4", "prores"}
	audioDecoders = []string{
		"aac", "mp3", "mp3float", "opus", "libopus", "vorbis", "flac", "alac", "ac3", "eac3",
		"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_u8", "mjpeg", "png",
	} // the last two for cover art
	avDecoders = append(append([]string{}, videoDecoders...), audioDecoders...)
	// ffprobe opens (but never runs) a decoder for every track and gives up when it may not.
	textDecoders = "mov_text,subrip,srt,ass,ssa,webvtt,text,dvdsub,dvbsub,pgssub,cc_dec"
)

var (
	formatMP4  = format{"mp4", gateway.Video, "video/mp4", "mov", movDemuxer, avDecoders}
	formatMOV  = format{"mov", gateway.Video, "video/quicktime", "mov", movDemuxer, avDecoders}
	formatM4A  = format{"m4a", gateway.Audio, "audio/mp4", "mov", movDemuxer, avDecoders}
	formatMKV  = format{"mkv", gateway.Video, "video/x-matroska", "matroska", webmDemuxer, avDecoders}
	formatWebM = format{"webm", gateway.Video, "video/webm", "matroska", webmDemuxer, avDecoders}
	formatTS   = format{"mpegts", gateway.Video, "video/mp2t", "mpegts", "mpegts", avDecoders}
	formatMP3  = format{"mp3", gateway.Audio, "audio/mpeg", "mp3", "mp3", audioDecoders}
	formatAAC  = format{"aac", gateway.Audio, "audio/aac", "aac", "aac", audioDecoders}
	formatWAV  = format{"wav", gateway.Audio, "audio/wav", "wav", "wav", audioDecoders}
	formatFLAC = format{"flac", gateway.Audio, "audio/flac", "flac", "flac", audioDecoders}
	formatOGG  = format{"ogg", gateway.Audio, "audio/ogg", "ogg", "ogg", audioDecoders}
	formatJPEG = format{"jpeg", gateway.Image, "image/jpeg", "jpeg_pipe", "jpeg_pipe", []string{"mjpeg"}}
	formatPNG  = format{"png", gateway.Image, "image/png", "png_pipe", "png_pipe", []string{"png"}}
	formatWebP = format{"webp", gateway.Image, "image/webp", "webp_pipe", "webp_pipe", []string{"webp", "vp8"}}
	formatGIF  = format{"gif", gateway.Image, "image/gif", "gif", "gif", []string{"gif"}}
)

// inputArgs are the options that every reading of a file begins with.
func (f format) inputArgs() []string {
	return []string{
		"-protocol_whitelist", "file,pipe", "-f", f.demuxer, "-format_whitelist", f.allow,
		"-codec_whitelist", strings.Join(f.decoders, ","),
	}
}

const sniffSize = 4096

// sniff tells the format from a file's first bytes, never from its name.
func sniff(r io.ReaderAt, size int64) (format, error) {
	if size == 0 {
		return format{}, gateway.E(gateway.Invalid, "empty_file", "The file is empty.").
			Next("Check the file on your computer and upload it again.")
	}
	head := make([]byte, min(sniffSize, size))
	if _, err := r.ReadAt(head, 0); err != nil {
		return format{}, err
	}
	f, known := magic(head)
	switch {
	case known:
		return f, nil
	case looksLikePlaylist(head):
		return format{}, gateway.E(gateway.Invalid, "playlist_refused", "This is a playlist or a list of other files, not a media file.").
			Next("Upload the video, sound or picture itself.")
	}
	e := gateway.E(gateway.Invalid, "unknown_type", "This is not a kind of file that can be played here.").
		Next("Use MP4, MOV, WebM, MKV, MPEG-TS, MP3, M4A, AAC, WAV, FLAC, OGG, JPEG, PNG, WebP or GIF.")
	if isHEIF(head) {
		return format{}, e.Next("This is a HEIC or AVIF picture: export it as JPEG and upload that.")
	}
	return format{}, e
}

func magic(b []byte) (format, bool) {
	at := func(i int, s string) bool { return len(b) >= i+len(s) && string(b[i:i+len(s)]) == s }
	switch {
	case at(4, "ftyp"):
		if isHEIF(b) {
			return format{}, false
		}
		switch {
		case at(8, "qt  "):
			return formatMOV, true
		case at(8, "M4A "), at(8, "M4B "):
			return formatM4A, true
		}
		return formatMP4, true
	case (at(4, "moov") || at(4, "mdat") || at(4, "wide") || at(4, "free") || at(4, "skip")) && len(b) >= 16:
		return formatMOV, true // old QuickTime without ftyp
	case at(0, "\x1aE\xdf\xa3"):
		if bytes.Contains(b[:min(len(b), 64)], []byte("webm")) {
			return formatWebM, true
		}
		return formatMKV, true
	case at(0, "RIFF") && at(8, "WAVE"):
		return formatWAV, true
	case at(0, "RIFF") && at(8, "WEBP"):
		return formatWebP, true
	case at(0, "fLaC"):
		return formatFLAC, true
	case at(0, "OggS"):
		return formatOGG, true
	case at(0, "\xff\xd8\xff"):
		return formatJPEG, true
	case at(0, "\x89PNG\r\n\x1a\n"):
		return formatPNG, true
	case at(0, "GIF87a"), at(0, "GIF89a"):
		return formatGIF, true
	case at(0, "ID3"):
		return formatMP3, true
	case len(b) >= 377 && b[0] == 0x47 && b[188] == 0x47 && b[376] == 0x47:
		return formatTS, true
	case len(b) > 7 && b[0] == 0xff && b[1]&0xf6 == 0xf0:
		return formatAAC, true // ADTS: layer bits are 0
	case len(b) > 4 && b[0] == 0xff && b[1]&0xe6 == 0xe2 && b[2]&0xf0 != 0xf0 && b[2]&0x0c != 0x0c:
		return formatMP3, true // MPEG audio layer III with a sane bit rate and sampling rate
	}
	return format{}, false
}

func isHEIF(b []byte) bool {
	if len(b) < 12 || string(b[4:8]) != "ftyp" {
		return false
	}
	switch string(b[8:12]) {
	case "heic", "heix", "hevc", "mif1", "msf1", "avif", "avis":
		return true
	}
	return false
}

// looksLikePlaylist only chooses the words of the refusal: what has no known magic is refused anyway.
func looksLikePlaylist(b []byte) bool {
	text := strings.ToLower(strings.TrimSpace(string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))))
	for _, begin := range []string{"#extm3u", "ffconcat", "file ", "file:", "<mpd", "<smil", "<asx", "[playlist]", "[reference]", "v=0", "<playlist"} {
		if strings.HasPrefix(text, begin) {
			return true
		}
	}
	return utf8.ValidString(text) && strings.HasPrefix(text, "<?xml") &&
		(strings.Contains(text, "<mpd") || strings.Contains(text, "<smil") || strings.Contains(text, "compositionplaylist") || strings.Contains(text, "<playlist"))
}

func truncated(what string) error {
	return gateway.E(gateway.Invalid, "truncated", "The file is incomplete: "+what+".").
		Next("Copy or export it again, then upload the whole file.")
}

// whole finds out whether the end of the file is there, as far as its format tells.
func (f format) whole(r io.ReaderAt, size int64) error {
	var head [12]byte
	if _, err := r.ReadAt(head[:min(size, 12)], 0); err != nil {
		return err
	}
	switch f.name {
	case "jpeg":
		return tailHolds(r, size, "\xff\xd9", "the end of the picture is missing")
	case "png":
		return tailHolds(r, size, "IEND", "the end of the picture is missing")
	case "webp", "wav":
		// 0 and 2³²-1 are what programs write that do not know the size beforehand.
		n := int64(binary.LittleEndian.Uint32(head[4:]))
		if n != 0 && n != 0xffffffff && n+8 > size+1 {
			return truncated("its header announces more bytes than there are")
		}
	case "mp4", "mov", "m4a":
		return wholeMP4(r, size)
	case "mkv", "webm":
		return wholeMatroska(r, size)
	}
	return nil
}

func tailHolds(r io.ReaderAt, size int64, mark, what string) error {
	tail := make([]byte, min(size, 64<<10)) // trailing rubbish is common, this much is enough
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil {
		return err
	}
	if !bytes.Contains(tail, []byte(mark)) {
		return truncated(what)
	}
	return nil
}

// wholeMatroska compares the segment's announced size with the file's.
func wholeMatroska(r io.ReaderAt, size int64) error {
	at := int64(0)
	for range 8 {
		id, n, ok := ebmlNumber(r, at, size, false)
		if !ok {
			return truncated("its header is cut off")
		}
		length, m, ok := ebmlNumber(r, at+n, size, true)
		if !ok {
			return truncated("its header is cut off")
		}
		at += n + m
		if id == 0x18538067 { // Segment
			if length >= 0 && length > size-at {
				return truncated("its header announces more bytes than there are")
			}
			return nil
		}
		if length < 0 || length > size-at {
			return truncated("its header is cut off")
		}
		at += length
	}
	return nil
}

// ebmlNumber reads a variable-length number; as a length, "unknown" is -1.
func ebmlNumber(r io.ReaderAt, at, size int64, length bool) (value, n int64, ok bool) {
	var b [8]byte
	if at >= size {
		return 0, 0, false
	}
	if _, err := r.ReadAt(b[:min(8, size-at)], at); err != nil || b[0] == 0 {
		return 0, 0, false
	}
	n = 1
	for mask := byte(0x80); b[0]&mask == 0; mask >>= 1 {
		n++
	}
	if at+n > size {
		return 0, 0, false
	}
	unknown := true
	for i := range n {
		c := b[i]
		if i == 0 && length {
			c &= 0xff >> n
			unknown = c == 0xff>>n
		} else if c != 0xff {
			unknown = false
		}
		value = value<<8 | int64(c)
	}
	if length && unknown {
		return -1, n, true
	}
	return value, n, true
}
