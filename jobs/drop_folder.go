package jobs

import (
	"context"
	"time"

	"isthmus/gateway"
)

// scanDropFolder looks at what lies in a folder; the next round is the retry.
func scanDropFolder(s Services) *worker[gateway.ScanDropFolder] {
	return &worker[gateway.ScanDropFolder]{
		run:     func(ctx context.Context, t gateway.ScanDropFolder) error { return s.Folders.RunScan(ctx, t.FolderID) },
		timeout: time.Hour,
	}
}

// feedDropFolder gives whole files their turn.
func feedDropFolder(s Services) *worker[gateway.FeedDropFolder] {
	return &worker[gateway.FeedDropFolder]{
		run:     func(ctx context.Context, t gateway.FeedDropFolder) error { return s.Folders.RunFeed(ctx, t.FolderID) },
		timeout: 2 * time.Minute,
	}
}

// handleDropFile takes a file as far as it gets; fetching a large one takes long.
func handleDropFile(s Services) *worker[gateway.HandleDropFile] {
	return &worker[gateway.HandleDropFile]{
		run: func(ctx context.Context, t gateway.HandleDropFile) error { return s.Folders.RunFile(ctx, t.FileID) },
		giveUp: func(ctx context.Context, t gateway.HandleDropFile, err error) error {
			return s.Folders.GiveUpFile(ctx, t.FileID, err)
		},
		timeout: 6 * time.Hour,
	}
}

// runDropItems does what a manifest's items say. Something waits for them: they are tried for ever.
func runDropItems(s Services) *worker[gateway.RunDropItems] {
	return &worker[gateway.RunDropItems]{
		run:      func(ctx context.Context, t gateway.RunDropItems) error { return s.Folders.RunItems(ctx, t.FileID) },
		stubborn: true,
		timeout:  6 * time.Hour,
	}
}

// tendDropFolders queues what is due.
func tendDropFolders(s Services) *worker[gateway.TendDropFolders] {
	return &worker[gateway.TendDropFolders]{
		run:     func(ctx context.Context, _ gateway.TendDropFolders) error { return s.Folders.Tend(ctx) },
		timeout: 2 * time.Minute,
	}
}
