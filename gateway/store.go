package gateway

import (
	"context"
	"time"
)

// Scope limits a query to one hub. Passing AnyHub is a visible act of the few callers (workers,
// sign-in) that have no hub yet.
type Scope string

// AnyHub lifts the limit.
const AnyHub Scope = "*"

// Rows are the operations every noun has. Get answers NotFound, also for another hub's id. Insert
// sets Version, CreatedAt and UpdatedAt and answers Conflict on a duplicate. Update writes all
// columns if the row still has the version it was read with, else Conflict with reason
// "changed_meanwhile"; it sets Version and UpdatedAt in place. Columns marked "own setter" below are
// left alone by Update: they change without a version and a stale copy must not undo them. Delete is
// harmless when absent. A Conflict from Insert does not spoil the transaction. Insert and Update cut
// times to UTC microseconds in place.
type Rows[T any] interface {
	Get(ctx context.Context, s Scope, id string) (T, error)
	Insert(ctx context.Context, row *T) error
	Update(ctx context.Context, row *T) error
	Delete(ctx context.Context, s Scope, id string) error
}

// ExpiringRows are rows that end by themselves.
type ExpiringRows[T any] interface {
	Rows[T]
	// DeleteExpired deletes the rows whose expires_at is before now and tells how many.
	DeleteExpired(ctx context.Context, now time.Time) (int64, error)
}

// Slice is a window of a listing, newest first unless said otherwise. After is the id of the last
// row seen (ids sort by age); Limit is at most 500.
type Slice struct {
	After string
	Limit int
}

// Tables are all stored nouns, usable inside a transaction and outside of one.
type Tables interface {
	Hubs() HubTable
	Participants() ParticipantTable
	Sessions() SessionTable
	IdentityProviders() IdentityProviderTable
	Erasures() ErasureTable
	Operators() OperatorTable
	Setups() Rows[Setup]
	Clients() ClientTable
	Grants() GrantTable
	AuthorizationRequests() ExpiringRows[AuthorizationRequest]
	AuthorizationCodes() ExpiringRows[AuthorizationCode]
	TokenFamilies() ExpiringRows[TokenFamily]
	RefreshTokens() ExpiringRows[RefreshToken]
	DeviceCodes() DeviceTable
	SpentTokens() SpentTable
	Keys() KeyTable
	Integrations() IntegrationTable
	Health() HealthTable
	Webhooks() WebhookTable
	Deliveries() DeliveryTable
	Invites() ExpiringRows[Invite]
	Mappings() MappingTable
	MappingRuns() MappingRunTable
	Uploads() UploadTable
	Transfers() TransferTable
	TransferAccounts() TransferAccountTable
	TransferShares() TransferShareTable
	DropFolders() DropFolderTable
	DropFiles() DropFileTable
	DropChanges() DropChangeTable
	DropItems() DropItemTable
	Library() LibraryTable
	Spaces() SpacesTable
	Sync() SyncTable
	Assets() AssetTable
	Jobs() JobTable
	Events() EventTable
	Audit() AuditTable
	Upkeeps() UpkeepTable
	Spherical() SphericalTable
	IdempotencyKeys() IdempotencyTable
	Limits() LimitTable
	Replicas() ReplicaTable
}

// Store is the database. Safe for concurrent use.
type Store interface {
	Tables
	// Tx runs f in one transaction: all of it happens or none, jobs included. Inside f use only the
	// Tx handle; no network calls and no ffmpeg. It may run f again on a serialization failure.
	Tx(ctx context.Context, f func(Tx) error) error
}

// Tx is a running transaction.
type Tx interface {
	Tables
	// Enqueue queues a task that becomes visible when the transaction commits. One that waits already,
	// with the same arguments and not yet running, is not queued twice.
	Enqueue(ctx context.Context, t Task, opts ...EnqueueOption) error
	// AfterCommit runs f once the transaction is committed, in the order given; never when it is
	// rolled back, and only for the run that was committed when Tx ran f again. f must not block.
	AfterCommit(f func())
}

// EnqueueOption changes how a task is queued.
type EnqueueOption func(*EnqueueOptions)

