package kaltura

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"isthmus/gateway"
)

// Kaltura answers the same member as a number here and as a string there (recorded), so the wire
// types take both.

// number is an integer sent as a number, a numeric string, a boolean, an empty string or null.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	switch s {
	case "", "null", "false":
		*n = 0
		return nil
	case "true":
		*n = 1
		return nil
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		*n = number(i)
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("kaltura: %.40q is not a number", s)
	}
	*n = number(f)
	return nil
}

// text is a string that may also be sent as a number, a boolean or null.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	switch {
	case bytes.Equal(b, []byte("null")):
		*t = ""
		return nil
	case len(b) > 0 && b[0] == '"':
		return json.Unmarshal(b, (*string)(t))
	case len(b) > 0 && (b[0] == '{' || b[0] == '['):
		return fmt.Errorf("kaltura: text expected, got %c", b[0])
	}
	*t = text(b)
	return nil
}

// flag is a boolean that may also be sent as 0, 1, "0", "1", "true" or "false".
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(b []byte) error {
	switch strings.ToLower(strings.Trim(string(b), `"`)) {
	case "true", "1":
		*f = true
	default:
		*f = false
	}
	return nil
}

type params map[string]any

type list[T any] struct {
	TotalCount number `json:"totalCount"`
	Objects    []T    `json:"objects"`
}

type entry struct {
	ID           text   `json:"id"`
	Name         text   `json:"name"`
	Description  text   `json:"description"`
	UserID       text   `json:"userId"`
	Tags         text   `json:"tags"`
	Status       text   `json:"status"`
	MediaType    number `json:"mediaType"`
	CreatedAt    number `json:"createdAt"`
	UpdatedAt    number `json:"updatedAt"`
	ThumbnailURL text   `json:"thumbnailUrl"`
	DownloadURL  text   `json:"downloadUrl"`
	ReferenceID  text   `json:"referenceId"`
	Width        number `json:"width"`
	Height       number `json:"height"`
	Duration     number `json:"duration"`
	MSDuration   number `json:"msDuration"`
	// Comma list; absent where entitlement is in force.
	CategoriesIDs text `json:"categoriesIds"`

	PartnerData       text   `json:"partnerData"`
	SortValue         number `json:"partnerSortValue"`
	AccessControlID   number `json:"accessControlId"`
	ProfileID         number `json:"conversionProfileId"`
	StartDate         number `json:"startDate"`
	EndDate           number `json:"endDate"`
	CanEdit           text   `json:"entitledUsersEdit"`
	CanPublish        text   `json:"entitledUsersPublish"`
	CanView           text   `json:"entitledUsersView"`
	ParentID          text   `json:"parentEntryId"`
	ReplacingID       text   `json:"replacingEntryId"`
	ReplacementStatus number `json:"replacementStatus"`
}

// States of a replacement.
const (
	replaceNone       = 0
	replaceApproved   = 1 // and not ready
	replaceReady      = 2 // and not approved
	replaceUnapproved = 3 // and not ready
	replaceFailed     = 4
)

func (e entry) replacing() gateway.MediaStatus {
	switch e.ReplacementStatus {
	case replaceApproved, replaceReady, replaceUnapproved:
		return gateway.MediaProcessing
	case replaceFailed:
		return gateway.MediaFailed
	}
	return ""
}

type category struct {
	ID              number `json:"id"`
	Name            text   `json:"name"`
	FullName        text   `json:"fullName"`
	FullIDs         text   `json:"fullIds"` // "1>2"
	PrivacyContexts text   `json:"privacyContexts"`
}

type categoryEntry struct {
	CategoryID number `json:"categoryId"`
	EntryID    text   `json:"entryId"`
	FullIDs    text   `json:"categoryFullIds"`
}

// named is what is looked up by its number or its system name.
type named struct {
	ID         number `json:"id"`
	SystemName text   `json:"systemName"`
}

type metadata struct {
	ID        number `json:"id"`
	ProfileID number `json:"metadataProfileId"`
	ObjectID  text   `json:"objectId"`
	XML       text   `json:"xml"`
}

type thumbAsset struct {
	ID     text   `json:"id"`
	Tags   text   `json:"tags"`
	Status number `json:"status"`
}

type conversionProfile struct {
	ID               number `json:"id"`
	Name             text   `json:"name"`
	Type             number `json:"type"`
	IsDefault        flag   `json:"isDefault"`
	IsPartnerDefault flag   `json:"isPartnerDefault"`
}

const profileMedia = 1

type flavorAsset struct {
	ID              text   `json:"id"`
	Size            number `json:"size"` // KB, or bytes while queued: SizeInBytes is preferred
	SizeInBytes     number `json:"sizeInBytes"`
	Tags            text   `json:"tags"`
	FileExt         text   `json:"fileExt"`
	ContainerFormat text   `json:"containerFormat"`
	Width           number `json:"width"`
	Height          number `json:"height"`
	Bitrate         number `json:"bitrate"` // kbit/s
	IsOriginal      flag   `json:"isOriginal"`
	ParamsID        number `json:"flavorParamsId"`
	Status          number `json:"status"`
	Label           text   `json:"label"`
}

const flavorReady = 2

type user struct {
	ID        text   `json:"id"`
	Email     text   `json:"email"`
	FirstName text   `json:"firstName"`
	LastName  text   `json:"lastName"`
	Status    number `json:"status"`
}

const userActive = 1

type uploadToken struct {
	ID               text   `json:"id"`
	Status           number `json:"status"`
	UploadedFileSize number `json:"uploadedFileSize"`
	UploadURL        text   `json:"uploadUrl"`
	CreatedAt        number `json:"createdAt"`
	AttachedObjectID text   `json:"attachedObjectId"`
}

// States of an upload token.
const (
	tokenPending = 0
	tokenPartial = 1
	tokenFull    = 2
	tokenClosed  = 3
)

type sessionInfo struct {
	KS          text   `json:"ks"`
	SessionType number `json:"sessionType"`
	UserID      text   `json:"userId"`
	Expiry      number `json:"expiry"` // absolute, by the server's clock
	Privileges  text   `json:"privileges"`
}

type appToken struct {
	Expiry number `json:"expiry"`
}

type playbackContext struct {
	hidden  bool // the session may not even know of the entry
	Sources []struct {
		Format text `json:"format"`
		URL    text `json:"url"`
	} `json:"sources"`
	Actions []struct {
		Type number `json:"type"`
	} `json:"actions"`
	Messages []struct {
		Code    text `json:"code"`
		Message text `json:"message"`
	} `json:"messages"`
}

// unix turns Kaltura's seconds into a time; 0 is the zero time.
func unix(n number) time.Time {
	if n <= 0 || n > 253402300799 { // the end of the year 9999, beyond which JSON knows no times
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}
