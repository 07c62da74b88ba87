// Package dropfolder is the place of drop folders: the scan, the naming rules and the XML manifest.
// Nothing is built here yet.
package dropfolder