// EnqueueOptions are the choices.
type EnqueueOptions struct {
	At   time.Time // not before; zero = now
	Idle bool      // only when no such task is unfinished, running ones included
	Pull bool      // bring one that is queued for later forward instead of queueing a second
}

// IfIdle queues a task only when none of the same kind and arguments waits, runs or will be tried
// again: for a look after rows whose task was lost, which must not disturb those that are at work.
func IfIdle() EnqueueOption { return func(o *EnqueueOptions) { o.Idle = true } }

// Sooner has a task run at a time: one that is queued for later is brought forward; only when none
// is queued a new one is. With IfIdle, one that runs now is enough, too.
func Sooner(at time.Time) EnqueueOption {
	return func(o *EnqueueOptions) { o.At, o.Pull = at, true }
}

// NotBefore delays a task.
func NotBefore(t time.Time) EnqueueOption { return func(o *EnqueueOptions) { o.At = t } }

// ReplicaTable knows the processes that share the database.
type ReplicaTable interface {
	// Alive tells whether a replica's process gave a sign of life within the last 20 seconds.
	Alive(ctx context.Context, replica string) (bool, error)
}

// KeyTable holds the keys that sign tokens.
type KeyTable interface {
	Rows[SigningKey]
	// List gives all keys, newest first.
	List(ctx context.Context) ([]SigningKey, error)
}

// HubTable holds hubs.
type HubTable interface {
	Rows[Hub]
	ByExternal(ctx context.Context, issuer, externalID string) (Hub, error)
	// List gives the hubs of the installation; text searches the name and the external id.
	List(ctx context.Context, text string, w Slice) ([]Hub, error)
	// ReserveUpload locks the hub's row for the rest of the transaction and gives the bytes that
	// its unfinished uploads have reserved, so that two creators cannot both take the last of the quota.
	ReserveUpload(ctx context.Context, hubID string) (reserved int64, err error)
	// Reserved gives the same without a lock.
	Reserved(ctx context.Context, hubID string) (int64, error)
}

// ParticipantTable holds participants.
type ParticipantTable interface {
	Rows[Participant]
	BySubject(ctx context.Context, s Scope, issuer, subject string) ([]Participant, error)
	List(ctx context.Context, s Scope, w Slice) ([]Participant, error)
}

// SessionTable holds signed-in browsers.
type SessionTable interface {
	ExpiringRows[Session]
	OfPerson(ctx context.Context, issuer, subject string) ([]Session, error)
	// Subjects gives whose sessions belong to a session of the identity provider.
	Subjects(ctx context.Context, issuer, sid string) ([]string, error)
	// End deletes a person's sessions; with a sid only those of that session of the identity provider.
	End(ctx context.Context, issuer, subject, sid string) error
}

// IdentityProviderTable holds the identity providers that operators added.
type IdentityProviderTable interface {
	Rows[IdentityProvider]
	All(ctx context.Context) ([]IdentityProvider, error)
	// ByIssuer gives NotFound when there is none.
	ByIssuer(ctx context.Context, issuer string) (IdentityProvider, error)
	// Hold is ByIssuer and keeps the row from being changed until the transaction ends; others may hold it, too.
	Hold(ctx context.Context, issuer string) (IdentityProvider, error)
	// ShutOut suspends the people of an issuer until its next word, and ends their sessions and refresh families.
	ShutOut(ctx context.Context, issuer string, now time.Time) (ShutOut, error)
}

// ErasureTable holds what was asked to be erased.
type ErasureTable interface {
	Rows[Erasure]
	// Unfinished gives those of all hubs that are not done.
	Unfinished(ctx context.Context, w Slice) ([]Erasure, error)
	// Count tells how many rows of each kind name a participant.
	Count(ctx context.Context, hubID, participantID string) (map[string]int64, error)
	// Forget deletes what names a participant and does not go with their row, and tells how many.
	Forget(ctx context.Context, hubID, participantID string) (map[string]int64, error)
}

