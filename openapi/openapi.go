package openapi

import _ "embed"

//go:generate go tool oapi-codegen -config oapi-codegen.yaml openapi.yaml

// YAML is the description as served at /openapi.yaml.
//
//go:embed openapi.yaml
var YAML []byte
