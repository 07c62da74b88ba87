package gateway

import "slices"

// dropSteps are the allowed steps of a file. Steps back exist: bytes that changed while they were read make a file
// detected again, what is tried again is pending, and a file whose place was away for a while is what it was.
var dropSteps = map[DropState][]DropState{
	"":              {DropDetected, DropUploading, DropParsed, DropPending, DropIgnored, DropQuarantined},
	DropDetected:    {DropUploading, DropPending, DropDue, DropIgnored, DropQuarantined, DropGone, DropDeleted},
	DropUploading:   {DropDetected, DropPending, DropDue, DropIgnored, DropQuarantined, DropGone, DropDeleted},
	DropParsed:      {DropDetected, DropUploading, DropPending, DropIgnored, DropQuarantined, DropGone},
	DropPending:     {DropDetected, DropUploading, DropWaiting, DropNoMatch, DropImporting, DropProcessing, DropReady, DropDue, DropIgnored, DropQuarantined, DropGone, DropDeleted},
	DropWaiting:     {DropDetected, DropUploading, DropPending, DropNoMatch, DropImporting, DropProcessing, DropReady, DropDue, DropIgnored, DropQuarantined, DropGone, DropDeleted},
	DropNoMatch:     {DropDetected, DropUploading, DropPending, DropWaiting, DropImporting, DropDue, DropIgnored, DropQuarantined, DropGone, DropDeleted},
	DropImporting:   {DropDetected, DropPending, DropWaiting, DropProcessing, DropReady, DropQuarantined, DropGone},
	DropProcessing:  {DropPending, DropReady, DropQuarantined, DropGone},
	DropReady:       {DropPending, DropDue, DropDeleted, DropGone},
	DropDue:         {DropDetected, DropUploading, DropPending, DropWaiting, DropNoMatch, DropReady, DropIgnored, DropQuarantined, DropDeleted, DropGone},
	DropIgnored:     {DropDetected, DropUploading, DropPending, DropDue, DropDeleted, DropGone},
	DropQuarantined: {DropDetected, DropUploading, DropPending, DropWaiting, DropDue, DropIgnored, DropDeleted, DropGone},
	DropGone:        {DropDetected, DropReady, DropIgnored, DropQuarantined}, // the same file is back
	DropDeleted:     {},
}

// mayBecome tells whether a step is allowed.
func (s DropState) mayBecome(to DropState) bool { return slices.Contains(dropSteps[s], to) }

// Busy tells whether a file is being worked on: it is not deleted, and one that replaces it waits.
func (s DropState) Busy() bool { return s == DropImporting || s == DropProcessing }

// Live tells whether the file is there, or expected.
func (s DropState) Live() bool { return s != DropGone && s != DropDeleted }

// Why a file is in quarantine, or else cannot go on.
const (
	reasonUpdate      = "entry_update_failed"
	reasonAdd         = "entry_add_failed"
	reasonFlavor      = "flavor_unknown"
	reasonNoFlavor    = "flavor_missing"
	reasonSlug        = "slug_no_match"
	reasonUnreadable  = "file_unreadable"
	reasonFetch       = "fetch_failed"
	reasonFile        = "replacement_not_approved"
	reasonQueue       = "work_not_started"
	reasonConversion  = "conversion_failed"
	reasonDelete      = "delete_failed"
	reasonNoMatch     = "no_entry"
	reasonWrongSize   = "file_size_differs"
	reasonWrongSum    = "file_checksum_differs"
	reasonStaging     = "staging_failed"
	reasonItemsStart  = "items_not_started"
	reasonItems       = "items_failed"
	reasonMalformed   = "manifest_malformed"
	reasonContent     = "content_failed"
	reasonTooLarge    = "manifest_too_large"
	reasonTwin        = "name_twin"
	reasonEmpty       = "empty_file"
	reasonNotAccepted = "type_not_accepted"

	reasonUnverifiable = "unverifiable" // of a deletion: what the file became can never be compared with it
	reasonUnfinished   = "not_known_whole"
	reasonAway         = "server_away"
)

// blamed gives an error that has no reason of its own the one of what was being done.
func blamed(e *Error, reason string) *Error {
	if reason == "" || e.Reason != "" && e.Reason != "kaltura_refused" {
		return e
	}
	out := *e
	out.Reason = reason
	return &out
}

// kalturaXML is what Kaltura puts before the codes of its handler for XML.
const kalturaXML = "dropFolderXmlBulkUpload."

