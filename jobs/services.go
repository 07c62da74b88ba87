package jobs

import (
	"context"

	"github.com/riverqueue/river"

	"isthmus/gateway"
)

// Services are what the tasks call.
type Services struct {
	Uploads      *gateway.Uploads
	Library      *gateway.Library
	Assets       *gateway.Assets
	Integrations *gateway.Integrations
	Jobs         *gateway.Jobs
	Spherical    *gateway.Spherical
	Webhooks     *gateway.Webhooks
	Mappings     *gateway.Mappings
	People       *gateway.People
	Folders      *gateway.DropFolders
	Sweeps       []func(context.Context) error // further things that the task Sweep does
}

// New makes the workers of all kinds of task.
func New(s Services) *river.Workers {
	w := river.NewWorkers()
	river.AddWorker(w, ingestUpload(s))
	river.AddWorker(w, watchUpload(s))
	river.AddWorker(w, abandonIngest(s))
	river.AddWorker(w, importItem(s))
	river.AddWorker(w, inspectAsset(s))
	river.AddWorker(w, packageAsset(s))
	river.AddWorker(w, ladderAsset(s))
	river.AddWorker(w, settleAsset(s))
	river.AddWorker(w, trimAsset(s))
	river.AddWorker(w, sweep(s))
	river.AddWorker(w, probeIntegrations(s))
	river.AddWorker(w, keepAlive(s))
	river.AddWorker(w, diagnoseIntegration(s))
	river.AddWorker(w, reconcileLibrary(s))
	river.AddWorker(w, lookAtEntry(s))
	river.AddWorker(w, scanSpherical(s))
	river.AddWorker(w, markSpherical(s))
	river.AddWorker(w, runMapping(s))
	river.AddWorker(w, probeIntegration(s))
	river.AddWorker(w, resumeWaiting(s))
	river.AddWorker(w, deliverWebhook(s))
	river.AddWorker(w, erasePerson(s))
	river.AddWorker(w, scanDropFolder(s))
	river.AddWorker(w, feedDropFolder(s))
	river.AddWorker(w, handleDropFile(s))
	river.AddWorker(w, runDropItems(s))
	river.AddWorker(w, tendDropFolders(s))
	return w
}
