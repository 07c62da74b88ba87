package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// auditWords says each action in words that are read after the actor's name. {x} is a value of the
// record's data. Whoever audits a new action adds a line.
var auditWords = map[string]string{
	"integration.connect":              "connected Kaltura account {partner_id}",
	"integration.change":               "changed the connection to Kaltura account {partner_id}",
	"integration.visibility":           "changed what people see from “{from}” to “{to}”",
	"integration.category":             "changed the category that the hub is limited to from {from} to {to}",
	"integration.disconnect":           "disconnected Kaltura account {partner_id}",
	"integration.invite":               "made a link with which somebody else may connect Kaltura",
	"integration.invite_accepted":      "connected Kaltura through a link",
	"integration.spherical":            "switched the search for untagged 360° media: {allowed}",
	"integration.check":                "had the connection to Kaltura checked",
	"integration.reconcile":            "had the library compared with Kaltura",
	"integration.notifications_on":     "made a signing secret for Kaltura's notifications",
	"integration.notifications_rotate": "replaced the signing secret for Kaltura's notifications",
	"integration.notifications_off":    "removed the signing secret for Kaltura's notifications",
	"spherical.scan":                   "had untagged 360° media searched",
	"spherical.dismiss":                "marked {entries} media as flat or not flat",
	"spherical.mark_360":               "had {entries} media tagged as 360°",
	"spherical.unmark_360":             "had the 360° tag of {entries} media taken back",
	"media.tagged":                     "tagged a media as {tag}",
	"mapping.created":                  "was linked to the Kaltura user {platform_user_id} ({how})",
	"mapping.pending":                  "waits to be linked to a Kaltura user",
	"mapping.conflict":                 "could be several Kaltura users",
	"mapping.linked":                   "linked a person to the Kaltura user {to} (before: {from})",
	"mapping.approved":                 "approved the Kaltura user {platform_user_id} of a person",
	"mapping.unlinked":                 "cut a person's link to the Kaltura user {from}",
	"mapping.export":                   "exported the list of people and their Kaltura users",
	"mapping.dry_run":                  "tried what a change of the rules for people would do",
	"mapping.merge":                    "merged the Kaltura user {from} into {to} ({entries} entries)",
	"mapping.merge_undo":               "took the merge of the Kaltura user {from} into {to} back",
	"mapping.merge_resume":             "went on with the merge of the Kaltura user {from} into {to}",
	"mapping.merge_ended":              "ended the merge of the Kaltura user {from} into {to}: {state}",
	"library.import":                   "imported the entry {entry_id} ({kind})",
	"library.share":                    "shared the entry {entry_id} with the hub",
	"library.unshare":                  "stopped sharing the entry {entry_id} with the hub",
	"library.remove":                   "removed the entry {entry_id} from the library",
	"upload.finish":                    "uploaded a file of {size} bytes",
	"upload.cancel":                    "cancelled an upload",
	"upload.retry":                     "had an upload tried again",
	"transfer.cancel":                  "cancelled a transfer",
	"transfer_account.change":          "changed the hub's bandwidth for transfers (cap: {cap_bps} bit/s)",
	"drop_folder.create":               "made the drop folder “{name}” ({source} {path})",
	"drop_folder.change":               "changed the drop folder “{name}” ({source} {path})",
	"drop_folder.pause":                "paused the drop folder “{name}”",
	"drop_folder.resume":               "resumed the drop folder “{name}”",
	"drop_folder.delete":               "removed the drop folder “{name}”",
	"drop_folder.activate":             "made an app that may send into the drop folder “{name}”",
	"drop_folder.deactivate":           "removed the app that may send into the drop folder “{name}”",
	"drop_file.remote":                 "changed the file “{name}” of a drop folder of Kaltura's own ({act})",
	"drop_file.retry":                  "had the file “{name}” of a drop folder tried again",
	"drop_file.reprocess":              "had the file “{name}” of a drop folder imported again",
	"drop_file.match":                  "gave the file “{name}” of a drop folder to the entry {entry_id}",
	"drop_file.take":                   "took the file “{name}” of a drop folder as whole",
	"drop_file.keep":                   "had the file “{name}” of a drop folder kept: {keep}",
	"drop_file.ignore":                 "had the file “{name}” of a drop folder left alone",
	"drop_file.delete":                 "deleted the file “{name}” of a drop folder (its entry, too: {entry})",
	"drop_file.undo":                   "took back that the file “{name}” of a drop folder is deleted",
	"dropfolder.entry_deleted":         "deleted an entry, as item {item} of a manifest said",
	"dropfolder.undo_item":             "took back that item {item} of a manifest deletes an entry",
	"job.cancel":                       "cancelled the job “{kind}”",
	"webhook.create":                   "added a webhook to {host}",
	"webhook.change":                   "changed the webhook to {host}",
	"webhook.delete":                   "removed a webhook",
	"webhook.test":                     "sent a test to the webhook at {host}",
	"webhook.redeliver":                "sent an event to the webhook at {host} again",
	"webhook.rotate":                   "gave the webhook to {host} a new secret",
	"webhook.replay":                   "sent {queued} events to a webhook again",
	"library.register":                 "registered a media of the spaces platform",
	"library.rename":                   "renamed an item of the library",
	"library.owner":                    "gave an item of the library to somebody else",
	"library.export":                   "sent an item of the library to Kaltura",
	"library.remove_entry":             "removed the entry {entry_id} from Kaltura",
	"client.create":                    "registered the app “{name}”",
	"client.change":                    "changed the app “{name}”",
	"client.rotate_secret":             "gave the app “{name}” a new secret",
	"client.delete":                    "removed the app “{name}”",
	"grant.allow":                      "allowed the app “{client_name}” to act for them",
	"grant.revoke":                     "took a permission from the app {client}",
	"token.issue":                      "got an access token ({grant_type})",
	"token.revoke":                     "lost its tokens: {why}",
	"hub.create":                       "made the hub",
	"hub.provider_plan":                "took over the plan {to} from the identity provider (before: {from})",
	"hub.terms":                        "changed the hub's plan or limits",
	"identity_provider.create":         "added an identity provider",
	"identity_provider.change":         "changed an identity provider",
	"identity_provider.webhook_secret": "made a signing secret for an identity provider's webhooks",
	"identity_provider.delete":         "removed an identity provider",
	"signing_key.rotate":               "made a new key that signs tokens",
	"signing_key.replace":              "threw the keys that sign tokens away and made a new one",
	"operator.setup":                   "became the operator of this installation",
	"operator.add":                     "added an operator",
	"operator.remove":                  "removed an operator",
	"member.joined":                    "joined the hub with the role {role}",
	"member.role":                      "got the role {to} from the identity provider (before: {from})",
	"member.signed_out":                "was signed out by the identity provider",
	"member.suspended":                 "suspended a person",
	"member.left":                      "noted that a person left the hub",
	"member.reinstated":                "let a person in again",
	"member.erasing":                   "began to erase a person's data",
	"member.export":                    "exported a person's data",
	"member.erased":                    "erased a person's data",
	"audit.export":                     "exported the audit log ({format})",
	"audit.trim":                       "deleted {records} records that were older than the audit log is kept",
}

