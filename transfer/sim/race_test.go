//go:build race

package sim_test

// slow: under the race detector.
const slow = true