// IntegrationTable holds integrations.
type IntegrationTable interface {
	Rows[Integration]
	// ByHub gives the hub's integration on a platform, NotFound when not connected.
	ByHub(ctx context.Context, hubID, platform string) (Integration, error)
	All(ctx context.Context, w Slice) ([]Integration, error)
	// SetDiagnosis changes the diagnosis only, whatever the version.
	SetDiagnosis(ctx context.Context, id string, d Diagnosis) error
	// SetHealth writes the health columns only, whatever the version. Own setter: health, health_text,
	// health_at, health_since, last_ok_at, next_try_at.
	SetHealth(ctx context.Context, in *Integration) error
	// Lock gives a row and keeps others from locking it until the transaction ends.
	Lock(ctx context.Context, id string) (Integration, error)
	// Waiting counts uploads and imports that wait for the platform.
	Waiting(ctx context.Context, id string) (Waiting, error)
	// Uses counts what hangs on an integration: library links, uploads that are not done, mappings.
	Uses(ctx context.Context, id string) (Impact, error)
}

// UpkeepTable holds what keeping connections alive has to remember. Own setter: hook_at.
type UpkeepTable interface {
	Rows[Upkeep]
	// SetHookAt notes when a notification was taken.
	SetHookAt(ctx context.Context, id string, at time.Time) error
}

// SphericalTable holds entries that look spherical.
type SphericalTable interface {
	Rows[SphericalCandidate]
	// ByEntry gives the candidate of an entry, NotFound when there is none.
	ByEntry(ctx context.Context, integrationID, entryID string) (SphericalCandidate, error)
	List(ctx context.Context, integrationID string, f CandidateFilter, w Slice) ([]SphericalCandidate, error)
}

// WebhookTable holds the endpoints of webhooks.
type WebhookTable interface {
	Rows[WebhookEndpoint]
	List(ctx context.Context, s Scope, w Slice) ([]WebhookEndpoint, error)
	// Enabled gives those of a hub that are called.
	Enabled(ctx context.Context, hubID string) ([]WebhookEndpoint, error)
	// Lock gives a row and keeps others from locking it until the transaction ends.
	Lock(ctx context.Context, id string) (WebhookEndpoint, error)
	// SetResult writes how it answered, whatever the version. Own setter: state, reason,
	// failing_since, last_at, last_status, last_text.
	SetResult(ctx context.Context, w *WebhookEndpoint) error
}

// DeliveryTable is the log of webhooks.
type DeliveryTable interface {
	Rows[WebhookDelivery]
	List(ctx context.Context, endpointID string, w Slice) ([]WebhookDelivery, error)
	// Unfinished gives those of all hubs that are to be tried, perhaps again.
	Unfinished(ctx context.Context, w Slice) ([]WebhookDelivery, error)
	// OfEvents gives those of an endpoint that are about one of the events, the newest 500.
	OfEvents(ctx context.Context, endpointID string, eventIDs []string) ([]WebhookDelivery, error)
	// Waiting gives those of an endpoint that are to be tried, the newest 500.
	Waiting(ctx context.Context, endpointID string) ([]WebhookDelivery, error)
	// Trim deletes what was made before a time and tells how many.
	Trim(ctx context.Context, before time.Time) (int64, error)
}

// IdempotencyTable holds the requests with an Idempotency-Key. Update writes all columns.
type IdempotencyTable interface {
	ExpiringRows[IdempotencyKey]
	// Prolong moves busy_until of an owner's row, whatever the version.
	Prolong(ctx context.Context, id, owner string, until time.Time) error
	// Release deletes an owner's row. Harmless when it is somebody else's by now.
	Release(ctx context.Context, id, owner string) error
}

// HealthTable is the history of the connections' health.
type HealthTable interface {
	Insert(ctx context.Context, c *HealthChange) error
	Get(ctx context.Context, s Scope, id string) (HealthChange, error)
	// Close ends the change of an integration that is not over yet. Harmless when there is none.
	Close(ctx context.Context, integrationID string, until time.Time) error
	// Open gives that change, NotFound when there is none.
	Open(ctx context.Context, integrationID string) (HealthChange, error)
	List(ctx context.Context, integrationID string, w Slice) ([]HealthChange, error)
	// Trim deletes what was over before a time and tells how many.
	Trim(ctx context.Context, before time.Time) (int64, error)
}

