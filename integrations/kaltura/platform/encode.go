package platform

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// writeJSON writes a value as Kaltura does: objectType is the last member, nulls are left out,
// slashes are escaped and everything outside ASCII is \uXXXX.
func writeJSON(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int:
		b.WriteString(strconv.Itoa(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	case string:
		writeJSONString(b, v)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, e)
		}
		b.WriteByte(']')
	case dict:
		if len(v) == 0 {
			b.WriteString("[]")
			return
		}
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSONString(b, m.name)
			b.WriteByte(':')
			writeJSON(b, m.value)
		}
		b.WriteByte('}')
	case *object:
		b.WriteByte('{')
		for _, m := range v.members {
			if m.value == nil {
				continue
			}
			writeJSONString(b, m.name)
			b.WriteByte(':')
			writeJSON(b, m.value)
			b.WriteByte(',')
		}
		b.WriteString(`"objectType":`)
		writeJSONString(b, v.class)
		b.WriteByte('}')
	case *fault:
		writeJSON(b, dict{{"code", v.code}, {"message", v.message}, {"objectType", "KalturaAPIException"}, {"args", v.args}})
	default:
		panic(fmt.Sprintf("platform: no JSON form for %T", v))
	}
}

func writeJSONString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\' || r == '/':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r < 0x20 || r > 0x7e && r <= 0xffff:
			fmt.Fprintf(b, `\u%04x`, r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

var xmlEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#039;")

// writeXML writes the inside of an element. Nulls are empty elements unless ignoreNull.
func writeXML(b *strings.Builder, v any, ignoreNull bool) {
	switch v := v.(type) {
	case nil:
	case bool:
		if v {
			b.WriteByte('1')
		} else {
			b.WriteByte('0')
		}
	case int:
		b.WriteString(strconv.Itoa(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	case string:
		for _, r := range v {
			if r < 0x20 && r != '\n' && r != '\r' && r != '\t' || r == 0xfffe || r == 0xffff || r == utf8.RuneError {
				continue // XML 1.0 cannot carry these
			}
			if strings.ContainsRune(`&<>"'`, r) {
				b.WriteString(xmlEscape.Replace(string(r)))
			} else {
				b.WriteRune(r)
			}
		}
	case []any:
		for _, e := range v {
			b.WriteString("<item>")
			writeXML(b, e, ignoreNull)
			b.WriteString("</item>")
		}
	case dict:
		for _, m := range v {
			b.WriteString("<item>")
			xmlElement(b, "objectType", "KalturaApiExceptionArg")
			xmlElement(b, "name", m.name)
			xmlElement(b, "value", m.value)
			b.WriteString("</item>")
		}
	case *object:
		xmlElement(b, "objectType", v.class)
		b.WriteString("<relatedObjects></relatedObjects>")
		for _, m := range v.members {
			if m.value == nil && ignoreNull {
				continue
			}
			b.WriteString("<" + m.name + ">")
			writeXML(b, m.value, ignoreNull)
			b.WriteString("</" + m.name + ">")
		}
	case *fault:
		b.WriteString("<error>")
		xmlElement(b, "code", v.code)
		xmlElement(b, "message", v.message)
		xmlElement(b, "objectType", "KalturaAPIException")
		b.WriteString("<args>")
		writeXML(b, v.args, ignoreNull)
		b.WriteString("</args></error>")
	default:
		panic(fmt.Sprintf("platform: no XML form for %T", v))
	}
}

func xmlElement(b *strings.Builder, name string, v any) {
	b.WriteString("<" + name + ">")
	writeXML(b, v, false)
	b.WriteString("</" + name + ">")
}

// writePHP writes a value in PHP's serialisation format, which the PHP client asks for.
func writePHP(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("N;")
	case bool:
		if v {
			b.WriteString("b:1;")
		} else {
			b.WriteString("b:0;")
		}
	case int:
		fmt.Fprintf(b, "i:%d;", v)
	case int64:
		fmt.Fprintf(b, "i:%d;", v)
	case float64:
		b.WriteString("d:" + strconv.FormatFloat(v, 'g', -1, 64) + ";")
	case string:
		fmt.Fprintf(b, "s:%d:\"%s\";", len(v), v)
	case []any:
		fmt.Fprintf(b, "a:%d:{", len(v))
		for i, e := range v {
			fmt.Fprintf(b, "i:%d;", i)
			writePHP(b, e)
		}
		b.WriteByte('}')
	case dict:
		fmt.Fprintf(b, "a:%d:{", len(v))
		for _, m := range v {
			writePHP(b, m.name)
			writePHP(b, m.value)
		}
		b.WriteByte('}')
	case *object:
		n := 0
		for _, m := range v.members {
			if m.value != nil {
				n++
			}
		}
		fmt.Fprintf(b, "O:%d:\"%s\":%d:{", len(v.class), v.class, n)
		for _, m := range v.members {
			if m.value != nil {
				writePHP(b, m.name)
				writePHP(b, m.value)
			}
		}
		b.WriteByte('}')
	case *fault:
		writePHP(b, dict{{"code", v.code}, {"message", v.message}, {"objectType", "KalturaAPIException"}, {"args", v.args}})
	default:
		panic(fmt.Sprintf("platform: no PHP form for %T", v))
	}
}
