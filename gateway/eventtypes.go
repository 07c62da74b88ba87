package gateway

import (
	"slices"
	"strings"
	"time"
)

// EventType explains one kind of event: to who sets up a webhook, and in the documentation.
type EventType struct {
	Type        string
	Title       string // a few words
	Description string // when it happens and what it means
	Example     any    // of the event's data
}

// EventTypes is the catalogue of events that can happen, by type. A test reads the sources and fails
// when an event is appended that is not listed, or listed and never appended.
var EventTypes = []EventType{
	{"drop_file.changed", "Drop file goes on", "A file of a drop folder went one step further, or back. The state says which.", exampleDropFile(DropImporting, nil)},
	{"drop_file.deleted", "Drop file deleted", "A file was deleted from its drop folder, after its entry was ready or because somebody asked for it.", exampleDropFile(DropDeleted, nil)},
	{"drop_file.quarantined", "Drop file in quarantine", "A file cannot become an entry; the data say why and what to do.", exampleDropFile(DropQuarantined, &Problem{reasonTwin, "Another file has the same name, written with other characters.", "Rename one of them."})},
	{"drop_file.ready", "Drop file ready", "The entry of a file can be played; of a manifest, all its items are done.", exampleDropFile(DropReady, nil)},

	{"drop_folder.changed", "Drop folder changed", "The settings of a drop folder were changed.", exampleFolder(false, nil)},
	{"drop_folder.created", "Drop folder made", "A drop folder was made.", exampleFolder(false, nil)},
	{"drop_folder.deleted", "Drop folder removed", "A drop folder was removed; its files and entries stay.", exampleFolder(false, nil)},
	{"drop_folder.health", "Drop folder's health", "A drop folder cannot be looked at any more, for another reason than before, or it can again.", exampleFolder(false, &Problem{"directory_gone", "The directory is not there.", "Mount it again."})},
	{"drop_folder.paused", "Drop folder paused", "Nothing new begins in a drop folder.", exampleFolder(true, nil)},
	{"drop_folder.resumed", "Drop folder resumed", "A drop folder goes on.", exampleFolder(false, nil)},
	{"drop_folder.scanned", "Files found", "New files were found in a drop folder's directory or bucket, or some are no longer there. There is no event for each of those.", exampleFolder(false, nil)},

	{"import.cancelled", "Import cancelled", "Somebody stopped an import before it was done.", exampleItem(ItemCancelled, JobCancelled, 0.4, nil)},
	{"import.copied", "Import copied", "All bytes of a copy are here and are being prepared for playback.", exampleItem(ItemProcessing, JobRunning, 1, nil)},
	{"import.failed", "Import failed", "An import was given up; the data say why and what to do.", exampleItem(ItemFailed, JobFailed, 0.4, &Problem{"entry_gone", "The entry is not in Kaltura any more.", "Choose another entry."})},
	{"import.ready", "Import ready", "An imported item can be played.", exampleItem(ItemReady, JobDone, 1, nil)},
	{"import.requested", "Import requested", "Somebody asked for an import, which waits to begin.", exampleItem(ItemPending, JobQueued, 0, nil)},
	{"import.started", "Import started", "The bytes of a copy are being fetched.", exampleItem(ItemImporting, JobRunning, 0, nil)},
	{"import.waiting", "Import waiting", "An import waits, for example until Kaltura answers again, and goes on by itself.", exampleItem(ItemImporting, JobWaiting, 0.4, nil)},

	{"integration.changed", "Connection changed", "An admin changed the settings of the Kaltura connection.", exampleConnection},
	{"integration.connected", "Connected", "The hub was connected to a Kaltura account.", exampleConnection},
	{"integration.degraded", "Connection degraded", "Kaltura does not answer well. Work waits and goes on by itself.", exampleHealth(HealthDegraded, "Kaltura does not answer.")},
	{"integration.disconnected", "Disconnected", "An admin disconnected the hub from Kaltura.", map[string]any{}},
	{"integration.expiring", "App Token expiring", "The App Token ends soon; an admin has to make a new one in Kaltura.", map[string]any{"expires_at": exampleTime, "days_left": 14, "text": "The App Token expires on 1 December 2026.", "fix": "Make a new App Token and enter it in the settings."}},
	{"integration.privilege_lost", "Privilege lost", "The App Token may no longer do something that it could do before.", examplePrivilege("The token may not list the whole account.")},
	{"integration.privilege_regained", "Privilege regained", "The App Token may again do something that it had lost.", examplePrivilege("The token may list the whole account.")},
	{"integration.recovered", "Connection recovered", "Kaltura answers again; what waited goes on.", exampleHealth(HealthOK, "")},

	{"job.cancelled", "Job cancelled", "A piece of long work was stopped.", exampleJob(JobCancelled, 0.4)},
	{"job.cancelling", "Job being cancelled", "Somebody asked a running job to stop, which it does within a second.", exampleJob(JobRunning, 0.4)},
	{"job.done", "Job done", "A piece of long work is done.", exampleJob(JobDone, 1)},
	{"job.failed", "Job failed", "A piece of long work was given up.", exampleJob(JobFailed, 0.4)},

	{"library.changed", "Item changed", "The name or picture of an imported item changed in Kaltura.", exampleItem(ItemReady, JobDone, 1, nil)},
	{"library.item_exported", "Item sent to Kaltura", "The spaces platform's own medium is an entry in Kaltura now and can be played there.", exampleItem(ItemReady, JobDone, 1, nil)},
	{"library.item_imported", "Item imported", "Somebody imported an entry, for the spaces platform to take over. The address opens the file without a token for an hour; it is there when the item is the hub's to see.", exampleAnnouncement(true)},
	{"library.item_registered", "Item registered", "The spaces platform registered a medium of its own; its file is on its way.", exampleItem(ItemPending, JobQueued, 0, nil)},
	{"library.item_removed", "Item removed", "An item was removed from the library.", GoneNews{exampleItemID}},
	{"library.item_renamed", "Item renamed", "The name, tags or 360° mark of the spaces platform's own medium changed.", exampleItem(ItemReady, JobDone, 1, nil)},
	{"library.item_shared", "Item shared", "An item was shared with the whole hub.", exampleAnnouncement(true)},
	{"library.item_unshared", "Item no longer shared", "An item is its importer's or owner's alone again.", GoneNews{exampleItemID}},
	{"library.source_found", "Source found again", "The Kaltura entry of an item is there again.", exampleItem(ItemReady, JobDone, 1, nil)},
	{"library.source_lost", "Source lost", "The Kaltura entry of an item is gone; a link no longer plays.", exampleItem(ItemReady, JobDone, 1, nil)},

	{"mapping.conflict", "Mapping in conflict", "A person fits several Kaltura users; an admin has to choose.", exampleMapping(MappingConflict, MappedMatched)},
	{"mapping.created", "Mapping created", "A person was matched with a Kaltura user, or one was made for them.", exampleMapping(MappingActive, MappedProvisioned)},
	{"mapping.linked", "Mapping linked", "An admin linked a person with a Kaltura user by hand.", exampleMapping(MappingActive, MappedManual)},
	{"mapping.pending", "Mapping to be approved", "A person waits for an admin to approve their Kaltura user.", exampleMapping(MappingPending, MappedMatched)},
	{"mapping.unlinked", "Mapping unlinked", "An admin cut the link between a person and a Kaltura user.", exampleMapping(MappingUnlinked, MappedMatched)},

	{"media.tagged", "Media marked as 360°", "An entry in Kaltura got the tag 360.", map[string]any{"tag": Tag360}},

	{"member.erased", "Member erased", "The data of a member were erased; the id leads to nobody any more.", map[string]any{"participant_id": exampleMemberID}},
	{"member.erasing", "Member being erased", "A member's data are being erased; they are out at once.", exampleMember(true, true)},
	{"member.left", "Member left", "The identity provider or an admin says that a member has left. What they made stays.", exampleMember(true, false)},
	{"member.reinstated", "Member reinstated", "A suspended member is let in again.", exampleMember(false, false)},
	{"member.signed_out", "Member signed out", "The identity provider ended a member's browser sessions.", exampleMember(false, false)},
	{"member.suspended", "Member suspended", "A member is shut out until somebody reinstates them.", exampleMember(true, true)},

	{"transfer.cancelled", "Transfer cancelled", "A transfer ended and none of its files was finished.", exampleTransfer(TransferCancelled)},
	{"transfer.changed", "Transfer changed", "Policy, rate or order of a transfer were changed.", exampleTransfer(TransferOpen)},
	{"transfer.created", "Transfer announced", "A batch of files was announced; their bytes may be sent. There is no upload.created for each of them.", exampleTransfer(TransferOpen)},
	{"transfer.done", "Transfer done", "All files of a transfer have ended, at least one was finished. Each says what becomes of it by events of its own.", exampleTransfer(TransferDone)},
	{"transfer_account.changed", "Bandwidth changed", "An admin changed the hub's cap, policies or weights for transfers.", standardAccount("").news()},

	{"upload.cancelled", "Upload cancelled", "Somebody stopped an upload before its entry existed.", exampleUpload(UploadCancelled, 0, nil)},
	{"upload.created", "Upload announced", "A file was announced; its bytes may be sent.", exampleUpload(UploadReceiving, 0, nil)},
	{"upload.entry_created", "Entry created", "The entry of an upload exists in Kaltura and is being converted there.", exampleUpload(UploadProcessing, 0, nil)},
	{"upload.entry_found", "Entry found again", "The entry of an upload is in Kaltura again.", exampleUpload(UploadReady, 1, nil)},
	{"upload.entry_lost", "Entry lost", "The entry of an upload was removed in Kaltura.", exampleUpload(UploadReady, 1, nil)},
	{"upload.expired", "Upload expired", "An upload that was not finished in time was removed.", exampleUpload(UploadExpired, 0, nil)},
	{"upload.failed", "Upload failed", "An upload was given up; the data say why and what to do.", exampleUpload(UploadFailed, 0, &Problem{"digest_mismatch", "The file is not the one that was announced.", "Send it again."})},
	{"upload.finished", "Upload finished", "All bytes are here and checked; the file is on its way to Kaltura.", exampleUpload(UploadIngesting, 0, nil)},
	{"upload.ready", "Entry ready", "The entry of an upload can be played.", exampleUpload(UploadReady, 1, nil)},
	{"upload.retried", "Upload tried again", "A failed upload was taken up again.", exampleUpload(UploadIngesting, 0, nil)},
	{"upload.waiting", "Upload waiting", "An upload waits, for example until Kaltura answers again, and goes on by itself.", exampleUpload(UploadIngesting, 0, &Problem{"platform_unavailable", "Kaltura does not answer.", "Nothing to do: it goes on by itself."})},

	{"webhook.disabled", "Webhook switched off", "An endpoint was switched off because its receiver is gone or failed for three days.", map[string]any{"id": "whe_01kas5n8xq4q7m2w9r5t6y8z0a", "host": "hooks.example.org", "description": "Course catalogue", "reason": "It has failed for three days."}},
}