// MappingTable holds mappings. Own setter: last_used_at.
type MappingTable interface {
	Rows[Mapping]
	ByParticipant(ctx context.Context, integrationID, participantID string) (Mapping, error)
	// List gives mappings with their people, conflicts first, then newest first. Slice.After is a
	// MappedPerson.Cursor().
	List(ctx context.Context, s Scope, f MappingFilter, w Slice) ([]MappedPerson, error)
	// SetUsed notes when a mapping was used, whatever the version; not when that was noted since.
	SetUsed(ctx context.Context, id string, at, unlessSince time.Time) error
	// OfUser gives the mappings of an account that name a user, in whichever hub.
	OfUser(ctx context.Context, in Integration, platformUserID string) ([]Mapping, error)
	// People gives those of the participants that are in the scope.
	People(ctx context.Context, s Scope, ids []string) (map[string]Participant, error)
}

// MappingRunTable holds long work on mappings.
type MappingRunTable interface {
	Rows[MappingRun]
	// List gives those of a hub, or of one mapping, newest first.
	List(ctx context.Context, s Scope, kind MappingRunKind, mappingID string, w Slice) ([]MappingRun, error)
	// Add adds an item unless the run has one of the same subject.
	Add(ctx context.Context, it *MappingRunItem) error
	// Items gives a run's items by outcome (all when none is given), in the order of their ids.
	Items(ctx context.Context, runID string, outcomes []string, w Slice) ([]MappingRunItem, error)
	// Settle writes an item's outcome.
	Settle(ctx context.Context, it *MappingRunItem) error
	// Counts counts a run's items by outcome.
	Counts(ctx context.Context, runID string) (map[string]int, error)
	// Unfinished gives those of all hubs that are not over.
	Unfinished(ctx context.Context, w Slice) ([]MappingRun, error)
	// Trim deletes the dry runs from before a time.
	Trim(ctx context.Context, before time.Time) error
}

// UploadTable holds uploads.
type UploadTable interface {
	Rows[Upload]
	// List gives a participant's uploads (or, with both ids empty, the hub's) in any of the states (all when none given).
	List(ctx context.Context, s Scope, participantID, clientID string, states []UploadState, w Slice) ([]Upload, error)
	// SetReceived and SetRelay change their columns only, whatever the version: they are hints and
	// bookkeeping of one replica. Own setter: received, relay_handle, relay_sent.
	SetReceived(ctx context.Context, id string, received int64) error
	SetRelay(ctx context.Context, id, handle string, sent Ranges) error
	// SetTries notes when a waiting upload was tried last and will be next. Own setter: last_try_at, next_try_at.
	SetTries(ctx context.Context, id string, last, next time.Time) error
	// Expired gives receiving uploads whose time is over.
	Expired(ctx context.Context, now time.Time, limit int) ([]Upload, error)
	// InReplica gives receiving and ingesting uploads whose bytes lie there, for the relay after a restart.
	InReplica(ctx context.Context, replica string) ([]Upload, error)
	// Sources gives the entries that ready uploads became, each once, by id from after on, n at most.
	Sources(ctx context.Context, integrationID, after string, n int) ([]string, error)
	// OfEntries gives the uploads that became one of the entries.
	OfEntries(ctx context.Context, integrationID string, entryIDs []string, w Slice) ([]Upload, error)
	// InsertAll is Insert for many rows.
	InsertAll(ctx context.Context, rows []Upload) error
	// Named gives those of the ids that are in the scope.
	Named(ctx context.Context, s Scope, ids []string) ([]Upload, error)
	// OfTransfer gives a transfer's uploads in any of the states (all when none given) after an id, in the
	// order in which they were announced; n at most, 0 = all.
	OfTransfer(ctx context.Context, transferID string, states []UploadState, after string, n int) ([]Upload, error)
	// CancelUnbegun cancels the receiving uploads of a transfer of which nothing is known to have come or gone on,
	// and gives their ids.
	CancelUnbegun(ctx context.Context, transferID string) ([]string, error)
	// SetTransfer makes receiving uploads of the ids part of a transfer and tells how many.
	SetTransfer(ctx context.Context, ids []string, transferID string) (int64, error)
}

