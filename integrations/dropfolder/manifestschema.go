package dropfolder

import (
	"embed"

	"isthmus/gateway"
)

// Schema is the XSD of the XML that is taken, for download. Reading a manifest does not use it.
//
//go:embed manifest.xsd
var Schema []byte

//go:embed samples
var samples embed.FS

// Sample is a manifest to begin with; nil when there is no such format.
func Sample(format gateway.ManifestFormat) []byte {
	text, err := samples.ReadFile("samples/manifest." + string(format))
	if err != nil {
		return nil
	}
	return text
}
