package openapi

import (
	"encoding/json"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v3"
)

// JSON is the description as served at /openapi.json. The two forms say the same. Not to be changed.
var JSON = sync.OnceValues(func() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(YAML, &doc); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return json.MarshalIndent(doc, "", " ")
})