// EventTest is sent by Webhooks.Test only; nothing else happens then.
const EventTest = "webhook.test"

// asksFor tells whether one of the filters of an endpoint means a type: "*", a group such as "upload.*", or itself.
func asksFor(filters []string, typ string) bool {
	noun, _, _ := strings.Cut(typ, ".")
	return slices.Contains(filters, "*") || slices.Contains(filters, typ) || slices.Contains(filters, noun+".*")
}

// knownFilter tells whether a filter means at least one type of the catalogue.
func knownFilter(filter string) bool {
	return slices.ContainsFunc(EventTypes, func(t EventType) bool { return asksFor([]string{filter}, t.Type) })
}

func eventTypeNames() string {
	names := make([]string, len(EventTypes))
	for i, t := range EventTypes {
		names[i] = t.Type
	}
	return strings.Join(names, ", ")
}

// What the examples are about.
const (
	exampleTime     = "2026-11-21T10:00:00Z"
	exampleItemID   = "lib_01kas5n8xq4q7m2w9r5t6y8z0a"
	exampleUploadID = "upl_01kas5n8xq4q7m2w9r5t6y8z0a"
	exampleJobID    = "job_01kas5n8xq4q7m2w9r5t6y8z0a"
	exampleEntry    = "0_x8f2k1ab"
)

