package gateway

import (
	"strconv"
	"testing"
)

var allDropStates = []DropState{
	DropDetected, DropUploading, DropPending, DropWaiting, DropNoMatch, DropParsed, DropImporting, DropProcessing, DropReady, DropDue,
	DropDeleted, DropGone, DropIgnored, DropQuarantined,
}

// A file's history reads as in Kaltura: each of its fifteen statuses and each of its error codes has one state and
// reason here, and leads back to it.
func TestDropFilesReadAsInKaltura(t *testing.T) {
	const xml = "dropFolderXmlBulkUpload."
	for _, c := range []struct {
		state  DropState
		reason string
		status int64
		code   string
	}{
		{DropUploading, "", 1, ""},
		{DropPending, "", 2, ""},
		{DropWaiting, "", 3, ""},
		{DropReady, "", 4, ""},
		{DropIgnored, "", 5, ""},
		{DropDeleted, "", 6, ""},
		{DropGone, "", 7, ""},
		{DropNoMatch, "", 8, ""},
		{DropQuarantined, "entry_update_failed", 9, "1"},
		{DropQuarantined, "entry_add_failed", 9, "2"},
		{DropQuarantined, "flavor_unknown", 9, "3"},
		{DropQuarantined, "flavor_missing", 9, "4"},
		{DropQuarantined, "slug_no_match", 9, "5"},
		{DropQuarantined, "file_unreadable", 9, "6"},
		{DropQuarantined, "fetch_failed", 12, "7"},
		{DropQuarantined, "replacement_not_approved", 9, "8"},
		{DropQuarantined, "work_not_started", 9, "10"},
		{DropQuarantined, "conversion_failed", 9, "11"},
		{DropDue, "delete_failed", 10, "12"},
		{DropQuarantined, "no_entry", 9, "13"},
		{DropQuarantined, "file_size_differs", 9, xml + "LOCAL_FILE_WRONG_SIZE"},
		{DropQuarantined, "file_checksum_differs", 9, xml + "LOCAL_FILE_WRONG_CHECKSUM"},
		{DropQuarantined, "staging_failed", 9, xml + "ERROR_WRITING_TEMP_FILE"},
		{DropQuarantined, "items_not_started", 9, xml + "ERROR_ADDING_BULK_UPLOAD"},
		{DropQuarantined, "items_failed", 9, xml + "ERROR_IN_BULK_UPLOAD"},
		{DropQuarantined, "manifest_malformed", 9, xml + "MALFORMED_XML_FILE"},
		{DropQuarantined, "content_failed", 9, xml + "ERROR_ADD_CONTENT_RESOURCE"},
		{DropQuarantined, "manifest_too_large", 9, xml + "XML_FILE_SIZE_EXCEED_LIMIT"},
		{DropImporting, "", 11, ""},
		{DropProcessing, "", 13, ""},
		{DropParsed, "", 14, ""},
		{DropDetected, "", 15, ""},
	} {
		if status, code := KalturaFile(c.state, c.reason); status != c.status || code != c.code {
			t.Errorf("%s %s: %d %q, not %d %q", c.state, c.reason, status, code, c.status, c.code)
		}
		if state, reason := FromKalturaFile(c.status, c.code); state != c.state || reason != c.reason {
			t.Errorf("%d %q: %s %q, not %s %q", c.status, c.code, state, reason, c.state, c.reason)
		}
	}
	// Kaltura knows less than we do: what is only ours is its nearest.
	for _, c := range []struct {
		state  DropState
		reason string
		status int64
		code   string
	}{
		{DropDue, "", 4, ""},
		{DropQuarantined, "name_twin", 9, "11"},
		{DropQuarantined, "empty_file", 9, "6"},
		{DropReady, "name_twin", 4, ""},
	} {
		if status, code := KalturaFile(c.state, c.reason); status != c.status || code != c.code {
			t.Errorf("%s %s: %d %q, not %d %q", c.state, c.reason, status, code, c.status, c.code)
		}
	}
	known := map[int64]bool{}
	for _, s := range allDropStates {
		status, _ := KalturaFile(s, "")
		known[status] = true
	}
	for _, status := range []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15} {
		if !known[status] {
			t.Error("no state for status " + strconv.FormatInt(status, 10))
		}
	}
}

func TestStepsOfDropFiles(t *testing.T) {
	for _, from := range allDropStates {
		if _, known := dropSteps[from]; !known {
			t.Errorf("%s leads nowhere and does not say so", from)
		}
		for _, to := range dropSteps[from] {
			if from == to {
				t.Errorf("%s leads to itself", from)
			}
		}
		reached := map[DropState]bool{}
		var walk func(DropState)
		walk = func(s DropState) {
			if !reached[s] {
				reached[s] = true
				for _, to := range dropSteps[s] {
					walk(to)
				}
			}
		}
		walk(from)
		if from != DropDeleted && !reached[DropReady] {
			t.Errorf("%s never gets ready", from)
		}
	}
	for _, c := range []struct {
		from, to DropState
		may      bool
	}{
		{DropDetected, DropImporting, false},  // only what is whole is imported
		{DropUploading, DropImporting, false}, //
		{DropParsed, DropImporting, false},    //
		{DropDetected, DropReady, false},      //
		{DropImporting, DropDeleted, false},   // safe delete: not while it is at work
		{DropProcessing, DropDeleted, false},  //
		{DropImporting, DropDue, false},       //
		{DropProcessing, DropDue, false},      //
		{DropIgnored, DropImporting, false},   // somebody has to take it back first
		{DropDeleted, DropPending, false},     // there is nothing any more
		{DropGone, DropImporting, false},      //
		{DropReady, DropImporting, false},     // never twice: by retry only, which is pending
		{DropImporting, DropDetected, true},   // changed while it was read
		{DropDue, DropReady, true},            // kept
		{DropGone, DropReady, true},           // an unmounted directory is back
		{DropQuarantined, DropPending, true},  // retry
	} {
		if c.from.mayBecome(c.to) != c.may {
			t.Errorf("%s to %s: %t", c.from, c.to, !c.may)
		}
	}
}