// LibraryTable holds library items.
type LibraryTable interface {
	Rows[LibraryItem]
	// Find gives the item made by the same importer from the same entry and of the same kind.
	Find(ctx context.Context, like LibraryItem) (LibraryItem, error)
	// InStates gives the items of all hubs in the given states.
	InStates(ctx context.Context, states []ItemState, w Slice) ([]LibraryItem, error)
	// Sources gives the entries that ready items came from, each once, by id from after on, n at most.
	Sources(ctx context.Context, integrationID, after string, n int) ([]string, error)
	// OfEntries gives the ready items that came from one of the entries.
	OfEntries(ctx context.Context, integrationID string, entryIDs []string, w Slice) ([]LibraryItem, error)
	// List gives what the actor may see, newest first; text searches the name.
	List(ctx context.Context, a Actor, text string, types []MediaType, w Slice) ([]LibraryItem, error)
}

// SpacesTable holds what there is of the spaces platform's own media beside the items.
type SpacesTable interface {
	// ByExternal gives the item that a client registered under its own id. NotFound otherwise.
	ByExternal(ctx context.Context, hubID, clientID, externalID string) (LibraryItem, error)
	// SetMark notes what the bytes at an item's address are known by, whatever the version.
	SetMark(ctx context.Context, id, mark string) error
	// Acknowledge notes that a client has taken an item over; the first time counts.
	Acknowledge(ctx context.Context, it LibraryItem, clientID string, at time.Time) error
	// Acknowledged tells when a client acknowledged which of the items.
	Acknowledged(ctx context.Context, clientID string, itemIDs []string) (map[string]time.Time, error)
}

// AssetTable holds assets.
type AssetTable interface {
	Rows[Asset]
	SetProgress(ctx context.Context, id string, attempt int64, p float64) error
	All(ctx context.Context, w Slice) ([]Asset, error)
	// InStates gives the assets of all hubs in the given states.
	InStates(ctx context.Context, states []AssetState, w Slice) ([]Asset, error)
}

// JobTable holds jobs.
type JobTable interface {
	Rows[Job]
	SetProgress(ctx context.Context, id string, attempt int64, p float64) error
	// RequestCancel sets the flag, whatever the version. Own setter: cancel_requested.
	RequestCancel(ctx context.Context, s Scope, id string) error
	List(ctx context.Context, a Actor, w Slice) ([]Job, error)
	// Marking gives the runs of tagging that are not over, and cancelled ones that still hold entries.
	Marking(ctx context.Context, w Slice) ([]Job, error)
}

// EventTable is the event log.
type EventTable interface {
	// Append writes an event. In a transaction it is written last of all, so that seq follows the
	// order of the commits and a listener misses nothing; e.Seq is set by then.
	Append(ctx context.Context, e *Event) error
	// Since gives events after seq that the actor may see (see MaySee), oldest first. An event is seen only
	// when all lower seqs of committed events are, so that a listener that remembers the last seq misses none.
	Since(ctx context.Context, a Actor, seq int64, limit int) ([]Event, error)
	// Between gives a hub's events of a time after seq, oldest first.
	Between(ctx context.Context, hubID string, from, to time.Time, seq int64, limit int) ([]Event, error)
	// First gives the lowest seq that is still kept, 0 when empty.
	First(ctx context.Context) (int64, error)
	// Trim deletes the oldest events from before a time, n at most, and tells how many. The newest one
	// always stays, so that Last goes on from there.
	Trim(ctx context.Context, before time.Time, n int) (int64, error)
	// Last gives the highest seq, 0 when empty.
	Last(ctx context.Context) (int64, error)
}

// retryConflict runs f again when somebody else was first, which a second look settles.
func retryConflict(f func() error) error {
	var err error
	for range 4 {
		if err = f(); CodeOf(err) != Conflict {
			return err
		}
	}
	return err
}