var exampleConnection = map[string]any{"visibility": VisibilityShared, "health": HealthOK}

func exampleAnnouncement(shared bool) Announcement {
	return Announcement{
		ItemNews: exampleItem(ItemReady, JobDone, 1, nil), Source: SourceKaltura, Shared: shared,
		Address: &Address{"https://isthmus.example.org/download/eyJhbGciOi…", time.Date(2026, 11, 21, 11, 0, 0, 0, time.UTC)},
	}
}

func exampleItem(state ItemState, job JobState, progress float64, p *Problem) ItemNews {
	return ItemNews{exampleItemID, exampleEntry, ItemCopy, "Beach walk", Video, true, state, exampleJobID, job, progress, p}
}

func exampleDropFile(state DropState, p *Problem) DropFileNews {
	n := DropFileNews{ID: "dfi_01kas5n8xq4q7m2w9r5t6y8z0a", FolderID: "dfo_01kas5n8xq4q7m2w9r5t6y8z0a", Name: "2026/beach walk 360.mp4", State: state, Size: 7_340_032, Problem: p}
	if state == DropReady || state == DropDeleted {
		n.EntryID = exampleEntry
	}
	return n
}

func exampleFolder(paused bool, p *Problem) DropFolderNews {
	return DropFolderNews{"dfo_01kas5n8xq4q7m2w9r5t6y8z0a", "Newsroom", DropDirectory, paused, p}
}