var placeholder = regexp.MustCompile(`\{[a-z_0-9]+\}`)

// Text says what was done, to be read after the actor's name.
func (r AuditRecord) Text() string {
	words, known := auditWords[r.Action]
	if !known {
		area, what, _ := strings.Cut(r.Action, ".")
		return strings.ReplaceAll(area+": "+what, "_", " ")
	}
	var data map[string]any
	d := json.NewDecoder(bytes.NewReader(r.Data))
	d.UseNumber()
	_ = d.Decode(&data)
	return placeholder.ReplaceAllStringFunc(words, func(p string) string {
		switch v := data[p[1:len(p)-1]].(type) {
		case nil, map[string]any, []any:
			return "–"
		case bool:
			if v {
				return "on"
			}
			return "off"
		case string:
			return cmp.Or(v, "–")
		default:
			return fmt.Sprint(v)
		}
	})
}

// AuditName is who an actor is now.
type AuditName struct{ Name, Email string }

// Names tells who the actors of records are, by AuditRecord.Actor; who was erased is missing.
func (s *Audits) Names(ctx context.Context, a Actor, records []AuditRecord) (map[string]AuditName, error) {
	if err := adminOnly(a, ScopeAuditRead); err != nil {
		return nil, err
	}
	actors := make([]string, len(records))
	for i, r := range records {
		actors[i] = r.Actor
	}
	return actorNames(ctx, s.Store, a.HubID, actors)
}

// actorNames tells who those are whom Actor.Subject gives; who was erased is missing.
func actorNames(ctx context.Context, st Store, hubID string, subjects []string) (map[string]AuditName, error) {
	out := map[string]AuditName{}
	var people []string
	for _, subject := range subjects {
		if _, done := out[subject]; done {
			continue
		}
		switch kind, id, _ := strings.Cut(subject, ":"); kind {
		case "participant":
			out[subject], people = AuditName{}, append(people, id)
		case "client":
			out[subject] = AuditName{}
			c, err := st.Clients().Get(ctx, AnyHub, id)
			if err != nil && CodeOf(err) != NotFound {
				return nil, err
			}
			out[subject] = AuditName{Name: c.Name}
		}
	}
	found, err := st.Mappings().People(ctx, Scope(hubID), people)
	for id, p := range found {
		out["participant:"+id] = AuditName{p.Name, p.Email}
	}
	return out, err
}
