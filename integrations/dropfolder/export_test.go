package dropfolder

// Aside is where a file is put before it is deleted.
func Aside(base, id string) string { return asideName(base, id) }