func exampleUpload(state UploadState, progress float64, p *Problem) UploadNews {
	n := UploadNews{ID: exampleUploadID, Name: "beach walk 360.mp4", State: state, Size: 7_340_032, Received: 7_340_032, Progress: progress, Is360: true, Problem: p}
	if state == UploadProcessing || state == UploadReady {
		n.EntryID = exampleEntry
	}
	if state == UploadReceiving {
		n.Received = 0
	}
	return n
}

func exampleTransfer(state TransferState) TransferNews {
	n := TransferNews{ID: "trf_01kas5n8xq4q7m2w9r5t6y8z0a", State: state, Policy: PolicyFair, Device: "editing room", Files: 3, Size: 22_020_096}
	if state != TransferOpen {
		n.FilesDone = n.Files
	}
	if state == TransferDone {
		n.Received = n.Size
	}
	return n
}

func exampleJob(state JobState, progress float64) JobNews {
	return JobNews{exampleJobID, "import", exampleItemID, state, progress}
}

func exampleHealth(h Health, text string) map[string]any {
	return map[string]any{"health": h, "text": text, "since": exampleTime}
}

func examplePrivilege(text string) map[string]any {
	return map[string]any{"privilege": "list_all", "needed": true, "text": text, "fix": "Add list:* to the token's privileges."}
}

const exampleMemberID = "par_01kas5n8xq4q7m2w9r5t6y8z0a"

func exampleMember(suspended, held bool) map[string]any {
	return map[string]any{"participant_id": exampleMemberID, "suspended": suspended, "held": held}
}

func exampleMapping(state MappingState, how MappingHow) map[string]any {
	return map[string]any{"state": state, "how": how, "platform_user_id": "pat@example.org", "participant_id": "par_01kas5n8xq4q7m2w9r5t6y8z0a"}
}
