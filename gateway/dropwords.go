package gateway

// DropStateWords say what a state means.
type DropStateWords struct {
	State       DropState
	Title, Text string
	Kaltura     string // name of the status in KalturaDropFolderFileStatus
}

// DropStateTexts are the words of all states, in the order in which a file passes through them.
var DropStateTexts = []DropStateWords{
	{DropDetected, "Detected", "Seen, but nothing says yet that it is whole.", "DETECTED"},
	{DropUploading, "Uploading", "It is being sent, or still written.", "UPLOADING"},
	{DropParsed, "Expected", "A manifest names it; it has not come yet.", "PARSED"},
	{DropPending, "Pending", "It is whole; its turn comes.", "PENDING"},
	{DropWaiting, "Waiting", "It waits for other files, or for its manifest.", "WAITING"},
	{DropNoMatch, "No match", "It waits for an entry with its reference id.", "NO_MATCH"},
	{DropImporting, "Importing", "Its bytes are taken and handed to Kaltura.", "DOWNLOADING"},
	{DropProcessing, "Processing", "The entry is there and is being converted; of a manifest: its items are run.", "PROCESSING"},
	{DropReady, "Ready", "Done, and verified.", "HANDLED"},
	{DropDue, "Deletion due", "Done, and will be deleted when its time has come.", "HANDLED"},
	{DropDeleted, "Deleted", "Deleted by this server.", "DELETED"},
	{DropGone, "Gone", "Removed by others.", "PURGED"},
	{DropIgnored, "Ignored", "Left alone.", "IGNORE"},
	{DropQuarantined, "Quarantined", "It cannot go on; its reason says why, and what to do.", "ERROR_HANDLING"},
}

// DropReasonWords say what a reason means. A file's own text and next step are more exact.
type DropReasonWords struct{ Reason, Title, Fix string }

// DropReasonTexts are the words of the reasons for which files cannot go on.
var DropReasonTexts = []DropReasonWords{
	{reasonTwin, "Another file has this name", "Rename one of them: to Kaltura both are the same name."},
	{reasonEmpty, "The file is empty", "Send it again."},
	{reasonUnreadable, "The file cannot be read", "Give the server the right to read it, then retry."},
	{reasonFetch, "The bytes could not be fetched", "Look at the folder's health, then retry."},
	{reasonFile, "The new content waits for approval in Kaltura", "Approve it in the KMC, or let the account replace content without that; then retry."},
	{reasonQueue, "The work could not be begun", "Retry."},
	{reasonStaging, "The bytes could not be stored here", "Look at the server's disk, then retry."},
	{reasonSlug, "The name does not fit the folder's expression", "Rename the file, or correct the expression and retry."},
	{reasonFlavor, "The rendition in its name is not known", "Rename the file, or make flavour parameters of that name in Kaltura."},
	{reasonNoMatch, "No entry has its reference id", "Make the entry, match the file by hand, or take it now, as an entry of its own."},
	{reasonNotAccepted, "Its kind is not taken", "Convert it, or have the folder ignore such names."},
	{reasonWrongSize, "Its size is not what the manifest says", "Send the file again, or correct the manifest."},
	{reasonWrongSum, "Its checksum is not what the manifest says", "Send the file again, or correct the manifest."},
	{reasonMalformed, "The manifest cannot be read", "Correct it at the line that is named and send it again; the validator shows all faults."},
	{reasonTooLarge, "The manifest is too large", "Split it into several."},
	{reasonNoItems, "The manifest has no items", "Send one that has."},
	{reasonOrphan, "Files that the manifest names did not come", "Send them; it goes on by itself."},
	{reasonNoManifest, "No manifest names the file", "Send a manifest that does, or take it now, by itself."},
	{reasonItemsStart, "The items could not be begun", "Retry."},
	{reasonItems, "Items of the manifest failed", "See its items; correct them in a new manifest, or retry."},
	{reasonAdd, "The entry could not be made", "Look at the connection to Kaltura, then retry."},
	{reasonUpdate, "The entry could not be changed", "Look at the connection to Kaltura, then retry."},
	{reasonContent, "The content could not be handed to Kaltura", "Look at the connection to Kaltura, then retry."},
	{reasonConversion, "Kaltura could not convert it", "Look at the file, or reprocess it with another conversion profile."},
	{reasonDelete, "The file could not be deleted", "Give the server the right to delete it; it is tried again."},
}
