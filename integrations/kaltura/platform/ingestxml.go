package platform

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// node is an element of an ingestion file.
type node struct {
	name  string
	attrs map[string]string
	text  string
	sub   []*node
}

// maxDepth of elements; the schema needs nine.
const maxDepth = 32

func (n *node) all(name string) []*node {
	var out []*node
	for _, s := range n.sub {
		if s.name == name {
			out = append(out, s)
		}
	}
	return out
}

// get gives the first element at a path, nil when there is none.
func (n *node) get(path ...string) *node {
	for _, name := range path {
		if n == nil {
			return nil
		}
		found := n.all(name)
		if len(found) == 0 {
			return nil
		}
		n = found[0]
	}
	return n
}

// val gives the text of an element, empty when there is none.
func (n *node) val(path ...string) string {
	if n = n.get(path...); n == nil {
		return ""
	}
	return strings.TrimSpace(n.text)
}

// readXML reads an ingestion file. Its errors are worded as the original's parser words them as far
// as a person reads them; entities other than XML's own are refused, none is ever fetched.
func readXML(data []byte) (*node, error) {
	text := string(data)
	if !strings.HasPrefix(strings.TrimLeft(strings.TrimPrefix(text, "\ufeff"), " \t\r\n"), "<") {
		return nil, itemError("Start tag expected, '<' not found\n at line 1")
	}
	d := xml.NewDecoder(strings.NewReader(text))
	root := &node{}
	stack := []*node{root}
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		var bad *xml.SyntaxError
		if errors.As(err, &bad) {
			return nil, itemError(fmt.Sprintf("%s\n at line %d", bad.Msg, bad.Line))
		}
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if len(stack) > maxDepth {
				line, _ := d.InputPos()
				return nil, itemError(fmt.Sprintf("Excessive depth in document: %d\n at line %d", maxDepth, line))
			}
			n := &node{name: t.Name.Local, attrs: map[string]string{}}
			for _, a := range t.Attr {
				n.attrs[a.Name.Local] = a.Value
			}
			top := stack[len(stack)-1]
			top.sub = append(top.sub, n)
			stack = append(stack, n)
		case xml.CharData:
			stack[len(stack)-1].text += string(t)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		}
	}
	if len(root.sub) != 1 {
		return nil, itemError("Document is empty\n at line 1")
	}
	return root.sub[0], nil
}

// itemOrder is the strict sequence of an item. Identity may be one or two elements of one step.
var itemOrder = [][]string{
	{"action"},
	{"type", "licenseType", "entryId", "referenceId", "parentReferenceId"},
	{"userId"},
	{"entitledUsersEdit"},
	{"entitledUsersPublish"},
	{"entitledUsersView"},
	{"name"},
	{"description"},
	{"keepManualThumbnails"},
	{"tags"},
	{"categories"},
	{"partnerData"},
	{"partnerSortData"},
	{"accessControlId", "accessControl"},
	{"conversionProfileId", "conversionProfile"},
	{"startDate"},
	{"endDate"},
	{"templateEntryId", "templateEntry"},
	{"media", "mix", "playlist", "data", "liveStream"},
	{"msDuration"},
	{"contentAssets"},
	{"thumbnails"},
	{"customDataItems", "subTitles", "scenes", "plugins"},
}

// itemLimits are the longest texts that the schema lets through.
var itemLimits = map[string]int{
	"entryId": 20, "referenceId": 2000, "parentReferenceId": 100, "userId": 100, "name": 256, "partnerData": 4000,
}

// checkXML says what is wrong with the form of an ingestion file, empty when nothing is.
func checkXML(root *node) string {
	if root.name != "mrss" {
		return fmt.Sprintf("Element '%s': No matching global declaration available for the validation root.", root.name)
	}
	channels := root.all("channel")
	if len(channels) == 0 {
		return "Element 'mrss': Missing child element(s). Expected is one of ( ks, channel )."
	}
	for _, c := range channels {
		if len(c.all("item")) == 0 {
			return "Element 'channel': Missing child element(s). Expected is ( item )."
		}
		for _, item := range c.all("item") {
			if problem := checkItem(item); problem != "" {
				return problem
			}
		}
	}
	return ""
}

func checkItem(item *node) string {
	step := 0
	seen := map[string]bool{}
	for _, n := range item.sub {
		at := slices.IndexFunc(itemOrder, func(names []string) bool { return slices.Contains(names, n.name) })
		last := len(itemOrder) - 1
		if at < step || seen[n.name] && at != last {
			return fmt.Sprintf("Element '%s': This element is not expected. Expected is one of ( %s ).", n.name, strings.Join(slices.Concat(itemOrder[step:]...), ", "))
		}
		step, seen[n.name] = at, true
		if limit := itemLimits[n.name]; limit > 0 && len([]rune(strings.TrimSpace(n.text))) > limit {
			return fmt.Sprintf("Element '%s': [facet 'maxLength'] The value has a length of '%d'; this exceeds the allowed maximum length of '%d'.",
				n.name, len([]rune(strings.TrimSpace(n.text))), limit)
		}
	}
	if action := item.val("action"); seen["action"] && !slices.Contains([]string{"add", "update", "delete"}, action) {
		return fmt.Sprintf("Element 'action': [facet 'enumeration'] The value '%s' is not an element of the set {'add', 'update', 'delete'}.", action)
	}
	if kind := item.val("media", "mediaType"); item.get("media") != nil && !slices.Contains([]string{"1", "2", "5"}, kind) {
		return fmt.Sprintf("Element 'mediaType': [facet 'enumeration'] The value '%s' is not an element of the set {'1', '2', '5'}.", kind)
	}
	for _, content := range files(item) {
		if content.attrs["filePath"] == "" {
			return "Element 'dropFolderFileContentResource': The attribute 'filePath' is required but missing."
		}
	}
	return ""
}

// files gives the elements of an item or a file that name files of the drop folder.
func files(n *node) []*node {
	var out []*node
	for _, s := range n.sub {
		if s.name == "dropFolderFileContentResource" {
			out = append(out, s)
		}
		out = append(out, files(s)...)
	}
	return out
}