// dropErrors are Kaltura's error codes by our reasons. What is not here is an error in the content processor, 11.
var dropErrors = map[string]string{
	reasonUpdate: "1", reasonAdd: "2", reasonFlavor: "3", reasonNoFlavor: "4", reasonSlug: "5", reasonUnreadable: "6", reasonEmpty: "6",
	reasonFetch: "7", reasonFile: "8", reasonQueue: "10", reasonConversion: "11", reasonDelete: "12", reasonNoMatch: "13",
	reasonWrongSize:  kalturaXML + "LOCAL_FILE_WRONG_SIZE",
	reasonWrongSum:   kalturaXML + "LOCAL_FILE_WRONG_CHECKSUM",
	reasonStaging:    kalturaXML + "ERROR_WRITING_TEMP_FILE",
	reasonItemsStart: kalturaXML + "ERROR_ADDING_BULK_UPLOAD",
	reasonItems:      kalturaXML + "ERROR_IN_BULK_UPLOAD",
	reasonMalformed:  kalturaXML + "MALFORMED_XML_FILE",
	reasonContent:    kalturaXML + "ERROR_ADD_CONTENT_RESOURCE",
	reasonTooLarge:   kalturaXML + "XML_FILE_SIZE_EXCEED_LIMIT",
}

// dropStatuses are Kaltura's file statuses. Those of its errors depend on the reason, see KalturaFile.
var dropStatuses = map[DropState]int64{
	DropUploading: 1, DropPending: 2, DropWaiting: 3, DropReady: 4, DropDue: 4, DropIgnored: 5, DropDeleted: 6, DropGone: 7, DropNoMatch: 8,
	DropQuarantined: 9, DropImporting: 11, DropProcessing: 13, DropParsed: 14, DropDetected: 15,
}

// Kaltura's statuses of files that could not be deleted or fetched.
const (
	kalturaErrorDeleting    = 10
	kalturaErrorDownloading = 12
)

// KalturaFile gives the status and the error code ("" = none) that Kaltura has for a file of a state and reason, so
// that a file's history reads the same there and here.
func KalturaFile(state DropState, reason string) (status int64, code string) {
	status = dropStatuses[state]
	switch {
	case state == DropDue && reason == reasonDelete:
		return kalturaErrorDeleting, dropErrors[reason]
	case state != DropQuarantined:
		return status, ""
	}
	if code = dropErrors[reason]; code == "" {
		code = dropErrors[reasonConversion]
	}
	switch reason {
	case reasonFetch:
		status = kalturaErrorDownloading
	case reasonDelete:
		status = kalturaErrorDeleting
	}
	return status, code
}

// Kaltura's BatchJobStatus, as far as it says something to people.
const (
	kalturaBatchPending           = 0
	kalturaBatchQueued            = 1
	kalturaBatchFinished          = 5
	kalturaBatchFailed            = 6
	kalturaBatchAborted           = 7
	kalturaBatchFatal             = 10
	kalturaBatchDontProcess       = 11
	kalturaBatchFinishedPartially = 12
)

// FromKalturaBatch is our state of an XML that Kaltura reads, which it calls a bulk upload. What failed in part is, as with
// our own, quarantined; what is not known is being read.
func FromKalturaBatch(status int64) DropState {
	switch status {
	case kalturaBatchPending, kalturaBatchQueued:
		return DropParsed
	case kalturaBatchFinished:
		return DropReady
	case kalturaBatchDontProcess:
		return DropIgnored
	case kalturaBatchFailed, kalturaBatchAborted, kalturaBatchFatal, kalturaBatchFinishedPartially:
		return DropQuarantined
	}
	return DropProcessing
}

// FromKalturaFile is the way back: our state and reason ("" = none) of a file of one of Kaltura's own folders.
// What is not known there is detected.
func FromKalturaFile(status int64, code string) (DropState, string) {
	switch status {
	case kalturaErrorDeleting:
		return DropDue, reasonDelete
	case kalturaErrorDownloading:
		return DropQuarantined, reasonFetch
	}
	for state, n := range dropStatuses {
		if n != status || state == DropDue {
			continue
		}
		if state != DropQuarantined {
			return state, ""
		}
		for reason, c := range dropErrors {
			if c == code && reason != reasonEmpty {
				return state, reason
			}
		}
		return state, reasonConversion
	}
	return DropDetected, ""
}
