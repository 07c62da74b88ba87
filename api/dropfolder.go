package api

import (
	"context"

	"isthmus/gateway"
)

// errDropFolders is answered while a server has no drop folders.
func errDropFolders() error {
	return gateway.E(gateway.Unavailable, "no_drop_folders", "This server has no drop folders yet.").Next("Ask who runs this server.")
}

// ListDropFolders answers that there are none.
func (s *Server) ListDropFolders(context.Context, ListDropFoldersRequestObject) (ListDropFoldersResponseObject, error) {
	return nil, errDropFolders()
}

// CreateDropFolder answers that there are none.
func (s *Server) CreateDropFolder(context.Context, CreateDropFolderRequestObject) (CreateDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// ActivateDropFolder answers that there are none.
func (s *Server) ActivateDropFolder(context.Context, ActivateDropFolderRequestObject) (ActivateDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// CountDropFiles answers that there are none.
func (s *Server) CountDropFiles(context.Context, CountDropFilesRequestObject) (CountDropFilesResponseObject, error) {
	return nil, errDropFolders()
}

// ListDropFiles answers that there are none.
func (s *Server) ListDropFiles(context.Context, ListDropFilesRequestObject) (ListDropFilesResponseObject, error) {
	return nil, errDropFolders()
}

// ChangeDropFiles answers that there are none.
func (s *Server) ChangeDropFiles(context.Context, ChangeDropFilesRequestObject) (ChangeDropFilesResponseObject, error) {
	return nil, errDropFolders()
}

// ExportDropFiles answers that there are none.
func (s *Server) ExportDropFiles(context.Context, ExportDropFilesRequestObject) (ExportDropFilesResponseObject, error) {
	return nil, errDropFolders()
}

// GetDropFile answers that there are none.
func (s *Server) GetDropFile(context.Context, GetDropFileRequestObject) (GetDropFileResponseObject, error) {
	return nil, errDropFolders()
}

// DeleteDropFile answers that there are none.
func (s *Server) DeleteDropFile(context.Context, DeleteDropFileRequestObject) (DeleteDropFileResponseObject, error) {
	return nil, errDropFolders()
}

// PreviewDropDeletion answers that there are none.
func (s *Server) PreviewDropDeletion(context.Context, PreviewDropDeletionRequestObject) (PreviewDropDeletionResponseObject, error) {
	return nil, errDropFolders()
}

// IgnoreDropFile answers that there are none.
func (s *Server) IgnoreDropFile(context.Context, IgnoreDropFileRequestObject) (IgnoreDropFileResponseObject, error) {
	return nil, errDropFolders()
}

// ListDropItems answers that there are none.
func (s *Server) ListDropItems(context.Context, ListDropItemsRequestObject) (ListDropItemsResponseObject, error) {
	return nil, errDropFolders()
}

// KeepDropFile answers that there are none.
func (s *Server) KeepDropFile(context.Context, KeepDropFileRequestObject) (KeepDropFileResponseObject, error) {
	return nil, errDropFolders()
}

// GetDropManifest answers that there are none.
func (s *Server) GetDropManifest(context.Context, GetDropManifestRequestObject) (GetDropManifestResponseObject, error) {
	return nil, errDropFolders()
}

// MatchDropFile answers that there are none.
func (s *Server) MatchDropFile(context.Context, MatchDropFileRequestObject) (MatchDropFileResponseObject, error) {
	return nil, errDropFolders()
}

// ReprocessDropFile answers that there are none.
func (s *Server) ReprocessDropFile(context.Context, ReprocessDropFileRequestObject) (ReprocessDropFileResponseObject, error) {
	return nil, errDropFolders()
}

// RetryDropFile answers that there are none.
func (s *Server) RetryDropFile(context.Context, RetryDropFileRequestObject) (RetryDropFileResponseObject, error) {
	return nil, errDropFolders()
}

// TakeDropFile answers that there are none.
func (s *Server) TakeDropFile(context.Context, TakeDropFileRequestObject) (TakeDropFileResponseObject, error) {
	return nil, errDropFolders()
}

// ListDropChanges answers that there are none.
func (s *Server) ListDropChanges(context.Context, ListDropChangesRequestObject) (ListDropChangesResponseObject, error) {
	return nil, errDropFolders()
}

// UndoDropDeletion answers that there are none.
func (s *Server) UndoDropDeletion(context.Context, UndoDropDeletionRequestObject) (UndoDropDeletionResponseObject, error) {
	return nil, errDropFolders()
}

// GetDropFolderOptions answers that there are none.
func (s *Server) GetDropFolderOptions(context.Context, GetDropFolderOptionsRequestObject) (GetDropFolderOptionsResponseObject, error) {
	return nil, errDropFolders()
}

// ListRemoteDropFolders answers that there are none.
func (s *Server) ListRemoteDropFolders(context.Context, ListRemoteDropFoldersRequestObject) (ListRemoteDropFoldersResponseObject, error) {
	return nil, errDropFolders()
}

// ListRemoteDropFiles answers that there are none.
func (s *Server) ListRemoteDropFiles(context.Context, ListRemoteDropFilesRequestObject) (ListRemoteDropFilesResponseObject, error) {
	return nil, errDropFolders()
}

// ValidateDropManifest answers that there are none.
func (s *Server) ValidateDropManifest(context.Context, ValidateDropManifestRequestObject) (ValidateDropManifestResponseObject, error) {
	return nil, errDropFolders()
}

// DeleteDropFolder answers that there are none.
func (s *Server) DeleteDropFolder(context.Context, DeleteDropFolderRequestObject) (DeleteDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// GetDropFolder answers that there are none.
func (s *Server) GetDropFolder(context.Context, GetDropFolderRequestObject) (GetDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// UpdateDropFolder answers that there are none.
func (s *Server) UpdateDropFolder(context.Context, UpdateDropFolderRequestObject) (UpdateDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// DeactivateDropFolder answers that there are none.
func (s *Server) DeactivateDropFolder(context.Context, DeactivateDropFolderRequestObject) (DeactivateDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// PauseDropFolder answers that there are none.
func (s *Server) PauseDropFolder(context.Context, PauseDropFolderRequestObject) (PauseDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// ResumeDropFolder answers that there are none.
func (s *Server) ResumeDropFolder(context.Context, ResumeDropFolderRequestObject) (ResumeDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// ScanDropFolder answers that there are none.
func (s *Server) ScanDropFolder(context.Context, ScanDropFolderRequestObject) (ScanDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// TestDropFolder answers that there are none.
func (s *Server) TestDropFolder(context.Context, TestDropFolderRequestObject) (TestDropFolderResponseObject, error) {
	return nil, errDropFolders()
}

// TryDropFolder answers that there are none.
func (s *Server) TryDropFolder(context.Context, TryDropFolderRequestObject) (TryDropFolderResponseObject, error) {
	return nil, errDropFolders()
}
